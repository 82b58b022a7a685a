"""Model cards, README.md: made of what is known, with no number from elsewhere; what is not known is left out."""

import csv
import json
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

MEANINGS = {
    "accuracy": "accuracy",
    "mean_squared_error": "mean squared error of reconstructions, pixels in [0, 1]",
    "psnr": "PSNR of reconstructions, dB",
    "ssim": "SSIM of reconstructions",
    "bits_per_dim": "bits per dimension",
    "nats_per_image": "-log p(x), nats per binary image",
    "likelihood_calibration": "bits per dimension that the last factor of four in importance samples gained",
    "frechet_distance": "Fréchet distance",
    "kernel_distance": "kernel distance",
    "inception_score": "Inception score's formula",
    "cycle_error": "mean absolute error after translation there and back",
    "confidence": "mean confidence in samples",
    "sample_accuracy": "samples recognised as the class asked for",
    "ms_ssim": "MS-SSIM of pairs of samples",
    "memorisation": "samples nearer to one training image than 99 % of real images are",
    "path_length": "perceptual path length",
    "train_on_synthetic": "accuracy on real images after training on samples alone",
}
FAMOUS = {"frechet_distance": "FID", "kernel_distance": "KID", "inception_score": "Inception score"}
# Columns of log.csv that make the curve: a model's loss, or the losses of the players of a GAN.
CURVE = {
    "loss": "training",
    "val_loss": "validation",
    "discriminator_loss": "discriminator",
    "generator_loss": "generator",
    "diversity": "variance of samples over that of data",
}
TRANSLATORS = ("CycleGAN", "Pix2Pix")
# The Hub's nearest; it has no tag for classes without text.
TASKS = {"Classifier": "image-classification"} | dict.fromkeys(TRANSLATORS, "image-to-image")
DEFAULT_TASK = "unconditional-image-generation"


def title(metric):
    """What a figure is called in words; a famous name only with the network that it stands for."""
    base, _, extractor = metric.partition("/")
    if extractor == "inception-2015" and base in FAMOUS:
        return FAMOUS[base]
    return MEANINGS.get(base, base.replace("_", " ")) + (f", by {extractor}" if extractor else "")


def said(sampler):
    """How samples were drawn, in words: as `how_drawn` records it, or as a recipe says."""
    parts = [f"temperature {sampler['temperature']:g}"]
    if sampler["steps"] > 1:
        parts = [sampler.get("sampler") or sampler["name"], f"{sampler['steps']} steps", *parts]
    if "truncation" in sampler:
        parts.append(f"truncation {sampler['truncation']:g}")
    if sampler.get("guidance", 1.0) != 1.0:
        parts.append(f"guidance {sampler['guidance']:g}")
    return ", ".join(parts)


def _how(figure):
    how = [figure["kind"], f"{figure['pixels']} pixels"] if "pixels" in figure else []
    if "dequantization" in figure:
        how.append(f"{figure['dequantization']} dequantization")
    if "num_evaluations" in figure:
        how.append(f"{figure['num_evaluations']} evaluations an image")
    if isinstance(figure.get("num_importance_samples"), int):
        how.append(f"{figure['num_importance_samples']} importance samples")
    if "given" in figure:
        how.append(f"given each image at {' x '.join(map(str, figure['given'][:2]))}")
    if "sampler" not in figure:
        return ", ".join([*how, f"{figure['n']} images of `{figure['split']}`"])
    how.append(f"{figure['n_fake']} samples" if "n_fake" in figure else f"{figure['n']} pairs")
    if "n_real" in figure:
        how.append(f"{figure['n_real']} images of `{figure['split']}`")
    if "real" in figure:
        how.append(f"of the images {figure['real']:.4g}")
    return ", ".join([*how, said(figure["sampler"]), f"seed {figure['seed']}"])


def _rows(metrics):
    for name, figure in metrics.items():
        value = f"{figure['value']:.4g}"
        if figure.get("standard_error") is not None:
            value += f" ± {figure['standard_error']:.1g}"
        yield f"| {title(name)} | {value} | {_how(figure)} |"


