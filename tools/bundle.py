"""Takes a finished run into the zoo: its checkpoint, figures, grid and card, and the weights' SHA-256 into the recipe.

python tools/bundle.py --run /path/to/run
python tools/bundle.py --refresh           # configs and cards of all entries, where a class has new settings or words
python tools/bundle.py --shorten gpt-names # its weights in eight bits each, to be measured anew by tools/evaluate.py
"""

import json
import shutil
from pathlib import Path

import keras
from absl import app, flags
from pinning import set_weights

import kerasgen
from kerasgen.checkpoints import sha256
from kerasgen.checkpoints.config import without_compile_config
from kerasgen.errors import RecipeError
from kerasgen.hub.card import write_card
from kerasgen.hub.client import SHEETS
from kerasgen.hub.registry import entries, find
from kerasgen.recipes import Recipe

RUN = flags.DEFINE_string("run", None, "folder of a finished run (kerasgen train --workdir)")
REFRESH = flags.DEFINE_bool("refresh", None, "write configs and cards of all entries anew, with the figures they have")
SHORTEN = flags.DEFINE_string("shorten", None, "entry to store in float8")
flags.mark_flags_as_mutual_exclusive(["run", "refresh", "shorten"], required=True)

MADE = ("config.json", "metadata.json", "model.weights.h5", "metrics.json", "log.csv", "README.md")
MAX_BYTES = 12_000_000


def refresh():
    for entry in entries().values():
        if not entry.bundled:
            continue
        model = kerasgen.load(entry.name)
        config = without_compile_config(keras.saving.serialize_keras_object(model))
        path, text = entry.folder / "config.json", json.dumps(config, indent=1)
        if json.loads(text) != json.loads(path.read_text()):
            path.write_text(text)
        write_card(entry.recipe, model, entry.metrics, entry.folder)


def shorten(name):
    entry = find(name)
    kerasgen.load(name).save(entry.folder, dtype="float8")
    digest = sha256(entry.folder / "model.weights.h5")
    set_weights(entry.folder / "recipe.toml", sha256=digest, dtype="float8")
    report = entry.metrics | {"weights_sha256": digest}
    (entry.folder / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")


def main(_):
    if REFRESH.value:
        return refresh()
    if SHORTEN.value:
        return shorten(SHORTEN.value)
    checkpoint = Path(RUN.value) / "checkpoint"
    trained = Recipe.load(checkpoint / "recipe.toml")
    entry = find(trained.name)
    if entry.recipe.digest != trained.digest:
        raise RecipeError(f"{RUN.value} was trained with another recipe than {entry.folder / 'recipe.toml'}.")
    weights = checkpoint / "model.weights.h5"
    if weights.stat().st_size > MAX_BYTES:
        raise RecipeError(f"{weights} has {weights.stat().st_size:,} bytes; the zoo takes {MAX_BYTES:,}.")
    for name in (*MADE, *SHEETS):
        if (checkpoint / name).is_file():  # classifiers have no samples
            shutil.copyfile(checkpoint / name, entry.folder / name)
    set_weights(entry.folder / "recipe.toml", sha256=sha256(weights))
    print(f"{trained.name} is in {entry.folder}")


if __name__ == "__main__":
    app.run(main)
