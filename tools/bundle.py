"""Takes a finished run into the zoo: its checkpoint, figures, grid and card, and the weights' SHA-256 into the recipe.

python tools/bundle.py --run /path/to/run
"""

import shutil
from pathlib import Path

from absl import app, flags
from pinning import set_weights

from kerasgen.checkpoints import sha256
from kerasgen.errors import RecipeError
from kerasgen.hub.client import SHEETS
from kerasgen.hub.registry import find
from kerasgen.recipes import Recipe

RUN = flags.DEFINE_string("run", None, "folder of a finished run (kerasgen train --workdir)", required=True)

MADE = ("config.json", "metadata.json", "model.weights.h5", "metrics.json", "log.csv", "README.md")
MAX_BYTES = 12_000_000


def main(_):
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
