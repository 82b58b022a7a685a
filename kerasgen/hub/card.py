"""Model cards, README.md: made of what is known, with no number from elsewhere; what is not known is left out."""

import csv
import os
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from kerasgen.base.exhibit import describe_sampling
from kerasgen.metrics.names import title
from kerasgen.recipes import Evaluation, Recipe

# Columns of log.csv that make the curve: a model's loss, or the losses of the players of a GAN.
CURVE = {
    "loss": "training",
    "val_loss": "validation",
    "discriminator_loss": "discriminator",
    "generator_loss": "generator",
    "diversity": "variance of samples over that of data",
}


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
    return ", ".join([*how, describe_sampling(figure["sampler"]), f"seed {figure['seed']}"])


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


def _front(name, model, recipe, report):
    """The YAML at the top, which the Hub reads."""
    results = None
    dataset = recipe.dataset if recipe else None
    if recipe and report:
        results = [
            EvalResult(
                task_type=model.task,
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
    origin = None if recipe else model.origin
    return ModelCardData(
        library_name="keras",
        pipeline_tag=model.task,
        tags=["kerasgen", type(model).__name__],
        license=terms,
        license_name=f"{dataset.source.replace('_', '-')}-terms" if terms == "other" else None,
        license_link=dataset.url if terms == "other" else None,
        base_model=origin.partition("@")[0] if origin and "/" in origin else None,
        datasets=[dataset.source] if dataset and "/" not in dataset.source else None,
        model_name=name,
        eval_results=results,
    ).to_yaml()


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


def card(
    handle: str,
    model: Any,
    recipe: Recipe | None = None,
    report: dict | None = None,
    log: list[dict] | None = None,
    grid: bool = True,
) -> str:
    """The Markdown text of a card.

    Args:
        handle: what `kerasgen.load` takes: a zoo name or "user/repo".
        model: which says of itself what it does; its `origin` is what it was fine-tuned from.
        recipe, report, log: its `Recipe`, what metrics.json says and the rows of log.csv, as far as there are.
        grid: whether samples.png is there.
    """
    settings = recipe.evaluation if recipe else Evaluation()
    parts = [f"# {handle}", recipe.description if recipe else f"A {type(model).__name__} made with kerasgen."]
    if model.origin and not recipe:
        parts.append(f"Fine-tuned from `{model.origin}`.")
    if grid and (exhibits := model.exhibit(None, None, settings)):
        parts += ["![what it draws](samples.png)", exhibits[0].caption]
    parts.append(f"```python\n{model.snippet(handle, settings.drawing if recipe else None)}\n```")
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
    parts.append(
        f"## Use and limits\n\n{model.purpose} generative models. It knows nothing but data "
        f"{seen}of the shape {' x '.join(map(str, model.shape))}, with whatever bias is in what it was trained on."
    )
    front = _front(handle.rpartition("/")[2], model, recipe, report)
    return f"---\n{front}\n---\n\n" + "\n\n".join(parts) + "\n"


def read_log(folder: Path) -> list[dict] | None:
    """The rows of log.csv, or `None` without that file."""
    if not (folder / "log.csv").is_file():
        return None
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def write_card(recipe: Recipe, model: Any, report: dict, folder: str | os.PathLike) -> None:
    """Writes the README.md of an entry of the zoo; log.csv and samples.png, if there is one, are there already."""
    folder = Path(folder)
    text = card(recipe.name, model, recipe, report, read_log(folder), (folder / "samples.png").is_file())
    (folder / "README.md").write_text(text)
