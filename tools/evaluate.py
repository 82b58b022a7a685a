"""Measures an entry of the zoo again, and writes its metrics.json, its card and, unless only some are, its grid.

python tools/evaluate.py --model vae-mnist
python tools/evaluate.py --model ddpm-mnist --metrics train_on_synthetic  # beside the figures that are there
"""

import json

from absl import app, flags, logging

import kerasgen
from kerasgen.hub.card import write_card
from kerasgen.hub.registry import find
from kerasgen.training.run import evaluate_recipe, save_picture

MODEL = flags.DEFINE_string("model", None, "zoo name", required=True)
METRICS = flags.DEFINE_list("metrics", None, "measure only these, and keep the other figures")


def main(_):
    logging.set_verbosity(logging.ERROR)
    entry = find(MODEL.value)
    recipe = entry.recipe
    model = kerasgen.load(MODEL.value)
    found = evaluate_recipe(recipe, model, recipe.evaluation.split, metrics=METRICS.value)
    if METRICS.value:
        found = {"metrics": entry.metrics["metrics"] | found["metrics"]}
    else:
        save_picture(recipe, model, entry.folder)
    report = entry.metrics | found
    (entry.folder / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
    write_card(recipe, model, report, entry.folder)
    print(json.dumps(report["metrics"], indent=2))


if __name__ == "__main__":
    app.run(main)
