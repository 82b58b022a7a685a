"""One of several processes that train together, and what it found: the tests of test_workers.py start it.

python tests/worker.py BATCHES.npz FAMILIES RESULTS.npz STRATEGY
"""

import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np


def main(batches, families, results, name):
    import kerasgen
    from kerasgen.training.strategies import process_of

    path = Path(__file__).with_name("test_replicas.py")
    replicas = importlib.util.module_from_spec(importlib.util.spec_from_file_location("replicas", path))
    replicas.__spec__.loader.exec_module(replicas)
    strategy = kerasgen.strategy(name)
    with np.load(batches) as file:
        examples = file["x"], file["y"]
    found = {}
    for family in families.split(","):
        as_dataset = keras.backend.backend() == "jax"
        weights, logs = replicas.trained(replicas.FAMILIES[family], examples, strategy.scope(), as_dataset=as_dataset)
        found |= {f"{family}/{index}": value for index, value in enumerate(weights)}
        found |= {f"{family}/log/{name}": np.array(values) for name, values in logs.items()}
    if process_of(strategy)[0] == 0:
        np.savez(results, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
