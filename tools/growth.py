"""Measures how cost grows: seconds and peak memory of a call against image size, batch, steps and width.

Each point is a process of its own. Beside the times stands what the algorithm says: cost over that of the smallest
point, where it is proportional to the number of pixels, examples, steps or, for width, to the products of the layers
that the model has (its parameters).

python tools/growth.py --output=growth.json --picture=docs/growth.svg
python tools/growth.py --output=growth.json --table    # of the figures that are there
"""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

from absl import app, flags
from contestants import peak_memory

OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures", required=True)
PICTURE = flags.DEFINE_string("picture", None, "SVG file for the curves")
TABLE = flags.DEFINE_bool("table", False, "only print the table of the figures in --output")

DEFAULTS = {"side": 32, "batch": 32, "steps": 10, "width": 32}
LINES = {  # what varies, and its values
    "vae": {"side": (16, 32, 64, 128), "batch": (16, 32, 64, 128), "width": (16, 32, 64)},
    "gan": {"side": (16, 32, 64, 128), "batch": (16, 32, 64, 128), "width": (16, 32, 64)},
    "glow": {"side": (16, 32, 64), "batch": (16, 32, 64, 128), "width": (32, 64, 128)},
    "unet": {"side": (16, 32, 64), "batch": (8, 16, 32, 64), "steps": (5, 10, 20, 40), "width": (16, 32, 64)},
}


def make(family, side, width):
    import kerasgen

    shape = (side, side, 3)
    if family == "vae":
        return kerasgen.VariationalAutoencoder(shape, width=width)
    if family == "gan":
        network = {"class": "conv", "width": width}
        return kerasgen.GAN(shape, 64, network, network)
    if family == "glow":
        return kerasgen.Glow(shape, levels=3, steps=4, width=width)
    return kerasgen.DiffusionModel(shape, network={"class": "UNet", "width": width, "multipliers": [1, 2]})


def measure(family, side, batch, steps, width):
    """Seconds of a training step and of a batch of samples, parameters, MiB; medians of five."""
    import statistics

    import numpy as np

    model = make(family, side, width)
    images = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    model.compile()
    settings = {"steps": steps} if family == "unet" else {}
    calls = {
        "training": lambda: model.train_on_batch(images),
        "sampling": lambda: model.sample(batch, seed=0, batch_size=batch, verbose=0, **settings),
    }
    found = {}
    for name, call in calls.items():
        call(), call()
        times = []
        for _ in range(5):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        found[name] = statistics.median(times)
    return found | {"parameters": model.count_params(), "MiB": peak_memory()}


def curve(points, key):
    """Cost over that of the first point."""
    first = points[0]
    return [point[key] / first[key] for point in points]


def exponent(varied, points, costs):
    """k of the power law cost ~ varied^k between the last two points."""
    return math.log(costs[-1] / costs[-2]) / math.log(points[-1][varied] / points[-2][varied])


def table(report):
    """Markdown: the exponents of costs, and of the algorithm, at the largest values."""
    lines = ["| of | from, to | the algorithm | a training step | sampling | peak memory |", "| --- " * 6 + "|"]
    for name, points in report.items():
        varied = name.split(", ")[1]
        costs = [expected(varied, points), *([p[key] for p in points] for key in ("training", "sampling", "MiB"))]
        found = [f"{exponent(varied, points, cost):.2f}" for cost in costs]
        lines.append(f"| {name} | {points[-2][varied]}, {points[-1][varied]} | {' | '.join(found)} |")
    return "\n".join(lines)


def main(_):
    if TABLE.value:
        return print(table(json.loads(Path(OUTPUT.value).read_text())))
    report = {}
    for family, lines in LINES.items():
        for varied, values in lines.items():
            points = []
            for value in values:
                setting = {**DEFAULTS, varied: value}
                command = [sys.executable, __file__, family, *map(str, setting.values())]
                result = subprocess.run(command, check=True, capture_output=True, text=True)
                points.append({varied: value} | json.loads(result.stdout.splitlines()[-1]))
                print(family, points[-1], flush=True)
            report[f"{family}, {varied}"] = points
    Path(OUTPUT.value).write_text(json.dumps(report, indent=2) + "\n")
    if PICTURE.value:
        Path(PICTURE.value).write_text(draw(report))
    print(table(report))


def expected(varied, points):
    """Growth of the work by the algorithm."""
    if varied == "side":
        return [(point["side"] / points[0]["side"]) ** 2 for point in points]
    return curve(points, "parameters" if varied == "width" else varied)


WIDTH, HEIGHT, MARGIN, PANEL = 250, 190, 34, 4  # of a panel; panels a row
COLORS = {"training": "#1b6ca8", "sampling": "#c1502e", "MiB": "#4a7c3a", "the algorithm": "#999999"}


def draw(report):
    """A panel a family and variable, both axes logarithmic, each line over its first point."""
    names = list(report)
    rows = -(-len(names) // PANEL)
    parts = []
    for index, name in enumerate(names):
        varied, points = name.split(", ")[1], report[name]
        lines = {key: curve(points, key) for key in ("training", "sampling", "MiB")}
        lines["the algorithm"] = expected(varied, points)
        if varied == "steps":
            del lines["training"]
        x = [math.log2(point[varied]) for point in points]
        top = max(4.0, *(math.log2(max(line)) for line in lines.values()))
        low = min(0.0, *(math.log2(min(line)) for line in lines.values()))
        left, upper = (index % PANEL) * WIDTH + MARGIN, (index // PANEL) * HEIGHT + MARGIN
        wide, high = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN

        def place(i, value, x=x, left=left, upper=upper, wide=wide, high=high, low=low, top=top):
            across = (x[i] - x[0]) / (x[-1] - x[0])
            return f"{left + wide * across:.1f},{upper + high * (1 - (math.log2(value) - low) / (top - low)):.1f}"

        parts.append(f'<text x="{left}" y="{upper - 8}" font-weight="bold">{name}</text>')
        parts.append(f'<path d="M{left} {upper}v{high}h{wide}" stroke="#444" fill="none"/>')
        for i, point in enumerate(points):
            parts.append(
                f'<text x="{left + wide * (x[i] - x[0]) / (x[-1] - x[0]):.0f}" y="{upper + high + 14}" '
                f'text-anchor="middle">{point[varied]}</text>'
            )
        for power in range(0, math.ceil(top) + 1, 2):
            y = upper + high * (1 - (power - low) / (top - low))
            parts.append(f'<text x="{left - 4}" y="{y:.0f}" text-anchor="end">{2**power}</text>')
        for key, line in lines.items():
            dash = ' stroke-dasharray="4 3"' if key == "the algorithm" else ""
            path = " ".join(place(i, value) for i, value in enumerate(line))
            parts.append(f'<polyline points="{path}" fill="none" stroke="{COLORS[key]}" stroke-width="2"{dash}/>')
    for index, (key, color) in enumerate(COLORS.items()):
        label = {"training": "a training step", "sampling": "sampling a batch", "MiB": "peak memory"}.get(key, key)
        left = MARGIN + 220 * index
        parts.append(f'<text x="{left + 24}" y="{rows * HEIGHT + 18}">{label}</text>')
        parts.append(f'<path d="M{left} {rows * HEIGHT + 14}h20" stroke="{color}" stroke-width="2"/>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{PANEL * WIDTH}" height="{rows * HEIGHT + 30}" '
    style = 'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
    return head + style + "".join(parts) + "</svg>\n"


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] in LINES:
        print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:]))))
    else:
        app.run(main)
