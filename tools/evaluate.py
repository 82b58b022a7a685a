"""Measures an entry of the zoo again, and writes its metrics.json and its card.

python tools/evaluate.py --model vae-mnist
"""

import json

from absl import app, flags, logging

import kerasgen
from kerasgen.training.run import evaluate_recipe
from kerasgen.zoo.card import write_card
from kerasgen.zoo.registry import find

MODEL = flags.DEFINE_string("model", None, "zoo name", required=True)


def main(_):
    logging.set_verbosity(logging.ERROR)
    entry = find(MODEL.value)
    recipe = entry.recipe
    report = entry.metrics | evaluate_recipe(recipe, kerasgen.load(MODEL.value), recipe.evaluation.split)
    (entry.folder / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
    write_card(recipe, report, entry.folder)
    print(json.dumps(report["metrics"], indent=2))


if __name__ == "__main__":
    app.run(main)
