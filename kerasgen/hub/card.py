"""Model cards, README.md: made of what is known, with no number from elsewhere; what is not known is left out."""

from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from kerasgen.base import describe_sampling
from kerasgen.hub.figure_names import title
from kerasgen.hub.registry import read_log
from kerasgen.modalities.tokens import unescaped
from kerasgen.recipes import Evaluation, Recipe
from kerasgen.typing import Any, Sequence

# Columns of log.csv that make the curve: a model's loss, or the losses of the players of a GAN.
CURVE = {
    "loss": "training",
    "val_loss": "validation",
    "discriminator_loss": "discriminator",
    "generator_loss": "generator",
    "diversity": "variance of samples over that of data",
}


def _how(figure):
    what = figure.get("of", "images")
    how = [figure["kind"]] if "pixels" in figure or ("kind" in figure and "of" in figure) else []
    how += [f"{figure['pixels']} pixels"] if "pixels" in figure else []
    if "dequantization" in figure:
        how.append(f"{figure['dequantization']} dequantization")
    if "num_evaluations" in figure:
        how.append(f"{figure['num_evaluations']} evaluations {'an image' if what == 'images' else f'a {what[:-1]}'}")
    if isinstance(figure.get("num_importance_samples"), int):
        how.append(f"{figure['num_importance_samples']} importance samples")
    if "given" in figure:
        how.append(f"given each image at {' x '.join(map(str, figure['given'][:2]))}")
    if "scorer" in figure:
        how.append(f"scored by {figure['scorer']}, {figure['n_normal']} normal and {figure['n_anomalous']} others")
        return ", ".join([*how, f"`{figure['split']}`"])
    if "perplexity" in figure:
        how.append(f"{figure['num_codes']} codes, perplexity {figure['perplexity']:.0f}")
    if "sampler" not in figure:
        return ", ".join([*how, f"{figure['n']} {what} of `{figure['split']}`"])
    how.append(f"{figure['n_fake']} samples" if "n_fake" in figure else f"{figure['n']} pairs")
    if "n_real" in figure:
        how.append(f"{figure['n_real']} {what} of `{figure['split']}`")
    if "real" in figure:
        how.append(f"of the {what} {figure['real']:.4g}")
    return ", ".join([*how, describe_sampling(figure["sampler"]), f"seed {figure['seed']}"])


def markdown_table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figures(metrics):
    rows = []
    for name, figure in metrics.items():
        error = figure.get("standard_error")
        spread = "" if error is None else f" ± {error:.1g}"
        rows.append([title(name), f"{figure['value']:.4g}{spread}", _how(figure)])
    return markdown_table(["figure", "value", "how"], rows)


def _samplers(table):
    """What tools/samplers.py measured, a line a sampler and number of steps."""
    points = [(name, point) for name, points in table["points"].items() for point in points]
    rows = [[name, f"{p['steps']}", f"{p['seconds']:g}", f"{p['value']:.4g}"] for name, p in points]
    last = points[-1][1]
    head = (
        f"{table['metric']}, of {table['n']} samples (seed {table['seed']}) to the first {table['n']} images of "
        f"`{table['split']}`, guidance {table['guidance']:g}; fewer of both than above. The seconds are for all "
        f"samples, with compilation, on {last['hardware']} ({last['backend']})."
    )
    return f"## Samplers\n\n{head}\n\n" + markdown_table(["sampler", "steps", "seconds", "distance"], rows)


