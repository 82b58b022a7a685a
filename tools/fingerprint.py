"""What every bundled entry computes, as SHA-256: proves that a change of the code left the models as they were.

Of each model, at fixed seeds and on four fixed images: those of `sample`, `reconstruct`, `log_prob`, `upscale` and
`classify` that it offers. The bits depend on the backend and the processor: compare runs of one machine.

python tools/fingerprint.py --output before.json
python tools/fingerprint.py --output after.json --against before.json
"""

import hashlib
import json
import sys
from pathlib import Path

import keras
import numpy as np
from absl import app, flags, logging

import kerasgen

OUTPUT = flags.DEFINE_string("output", None, "JSON file to write", required=True)
AGAINST = flags.DEFINE_string("against", None, "JSON file of an earlier run; exit status 1 if anything differs")
NUM = 4


def fingerprint(model):
    """`{method: SHA-256 of what it gives}`."""
    images = np.random.default_rng(0).integers(0, 256, (NUM, *model.shape), dtype=np.uint8)
    labels = None if model.num_classes is None else np.arange(NUM) % model.num_classes
    calls = {
        "sample": lambda: model.sample(NUM, seed=0, verbose=0),
        "reconstruct": lambda: model.reconstruct(images, labels, verbose=0),
        "log_prob": lambda: model.log_prob(images, labels, verbose=0),
        "upscale": lambda: model.upscale(model.downscale(images), labels, seed=0, verbose=0),
        "classify": lambda: model.classify(images, verbose=0),
    }
    found = {}
    for name, call in calls.items():
        if name in model.offers:
            found[name] = hashlib.sha256(np.ascontiguousarray(call(), np.float32).tobytes()).hexdigest()
    return found


def main(_):
    logging.set_verbosity(logging.ERROR)
    names = [entry["name"] for entry in kerasgen.list_models() if entry["bundled"]]
    found = {"backend": keras.backend.backend(), "entries": {}}
    for name in names:
        found["entries"][name] = fingerprint(kerasgen.load(name))
        print(name, *(f"{method}:{digest[:8]}" for method, digest in found["entries"][name].items()), flush=True)
    Path(OUTPUT.value).write_text(json.dumps(found, indent=1) + "\n")
    if AGAINST.value:
        before = json.loads(Path(AGAINST.value).read_text())
        differing = sorted(
            f"{name}.{method}"
            for name in before["entries"].keys() | found["entries"].keys()
            for method in before["entries"].get(name, {}).keys() | found["entries"].get(name, {}).keys()
            if before["entries"].get(name, {}).get(method) != found["entries"].get(name, {}).get(method)
        )
        if differing or before["backend"] != found["backend"]:
            print("differs:", before["backend"], found["backend"], *differing, file=sys.stderr)
            return 1
        print("everything is equal")
    return 0


if __name__ == "__main__":
    app.run(main)
