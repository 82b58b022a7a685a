"""Runs guides, docs/guides/NAME.ipynb, in full, and writes what they show into them, with minutes and hardware.

    python tools/guides.py vae dcgan

Each runs in a folder of its own, which is removed, in a kernel of its own. `me/small-vae` of publishing goes to a Hub on
loopback. TFDS_DATA_DIR says where TensorFlow Datasets are, as ever.
"""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from absl import app
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
TOOK = re.compile(r"\n\n\*The outputs are of .*\*$")


def run(path, hardware):
    """Runs a notebook, all or nothing."""
    notebook = nbformat.read(path, as_version=4)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=None, resources=resources, coalesce_streams=True)
        client.on_cell_start = lambda cell, cell_index: print(
            f"{path.stem}: {cell_index + 1} of {len(notebook.cells)}", flush=True
        )
        client.execute()
    minutes = (time.monotonic() - start) / 60
    first = notebook.cells[0]
    first.source = f"{TOOK.sub('', first.source)}\n\n*The outputs are of {minutes:.1f} minutes on {hardware}.*"
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)
    print(f"{path.stem}: {minutes:.1f} minutes", flush=True)


def main(args):
    if not args[1:]:
        sys.exit("which guides? Names of docs/guides/*.ipynb are expected.")
    sys.path.insert(0, str(ROOT))
    from kerasgen.training.hardware import describe
    from tests.hub_server import HUB

    os.environ |= {
        "HF_ENDPOINT": HUB.url,
        "HF_HOME": HUB.home.name,
        "HF_TOKEN": "hf_writer",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    os.environ["PYTHONPATH"] = str(ROOT)
    for name in args[1:]:
        run(ROOT / "docs" / "guides" / f"{name}.ipynb", describe()["hardware"])


if __name__ == "__main__":
    app.run(main)