def _curve(log):
    """A table of the losses, a line an epoch; of long runs some twenty epochs, the last one among them."""
    names = [name for name in CURVE if name in log[0]]
    stride = -(-len(log) // 20)
    rows = [row for index, row in enumerate(log) if (len(log) - 1 - index) % stride == 0]
    head = ["epoch", *(CURVE[name] for name in names)]
    return markdown_table(head, ([row["epoch"], *(row[name] for name in names)] for row in rows))


def _texts(written):
    """Some of the texts that `Tokens.save` has written, as they read."""
    texts = unescaped(written)
    lines = any("\n" in text for text in texts)
    shown = f"\n{'-' * 20}\n".join(texts[:3]) if lines else "\n".join(texts[:30])
    return f"```text\n{shown}\n```"


def license_of(recipe: Recipe) -> dict[str, str | None]:
    """The license of the weights of a recipe, as front matter says it."""
    name, dataset = recipe.weights.license, recipe.dataset
    if name != "other":
        return {"license": name}
    return {"license": name, "license_name": f"{dataset.source.replace('_', '-')}-terms", "license_link": dataset.url}


def _front(name, model, recipe, report):
    """The YAML at the top, which the Hub reads."""
    results = None
    dataset = recipe.dataset if recipe else None
    if recipe and report:
        data = {"dataset_type": dataset.source, "dataset_name": dataset.title or dataset.source}
        results = []
        for metric, figure in report["metrics"].items():
            measured = {"metric_name": f"{title(metric)} ({_how(figure)})", "metric_value": figure["value"]}
            measured |= {"task_type": model.task, "metric_type": metric, "dataset_split": figure["split"]}
            results.append(EvalResult(**measured, **data))
    origin = None if recipe else model.origin
    return ModelCardData(
        library_name="keras",
        pipeline_tag=model.task,
        tags=["kerasgen", type(model).__name__],
        **(license_of(recipe) if recipe else {}),
        base_model=origin.partition("@")[0] if origin and "/" in origin else None,
        datasets=[dataset.source] if dataset and "/" not in dataset.source and not dataset.texts else None,
        model_name=name,
        eval_results=results,
    ).to_yaml()


def _training(handle, recipe, report, log):
    dataset = recipe.dataset
    title = dataset.title or dataset.source
    source = f"[{title}]({dataset.url})" if dataset.url else title
    terms = "".join(f" {text}" for text in (dataset.license and f"Licence: {dataset.license}.", dataset.terms) if text)
    text = f"## Training\n\n- Data: {source}, split `{dataset.train_split}`.{terms}"
    text += f"\n- Recipe: `recipe.toml` here; `kerasgen train {handle} --workdir DIR` repeats it."
    if report:
        facts = report["training"]
        text += f"\n- {report['parameters']:,} parameters, {facts['epochs']} epochs, {facts['steps']:,} steps of "
        text += f"{recipe.training.batch_size}; {facts['hours']} hours on {facts['hardware']} ({facts['backend']})."
    return text + (f"\n\nThe loss, of which `log.csv` has the parts:\n\n{_curve(log)}" if log else "")


def write_card(
    recipe: Recipe | None, model: Any, report: dict[str, Any], folder: Path, handle: str | None = None
) -> None:
    """Writes the card of a folder to its README.md; log.csv and samples.png are told of if they are there.

    Args:
        recipe: of the model, or `None`.
        model: which says of itself what it does; its `origin` is what it was fine-tuned from.
        report: what metrics.json says; empty without one.
        handle: what `kerasgen.load` takes, "user/repo"; the recipe's name if `None`.
    """
    handle = recipe.name if handle is None else handle
    settings, log = recipe.evaluation if recipe else Evaluation(), read_log(folder)
    parts = [f"# {handle}", recipe.description if recipe else f"A {type(model).__name__} made with kerasgen."]
    if model.origin and not recipe:
        parts.append(f"Fine-tuned from `{model.origin}`.")
    shown = folder / model.modality.sheet
    if shown.is_file() and (exhibits := model.exhibit(None, None, settings)):
        told = f"![samples]({shown.name})" if shown.suffix != ".txt" else _texts(shown.read_text(encoding="utf-8"))
        parts += [told, exhibits[0].caption]
    parts.append(f"```python\n{model.snippet(handle, settings.drawing if recipe else None)}\n```")
    if recipe and report:
        facts = report["evaluation"]
        command = f"`kerasgen evaluate {handle}` ({report['seconds']} s on {facts['hardware']}, {facts['backend']}):"
        parts.append(f"## Measured\n\n{command}\n\n{_figures(report['metrics'])}")
    if "samplers" in report:
        parts.append(_samplers(report["samplers"]))
    if recipe:
        parts.append(_training(handle, recipe, report, log))
    seen = f"like those of {recipe.dataset.title or recipe.dataset.source} " if recipe else ""
    parts.append(
        f"## Use and limits\n\n{model.purpose} generative models. It knows nothing but data "
        f"{seen}of the shape {' x '.join(map(str, model.shape))}, with whatever bias is in what it was trained on."
    )
    front = _front(handle.rpartition("/")[2], model, recipe, report)
    text = f"---\n{front}\n---\n\n" + "\n\n".join(parts) + "\n"
    (folder / "README.md").write_text(text, encoding="utf-8")
