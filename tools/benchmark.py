"""Measures speed against peers in one run, as ratios. So far: what `import kerasgen` adds to `import keras`.

python tools/benchmark.py --repeats 7 --output benchmark.json
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from absl import app, flags

REPEATS = flags.DEFINE_integer("repeats", 7, "measurements of each, in turn; the median counts", lower_bound=1)
OUTPUT = flags.DEFINE_string("output", None, "also write the figures to this JSON file")


def seconds(statement):
    """Seconds that a statement takes in a fresh interpreter, start-up included."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def import_time(repeats):
    """Medians of `import keras` and `import kerasgen`, measured in turn so that both see the same machine."""
    statements = ("import keras", "import kerasgen")
    for statement in statements:  # the files are in memory from here on
        seconds(statement)
    times = {statement: [] for statement in statements}
    for _ in range(repeats):
        for statement in statements:
            times[statement].append(seconds(statement))
    keras, kerasgen = (statistics.median(times[statement]) for statement in statements)
    return {
        "import keras, seconds": round(keras, 3),
        "import kerasgen, seconds": round(kerasgen, 3),
        "added, seconds": round(kerasgen - keras, 3),
        "ratio": round(kerasgen / keras, 3),
    }


def main(_):
    from kerasgen.training.hardware import describe

    report = describe() | {"import": import_time(REPEATS.value)}
    text = json.dumps(report, indent=2)
    if OUTPUT.value:
        Path(OUTPUT.value).write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    app.run(main)