def _samplers(table):
    """What tools/samplers.py measured, a line a sampler and number of steps."""
    lines = [["sampler", "steps", "seconds", "distance"], ["---"] * 4]
    for name, points in table["points"].items():
        lines += [[name, f"{p['steps']}", f"{p['seconds']:g}", f"{p['value']:.4g}"] for p in points]
    head = (
        f"{table['metric']}, of {table['n']} samples (seed {table['seed']}) to the first {table['n']} images of "
        f"`{table['split']}`, guidance {table['guidance']:g}; fewer of both than above. The seconds are for all "
        f"samples, with compilation, on {points[-1]['hardware']} ({points[-1]['backend']})."
    )
    return "## Samplers\n\n" + head + "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _curve(log):
    """A table of the losses, a line an epoch; of long runs some twenty epochs, the last one among them."""
    names = [name for name in CURVE if name in log[0]]
    stride = -(-len(log) // 20)
    rows = [row for index, row in enumerate(log) if (len(log) - 1 - index) % stride == 0]
    head = ["epoch", *(CURVE[name] for name in names)]
    lines = [head, ["---"] * len(head), *([row["epoch"], *(row[name] for name in names)] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _front(name, family, config, origin, recipe, report):
    """The YAML at the top, which the Hub reads."""
    results = None
    task = "image-to-image" if config.get("super_resolution") else TASKS.get(family, DEFAULT_TASK)
    dataset = recipe.dataset if recipe else None
    if recipe and report:
        results = [
            EvalResult(
                task_type=task,
                dataset_type=dataset.source,
                dataset_name=dataset.title or dataset.source,
                dataset_split=figure["split"],
                metric_type=metric,
                metric_name=f"{title(metric)} ({_how(figure)})",
                metric_value=figure["value"],
            )
            for metric, figure in report["metrics"].items()
        ]
    terms = recipe.weights.license if recipe else None
    return ModelCardData(
        library_name="keras",
        pipeline_tag=task,
        tags=["kerasgen", family],
        license=terms,
        license_name=f"{dataset.source.replace('_', '-')}-terms" if terms == "other" else None,
        license_link=dataset.url if terms == "other" else None,
        base_model=origin.partition("@")[0] if origin and "/" in origin else None,
        datasets=[dataset.source] if dataset and "/" not in dataset.source else None,
        model_name=name,
        eval_results=results,
    ).to_yaml()


def _snippet(handle, family, config, drawing):
    """Code that runs as printed."""
    shape, num_classes = config["image_shape"], config.get("num_classes")
    if family == "Classifier":
        return f"""```python
import kerasgen
import numpy as np

model = kerasgen.load("{handle}")
images = np.zeros((16, {", ".join(map(str, shape))}), np.uint8)  # yours, or float in [0, 1]
probabilities = model.classify(images)  # float32 [16, {num_classes}]
features = model.features(images)  # what distances between sets of images are measured in
```"""
    if family in TRANSLATORS:
        shape = (*shape[:2], config.get("source_channels") or shape[2])
        return f"""```python
import kerasgen
import numpy as np

model = kerasgen.load("{handle}")
images = np.zeros((16, {", ".join(map(str, shape))}), np.uint8)  # yours, or float in [0, 1]
translated = model.translate(images)  # float32 in [0, 1]
model.compile()  # then fine-tune: model.fit(images, images of the other kind)
```"""
    drawing = {name: value for name, value in drawing.items() if (name, value) != ("temperature", 1.0)}
    written = {name: json.dumps(value) if isinstance(value, str) else repr(value) for name, value in drawing.items()}
    settings = "".join(f", {name}={value}" for name, value in written.items())
    if factor := config.get("super_resolution"):
        small, full = [*(side // factor for side in shape[:2]), shape[2]], ", ".join(map(str, shape))
        arguments = (", labels=np.zeros(16, np.int32)" if num_classes else "") + settings
        return f"""```python
import kerasgen
import numpy as np

model = kerasgen.load("{handle}")
small = np.zeros((16, {", ".join(map(str, small))}), np.uint8)  # yours, or float in [0, 1]
images = model.upscale(small{arguments})  # float32 [16, {full}] in [0, 1]
model.compile()  # then fine-tune, on images of full size: model.fit(images{", labels" if num_classes else ""})
```"""
    arguments = (", labels=0" if num_classes else "") + settings
    what = "images" if len(shape) == 3 else "vectors"
    comment = f"float32 [16, {', '.join(map(str, shape))}]" + (" in [0, 1]" if what == "images" else "")
    return f"""```python
import kerasgen

model = kerasgen.load("{handle}")
{what} = model.sample(16{arguments})  # {comment}
model.compile()  # then fine-tune: model.fit({what}{", labels" if num_classes else ""})
```"""


def _training(handle, recipe, report, log):
    dataset = recipe.dataset
    title = dataset.title or dataset.source
    source = f"[{title}]({dataset.url})" if dataset.url else title
    terms = "".join(f" {text}" for text in (dataset.license and f"Licence: {dataset.license}.", dataset.terms) if text)
    lines = [
        f"- Data: {source}, split `{dataset.train_split}`.{terms}",
        f"- Recipe: `recipe.toml` here; `kerasgen train {handle} --workdir DIR` repeats it.",
    ]
    if report:
        facts = report["training"]
        lines.append(
            f"- {report['parameters']:,} parameters, {facts['epochs']} epochs, {facts['steps']:,} steps of "
            f"{recipe.training.batch_size}; {facts['hours']} hours on {facts['hardware']} ({facts['backend']})."
        )
    text = "## Training\n\n" + "\n".join(lines)
    return text + (f"\n\nThe loss, of which `log.csv` has the parts:\n\n{_curve(log)}" if log else "")


def card(handle, family, config, origin=None, recipe=None, report=None, log=None, grid=True):
    """The Markdown text of a card.

    Args:
        handle: what `kerasgen.load` takes: a zoo name or "user/repo".
        family: the class name.
        config: the model's `get_config()`, or as much of it as a recipe has.
        origin: the handle that the model was loaded from before it was fine-tuned, or `None`.
        recipe, report, log: its `Recipe`, what metrics.json says and the rows of log.csv, as far as there are.
        grid: whether samples.png is there.
    """
    shape = config["image_shape"]
    settings = recipe.evaluation if recipe else None
    drawing = settings.drawing if settings else {}
    parts = [f"# {handle}", recipe.description if recipe else f"A {family} made with kerasgen."]
    if origin:
        parts.append(f"Fine-tuned from `{origin}`.")
    if grid and settings and config.get("super_resolution"):
        parts += [
            "![enlarged images](samples.png)",
            f"The first images of `{settings.split}`, not picked, made small; below each what was drawn for it (seed "
            f"{settings.seed}, {said({'temperature': 1.0, 'steps': 1} | drawing)}), and below that the image itself.",
        ]
    elif grid and family in TRANSLATORS:
        parts += [
            "![translations](samples.png)",
            "The first images of both kinds, not picked, and below each its translation into the other kind.",
        ]
    elif grid and not config.get("super_resolution"):
        number, seed = (settings.grid, settings.seed) if settings else (100, 0)
        parts += [
            "![samples](samples.png)",
            f"{number} samples, seed {seed}, {said({'temperature': 1.0, 'steps': 1} | drawing)}, not picked.",
        ]
    parts.append(_snippet(handle, family, config, drawing))
    if recipe and report:
        metrics = "\n".join(_rows(report["metrics"]))
        parts.append(
            f"## Measured\n\n`kerasgen evaluate {handle}` ({report['seconds']} s on "
            f"{report['evaluation']['hardware']}, {report['evaluation']['backend']}):\n\n"
            f"| figure | value | how |\n| --- | --- | --- |\n{metrics}"
        )
    if report and "samplers" in report:
        parts.append(_samplers(report["samplers"]))
    if recipe:
        parts.append(_training(handle, recipe, report, log))
    seen = f"like those of {recipe.dataset.title or recipe.dataset.source} " if recipe else ""
    purpose = "Measures" if family == "Classifier" else "For research, teaching and tests of"
    parts.append(
        f"## Use and limits\n\n{purpose} generative models. It knows nothing but data "
        f"{seen}of the shape {' x '.join(map(str, shape))}, with whatever bias is in what it was trained on."
    )
    front = _front(handle.rpartition("/")[2], family, config, origin, recipe, report)
    return f"---\n{front}\n---\n\n" + "\n\n".join(parts) + "\n"


def write_card(recipe, report, folder):
    """Writes the README.md of an entry of the zoo; log.csv is there already."""
    with open(Path(folder) / "log.csv", newline="") as file:
        log = list(csv.DictReader(file))
    config = json.loads((Path(folder) / "config.json").read_text())["config"]
    family = recipe.model.class_name
    text = card(recipe.name, family, config, None, recipe, report, log, grid=family != "Classifier")
    (Path(folder) / "README.md").write_text(text)
