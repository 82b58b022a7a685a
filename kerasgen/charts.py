"""Small line charts as PNG files, by Pillow alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerasgen.pictures import save_frames
from kerasgen.typing import Array

WIDTH, HEIGHT = 480, 360  # of a chart, in pixels
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 48  # margins
COLOURS = ("#1f77b4", "#d62728", "#7f7f7f", "#2ca02c", "#9467bd", "#8c564b")
TICKS = 5


@dataclass(frozen=True)
class Chart:
    """Lines (x, y) by name, below the names of their axes."""

    x_name: str
    y_name: str
    lines: dict[str, tuple[Array, Array]]


def save(path: Path, charts: list[Chart]) -> None:
    """Writes charts side by side to a PNG file."""
    save_frames([side_by_side(charts)], path)


def side_by_side(charts: list[Chart], columns: int = 3) -> Array:
    """Charts in rows of `columns` at most, uint8 `[height, width, 3]`."""
    drawn = [draw(chart) for chart in charts]
    columns = min(columns, len(drawn))
    drawn += [np.full_like(drawn[0], 255)] * (-len(drawn) % columns)
    return np.concatenate([np.concatenate(drawn[i : i + columns], axis=1) for i in range(0, len(drawn), columns)])


def of_history(epochs: list[int], logs: dict[str, list[float]]) -> list[Chart]:
    """A chart for each figure of a history of Keras over its epochs, with that of validation, every so many, beside it.

    A figure that was not logged at regular epochs is left out.
    """

    def points(line):
        every = max(len(epochs) // len(line), 1)
        found = np.array([epoch + 1 for epoch in epochs if (epoch + 1) % every == 0])
        return (found, line) if len(found) == len(line) else None

    charts = []
    for name in logs:
        if not (name.startswith("val_") and name.removeprefix("val_") in logs):
            named = {"training": logs[name], "validation": logs.get(f"val_{name}", ())}
            lines = {title: found for title, line in named.items() if len(line) and (found := points(line))}
            charts += [Chart("epoch", name, lines)] if lines else []
    return charts


def draw(chart: Chart) -> Array:
    """uint8 `[HEIGHT, WIDTH, 3]`."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    spans = [_span([line[axis] for line in chart.lines.values()]) for axis in (0, 1)]

    def place(x, y):
        across = (np.asarray(x, float) - spans[0][0]) / (spans[0][1] - spans[0][0])
        up = (np.asarray(y, float) - spans[1][0]) / (spans[1][1] - spans[1][0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    for value in np.linspace(spans[0][0], spans[0][1], TICKS):
        x, y = place(value, spans[1][0])
        canvas.line([(x, y), (x, y + 4)], fill="black")
        canvas.text((x, y + 6), f"{value:.3g}", fill="black", font=font, anchor="ma")
    for value in np.linspace(spans[1][0], spans[1][1], TICKS):
        x, y = place(spans[0][0], value)
        canvas.line([(x - 4, y), (x, y)], fill="black")
        canvas.text((x - 7, y), f"{value:.3g}", fill="black", font=font, anchor="rm")
    canvas.rectangle([LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM], outline="black")
    canvas.text((WIDTH // 2, HEIGHT - 4), chart.x_name, fill="black", font=font, anchor="md")
    canvas.text((4, TOP - 8), chart.y_name, fill="black", font=font, anchor="ld")
    at = max(LEFT + 60, 18 + int(canvas.textlength(chart.y_name, font=font)))
    for colour, (name, line) in zip(COLOURS, chart.lines.items(), strict=False):
        canvas.line(list(zip(*place(*line), strict=True)), fill=colour, width=2)
        canvas.text((at, TOP - 8), name, fill=colour, font=font, anchor="ld")
        at += int(canvas.textlength(name, font=font)) + 14
    return np.asarray(image)


def _span(values: list[Array]) -> tuple[float, float]:
    """The least and the greatest of arrays, apart from each other."""
    low, high = (float(edge(np.concatenate(values))) for edge in (np.min, np.max))
    return (low, high) if high > low else (low - 0.5, high + 0.5)
