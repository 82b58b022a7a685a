"""Measures samplers of an entry of the zoo against each other, into its metrics.json and its card.

Each one draws the same number of images from the same seed, without guidance unless it is asked for; the Fréchet
distance is that to as many real images, of fewer than in the card's other figures. A model that enlarges images draws
them for those real ones, made small. What is in metrics.json already for these weights and these settings is kept: run
it again to go on.

python tools/samplers.py --model ddpm-mnist --num_samples 2000 --samplers dpm++:20,heun:10:karras,ddpm:1000
"""

import dataclasses
import json
import time

from absl import app, flags, logging

import kerasgen
from kerasgen.hub.card import write_card
from kerasgen.hub.figure_names import title
from kerasgen.hub.registry import find
from kerasgen.metrics import Evaluation, Moments, frechet_distance
from kerasgen.training.datasets import load_split
from kerasgen.training.extractors import load_extractor
from kerasgen.training.hardware import describe

MODEL = flags.DEFINE_string("model", None, "zoo name", required=True)
NUM_SAMPLES = flags.DEFINE_integer("num_samples", 2000, "images of each sampler", lower_bound=100)
SAMPLERS = flags.DEFINE_list(
    "samplers",
    [
        "dpm++:10",
        "dpm++:20",
        "dpm++:50",
        "unipc:10",
        "unipc:20",
        "ddim:20",
        "ddim:50",
        "heun:10:karras",
        "ddpm:50",
        "ddpm:1000",
    ],
    "names with their steps and, if not trailing, their spacing",
)
GUIDANCE = flags.DEFINE_float("guidance", 1.0, "strength of guidance")


def moments(extractor, images):
    """Mean and covariance of their features."""
    found = Moments()
    found.update(extractor.extract(images)[0])
    return found.result()


def main(_):
    logging.set_verbosity(logging.ERROR)
    entry = find(MODEL.value)
    settings, model = entry.recipe.evaluation, kerasgen.load(MODEL.value)
    extractor = load_extractor(settings.extractor)
    metric = f"frechet_distance/{extractor.name}"
    protocol = {
        "metric": title(metric),
        "n": NUM_SAMPLES.value,
        "split": settings.split,
        "extractor_sha256": extractor.sha256,
        "weights_sha256": entry.metrics["weights_sha256"],
        "seed": settings.seed,
        "guidance": GUIDANCE.value,
    }
    table = entry.metrics.get("samplers", {})
    if any(table.get(key) != value for key, value in protocol.items()):
        table = protocol | {"points": {}}
    images, labels = load_split(entry.recipe, settings.split)
    images, labels = images[: NUM_SAMPLES.value], None if labels is None else labels[: NUM_SAMPLES.value]
    real = moments(extractor, images)
    others = settings.drawing | {"guidance": GUIDANCE.value}
    for text in SAMPLERS.value:
        name, steps, *spacing = text.split(":")
        steps, spacing = int(steps), {"spacing": spacing[0]} if spacing else {}
        points = table["points"].setdefault(", ".join([name, *spacing.values()]), [])
        if any(point["steps"] == steps for point in points):
            continue
        drawing = others | {"sampler": name, "steps": steps} | spacing
        drawn_so = dataclasses.replace(settings, num_samples=NUM_SAMPLES.value, sampling=drawing)
        evaluation = Evaluation(model, images, labels, settings.split, settings=drawn_so)
        before = time.monotonic()
        drawn = evaluation.samples
        seconds = time.monotonic() - before
        value = float(frechet_distance(*real, *moments(extractor, drawn)))
        points.append({"steps": steps, "seconds": round(seconds, 1), "value": value} | describe())
        points.sort(key=lambda point: point["steps"])
        print(f"{text}: {value:.4g} in {seconds:.1f} s")
        report = entry.metrics | {"samplers": table}
        (entry.folder / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
        write_card(entry.recipe, model, report, entry.folder)


if __name__ == "__main__":
    app.run(main)
