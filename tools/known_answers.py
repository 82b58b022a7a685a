"""What the metrics say where the answer is known: writes zoo/METRICS.md.

Images of the real test set are measured against another half of it as they are, blurred, without one class, replaced
by noise, or replaced by training images.

python tools/known_answers.py
"""

import numpy as np
from absl import app, flags, logging
from scipy import ndimage

from kerasgen import GenerativeModel, metrics
from kerasgen.hub.card import markdown_table
from kerasgen.hub.figure_names import title
from kerasgen.hub.registry import find_recipe, zoo_folder
from kerasgen.recipes import Evaluation, Recipe
from kerasgen.training.datasets import load_split
from kerasgen.training.extractors import load_extractor

EXTRACTORS = flags.DEFINE_list("extractors", ["lenet-mnist", "resnet-fashion-mnist"], "classifiers of the zoo")

METRICS = ["frechet_distance", "kernel_distance", "precision_recall", "density_coverage", "inception_score", "ms_ssim"]


class Replay(GenerativeModel):
    """A model that draws the images it was given, and copies none of them otherwise."""

    def __init__(self, images):
        super().__init__(images.shape[1:])
        self.images = images

    def sample(self, num_samples, labels=None, seed=None, temperature=1.0, batch_size=64, verbose="auto"):
        return self.images[:num_samples] / np.float32(255.0)


def cases(recipe):
    """Half of the test set, training images, and `{name: images}` of what to measure against that half."""
    test, labels = load_split(recipe, recipe.dataset.test_split)
    training, _ = load_split(recipe, recipe.dataset.train_split)
    order = np.random.default_rng(0).permutation(len(test))
    test, labels = test[order], labels[order]
    half = len(test) // 2
    real, other, of = test[:half], test[half:], labels[half:]
    kept = other[of != 0]
    blurred = {
        f"blurred, σ = {s} pixel{'s' * (s > 1)}": np.rint(
            ndimage.gaussian_filter(other.astype(np.float32), (0, s, s, 0))
        )
        for s in (1, 2, 3)
    }
    noise = np.random.default_rng(1).integers(0, 256, other.shape, dtype=np.uint8)
    return (
        real,
        training,
        {
            "the other half (the floor)": other,
            "without class 0": kept[np.arange(half) % len(kept)],
            **{name: images.astype(np.uint8) for name, images in blurred.items()},
            "uniform noise": noise,
            "training images": training[:half],
        },
    )


def table(extractor):
    recipe = Recipe.load(find_recipe(extractor))
    real, training, fakes = cases(recipe)
    how = {"extractor": load_extractor(extractor), "training": lambda: training, "verbose": 0}
    rows = []
    for name, images in fakes.items():
        settings = Evaluation(num_samples=len(images))
        run = metrics.Evaluation(Replay(images), real, None, recipe.dataset.test_split, settings=settings, **how)
        figures = metrics.evaluate(run, [*METRICS, "memorisation"])["metrics"]
        flags = (" **flagged**" if figure.get("flagged") else "" for figure in figures.values())
        values = (f"{figure['value']:.4g}" for figure in figures.values())
        rows.append([name, *map("".join, zip(values, flags, strict=True))])
    lines = markdown_table(["", *map(title, figures)], rows)
    return f"## {recipe.dataset.title}\n\n{len(real):,} real test images against as many of each kind.\n\n{lines}"


def main(_):
    logging.set_verbosity(logging.ERROR)
    head = (
        "# What the metrics say where the answer is known\n\nMade by `python tools/known_answers.py`. A dropped class "
        "costs recall and coverage, not precision; blur costs recall first and precision as it grows; noise costs "
        "all recall and coverage, but a classifier may place it among the images, and then precision does not see it; "
        "everything but the other half and training images costs distance; only training images are flagged as copies."
    )
    path = zoo_folder() / "METRICS.md"
    path.write_text("\n\n".join([head, *map(table, EXTRACTORS.value)]) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    app.run(main)
