"""Draws the gallery of the README, a row a family in colour, and measures how long entries take to load and draw.

    python tools/gallery.py --output=docs/gallery.png
    python tools/gallery.py --seconds=zoo/SECONDS.json

The pictures are the first that a model shows of itself, of seed 0, not picked; translations and reconstructions are of
the first images of the recipe's test split, above what was made of them. Seconds are of a process of its own each:
those of `kerasgen.load`, and of the first 64 samples after it (of what translates or only reconstructs, of the first 64
test images), compilation included.
"""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

from absl import app, flags

OUTPUT = flags.DEFINE_string("output", None, "write the gallery to this PNG")
SECONDS = flags.DEFINE_string("seconds", None, "write the seconds of all bundled entries to this JSON")
ENTRY = flags.DEFINE_string("entry", None, "for this tool itself: the entry that a process measures")

ROWS = {
    "Autoencoder: reconstructions": "ae-celeba",
    "VAE, latents by flow matching": "vae-flow-celeba",
    "GAN": "sngan-celeba",
    "Flow": "glow-celeba",
    "Diffusion of latents": "latent-flow-celeba",
    "Enlargement, 16 to 64": "sr4-celeba",
    "Translation: smiles": "cyclegan-celeba-smile",
    "Translation: colours": "pix2pix-celeba-colour",
}
COLUMNS = 10
MARGIN, TITLE = 8, 18  # pixels around pictures, and above a row
DRAWN = 64


def strip(name):
    """The first pictures of an entry, uint8 `[h, w, 3]`: a row of samples, or of images above what was made of them."""
    import numpy as np

    import kerasgen
    from kerasgen import pictures
    from kerasgen.hub.registry import find
    from kerasgen.training.datasets import load_split

    recipe, model = find(name).recipe, kerasgen.load(name)
    settings = dataclasses.replace(recipe.evaluation, grid=COLUMNS)
    examples, labels = load_split(recipe, f"{recipe.dataset.test_split}[:200]")
    exhibit = model.exhibit(examples, labels, settings)[0]
    columns = exhibit.columns or COLUMNS
    found = np.clip(exhibit.draw(), 0.0, 1.0)[: 2 * columns]
    return pictures.grid(found, columns)


def gallery(path):
    """Writes the rows of those entries that are bundled."""
    from PIL import Image, ImageDraw

    from kerasgen.hub.registry import entries

    known = entries()
    strips = {title: Image.fromarray(strip(name)) for title, name in ROWS.items() if known[name].bundled}
    width = max(image.width for image in strips.values()) + 2 * MARGIN
    height = sum(image.height + TITLE + MARGIN for image in strips.values())
    picture, top = Image.new("RGB", (width, height), "white"), 0
    for title, image in strips.items():
        ImageDraw.Draw(picture).text((MARGIN, top + 4), f"{title} ({ROWS[title]})", fill="black")
        picture.paste(image, (MARGIN, top + TITLE))
        top += image.height + TITLE + MARGIN
    picture.save(path, optimize=True)


def measure(name):
    """Prints the seconds of an entry as JSON."""
    start = time.perf_counter()
    import kerasgen
    from kerasgen.hub.registry import find
    from kerasgen.training.datasets import load_split

    imported = time.perf_counter()
    model = kerasgen.load(name)
    loaded = time.perf_counter()
    recipe = find(name).recipe
    if "sample" in model.offers and model.given_shape is None and getattr(model, "density", True) is not None:
        begin = time.perf_counter()
        model.sample(DRAWN, seed=0, verbose=0, **recipe.evaluation.drawing)
    else:
        examples, labels = load_split(recipe, f"{recipe.dataset.test_split}[:{2 * DRAWN}]")
        given = examples[:DRAWN]
        begin = time.perf_counter()
        if model.given_shape is None:
            model.reconstruct(given, verbose=0)
        else:
            model.synthesize(DRAWN, given, None if labels is None else labels[:DRAWN], seed=0, batch_size=64, verbose=0)
    end = time.perf_counter()
    print(json.dumps({"import": imported - start, "load": loaded - imported, "samples": end - begin}))


def seconds(path):
    """Writes the seconds of all bundled generative entries, and the machine."""
    import keras

    from kerasgen import list_models
    from kerasgen.training import hardware

    found = {}
    for model in list_models():
        if model["bundled"] and model["family"] != "Classifier":
            command = [sys.executable, __file__, f"--entry={model['name']}"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[model["name"]] = {k: round(v, 1) for k, v in json.loads(done.stdout.splitlines()[-1]).items()}
            print(model["name"], found[model["name"]], flush=True)
    machine = hardware.describe() | {"samples": DRAWN, "backend": keras.backend.backend()}
    Path(path).write_text(json.dumps({"machine": machine, "seconds": found}, indent=2) + "\n")


def main(_):
    if ENTRY.value:
        return measure(ENTRY.value)
    if not OUTPUT.value and not SECONDS.value:
        raise app.UsageError("nothing to do: give --output or --seconds")
    if OUTPUT.value:
        gallery(OUTPUT.value)
    if SECONDS.value:
        seconds(SECONDS.value)


if __name__ == "__main__":
    app.run(main)
