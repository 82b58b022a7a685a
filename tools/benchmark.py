"""Measures speed against peers in one run, as ratios. So far: what `import kerasgen` adds to `import keras`.

python tools/benchmark.py --repeats 7 --output benchmark.json
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from absl import app, flags

REPEATS = flags.DEFINE_integer("repeats", 7, "measurements; the median counts", lower_bound=1)
OUTPUT = flags.DEFINE_string("output", None, "also write the figures to this JSON file")


IMPORTS = """
import time
start = time.perf_counter()
import keras
middle = time.perf_counter()
import kerasgen
print(middle - start, time.perf_counter() - middle)
"""


def import_time(repeats):
    """Seconds of `import keras`, and of `import kerasgen` after it, each the median over fresh interpreters."""
    runs = [
        subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(repeats)
    ]
    keras, added = (statistics.median(float(run[part]) for run in runs) for part in (0, 1))
    return {
        "import keras, seconds": round(keras, 3),
        "added by import kerasgen, seconds": round(added, 3),
        "ratio": round((keras + added) / keras, 4),
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
