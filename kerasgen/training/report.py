"""One self-contained HTML page of a model: its figures, its curve of training, and pictures of all that it does."""

import html
import io
import json
from pathlib import Path

import numpy as np

from kerasgen.base import BaseModel, with_progress
from kerasgen.base.display import picture_html, texts_html
from kerasgen.hub.figure_names import title
from kerasgen.hub.registry import read_log, read_metrics
from kerasgen.metrics.figures import pixels
from kerasgen.metrics.neighbours import nearest
from kerasgen.modalities import Images, Tokens
from kerasgen.pictures import to_image
from kerasgen.recipes import Recipe
from kerasgen.training.datasets import load_split

COLUMNS = 10
STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse } td, th { padding: .2em .8em; text-align: left; border-bottom: 1px solid #ddd }
figure { margin: 1em 0 } figcaption { color: #555 }
svg { font: 12px sans-serif } details { color: #555 }
"""


def _picture(picture, caption):
    file = io.BytesIO()
    to_image(picture).save(file, "png", optimize=True)
    return picture_html(file.getvalue(), caption)


def curve(lines: dict[str, list], x_name: str, y_name: str, width: int = 560, height: int = 280) -> str:
    """An SVG picture of lines, `{name: [(x, y), ...]}`, with the ends of both axes labelled."""
    points = [point for line in lines.values() for point in line if np.isfinite(point).all()]
    (left, low), (right, high) = np.min(points, axis=0), np.max(points, axis=0)

    def place(x, y):
        across, up = (x - left) / max(right - left, 1e-12), (y - low) / max(high - low, 1e-12)
        return 50 + (width - 70) * across, height - 30 - (height - 50) * up

    parts = [f'<svg role="img" width="{width}" height="{height}" viewBox="0 0 {width} {height}">']
    parts.append(f'<path d="M50 20V{height - 30}H{width - 20}" fill="none" stroke="#999"/>')
    for index, (name, line) in enumerate(lines.items()):
        colour = ("#1b6ca8", "#c84b31", "#2d8659", "#7a4fa3")[index % 4]
        places = [place(*point) for point in line if np.isfinite(point).all()]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in places]
        parts.append(f'<text x="{width - 150}" y="{30 + 16 * index}" fill="{colour}">{html.escape(name)}</text>')
    for x, y, anchor, text in (
        (45, height - 30, "end", f"{low:.4g}"),
        (45, 25, "end", f"{high:.4g}"),
        (50, height - 14, "middle", f"{left:.4g}"),
        (width - 20, height - 14, "middle", f"{right:.4g}"),
        (width / 2, height - 6, "middle", x_name),
        (55, 14, "start", y_name),
    ):
        parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{html.escape(text)}</text>')
    return "".join(parts) + "</svg>"


def _figures(report):
    rows = []
    for name, figure in report["metrics"].items():
        interval = figure.get("confidence_interval")
        interval = f"{interval[0]:.4g} to {interval[1]:.4g}" if interval else ""
        how = {k: v for k, v in figure.items() if k not in ("value", "standard_error", "confidence_interval")}
        cells = (title(name), f"{figure['value']:.5g}", interval)
        row = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        row += f"<td><details><summary>protocol</summary>{html.escape(json.dumps(how))}</details></td>"
        rows.append(f"<tr>{row}</tr>")
    return "<table><tr><th>figure</th><th>value</th><th>95 %</th><th></th></tr>" + "".join(rows) + "</table>"


def _loss(log):
    keys = {name: key for name, key in (("training", "loss"), ("validation", "val_loss")) if key in log[0]}
    points = {name: [(float(at["epoch"]), float(at[key])) for at in log if at.get(key)] for name, key in keys.items()}
    return curve(points, "epoch", "loss")


def _pictures(model, recipe):
    """All that the model shows of itself; and, of models that draw from nothing, what samples are nearest to."""
    settings = recipe.evaluation
    images, labels = load_split(recipe, settings.split)
    exhibits = model.exhibit(images, labels, settings)
    if isinstance(model.modality, Tokens) and not model.modality.drawable:
        return [texts_html(model.modality.texts(e.examples), e.caption) for e in with_progress(exhibits)]
    parts = [_picture(model.modality.grid(e.examples, e.columns), e.caption) for e in with_progress(exhibits)]
    if exhibits and model.given_shape is None and isinstance(model.modality, Images):
        training = load_split(recipe, recipe.dataset.train_split)[0]
        samples = exhibits[0].examples[:COLUMNS]
        closest, ratios = nearest(pixels(model.modality.to_storage(samples)), pixels(training), verbose="auto")
        pairs = np.concatenate([samples, model.modality.to_float(training[closest])])
        caption = "samples, and below each the nearest training image; distance over the mean of the next 49: "
        caption += ", ".join(f"{ratio:.2f}" for ratio in ratios)
        parts.append(_picture(model.modality.grid(pairs, len(samples)), caption))
    return parts


def write_report(recipe: Recipe, model: BaseModel, folder: Path, path: Path) -> None:
    """Writes the page of a model, with the metrics.json and log.csv of its checkpoint's folder, if they are there."""
    parts = [f"<h1>{html.escape(recipe.name)}</h1>", f"<p>{html.escape(recipe.description)}</p>"]
    if pictures := _pictures(model, recipe):
        parts += ["<h2>Pictures</h2>", *pictures]
    if report := read_metrics(folder):
        parts += ["<h2>Figures</h2>", _figures(report)]
    if samplers := report.get("samplers"):
        points = samplers["points"].items()
        lines = {name: [(row["seconds"], row["value"]) for row in rows] for name, rows in points}
        parts += ["<h2>Samplers</h2>", curve(lines, "seconds", samplers["metric"])]
    if log := read_log(folder):
        parts += ["<h2>Training</h2>", _loss(log)]
    body = "\n".join(parts)
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(recipe.name)}</title>'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}<style>{STYLE}</style>\n{body}\n</html>\n", encoding="utf-8")
