"""Writes a folder that is a Space of the Hugging Face Hub: the page of `kerasgen demo` with one model, for anyone.

    python tools/make_space.py latent-flow-celeba --output=DIR
    python tools/make_space.py ./my-model --output=DIR
    hf upload me/my-space DIR --repo-type=space

The folder holds all that is served: kerasgen as it is here, so that the Space needs no release of it, and the model,
a name of the zoo or a checkpoint. Visitors have that model alone; what they upload is bounded as on the local page.
"""

import importlib.metadata
import shutil
import sys
import tomllib
from pathlib import Path

from absl import app, flags
from huggingface_hub import SpaceCard, SpaceCardData

from kerasgen.errors import InputError, KerasgenError
from kerasgen.hub.card import license_of
from kerasgen.hub.publication import write_package
from kerasgen.hub.registry import checkpoint_folder, entries, find
from kerasgen.recipes import Recipe

OUTPUT = flags.DEFINE_string("output", None, "folder to write, new or empty", required=True)

ROOT = Path(__file__).parents[1]
PORT = 7860  # where Spaces look, unless they say otherwise
APP = f'''"""Serves the page of this Space; made by tools/make_space.py of kerasgen."""

import os
from pathlib import Path

from kerasgen.demo import page

MODEL = {{model!r}}

os.chdir(Path(__file__).parent)
port, host = os.environ.get("GRADIO_SERVER_PORT", "{PORT}"), os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0")
demo = page.launch([MODEL], MODEL, int(port), host)
demo.block_thread()
'''


def gradio_version():
    """The version of Gradio that is installed, which the Space is to have."""
    try:
        return importlib.metadata.version("gradio")
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(
            'a Space is of one version of Gradio, that which is here: pip install -e ".[demo]".'
        ) from error


def requirements():
    """What pip installs for a Space: all that kerasgen and its page need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["demo"]]


def put_model(model, folder):
    """Puts a model into the folder of a Space.

    Returns:
        Its name there, and its recipe, if it has one.
    """
    if model in entries():
        checkpoint_folder(model)  # raises: its weights are nowhere, or are others
        entry = find(model)
        shutil.copytree(entry.folder, folder / "zoo" / model)
        return model, entry.recipe
    path = Path(model).resolve()
    if not path.exists():
        raise InputError(f"{model} is no name of the zoo and no checkpoint; 'kerasgen list' shows the names.")
    name = path.stem if path.is_file() else path.name
    target = folder / "models" / name
    target.mkdir(parents=True)
    write_package(path, target, name)
    recipe = target / "recipe.toml"
    return f"./models/{name}", Recipe.load(recipe) if recipe.is_file() else None


def make(model, folder):
    """Writes the Space of a model to a new or empty folder; whatever fails leaves nothing in it."""
    version = gradio_version()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there and not empty; expected a new folder. Remove it, or name another.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        served, recipe = put_model(model, folder)
        shutil.copytree(ROOT / "kerasgen", folder / "kerasgen", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "app.py").write_text(APP.format(model=served), encoding="utf-8")
        (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements()), encoding="utf-8")
        (folder / "README.md").write_text(str(card(served, recipe, version)), encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder)
        raise


def card(served, recipe, version):
    """The README.md of a Space, whose front matter configures it."""
    name = Path(served).name
    data = SpaceCardData(
        title=name,
        emoji="🎲",
        colorFrom="indigo",
        colorTo="pink",
        sdk="gradio",
        sdk_version=version,
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        app_file="app.py",
        pinned=False,
        models=[recipe.weights.handle] if recipe and recipe.weights.handle else None,
        **(license_of(recipe) if recipe else {}),
    )
    told = [recipe.description, recipe.dataset.terms] if recipe else ["A model made with kerasgen."]
    return SpaceCard("\n\n".join([f"---\n{data.to_yaml()}\n---", f"# {name}", *filter(None, told)]) + "\n")


def main(arguments):
    if len(arguments) != 2:
        raise app.UsageError("expected one model, a name of the zoo or a checkpoint.")
    folder = Path(OUTPUT.value)
    try:
        make(arguments[1], folder)
    except KerasgenError as error:
        sys.exit(f"make_space: {error}")
    print(f"The Space is in {folder}; send it with: hf upload USER/NAME {folder} --repo-type=space")


if __name__ == "__main__":
    app.run(main)
