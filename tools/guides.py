"""Runs guides, docs/guides/NAME.ipynb, in full, and writes what they show into them, with minutes and hardware.

    python tools/guides.py vae dcgan

Each runs in a folder of its own, which is removed, in a kernel of its own. The Hub of publishing is on loopback.
TFDS_DATA_DIR says where TensorFlow Datasets are, as ever.
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
        if cell.cell_type == "code":  # without the notices of libraries, and pictures twice
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                output.get("data", {}).pop("image/jpeg", None)
    nbformat.write(notebook, path)
    print(f"{path.stem}: {minutes:.1f} minutes", flush=True)


def main(args):
    if not args[1:]:
        sys.exit("which guides? Names of docs/guides/*.ipynb are expected.")
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from hub_server import HUB

    from kerasgen.training.hardware import describe

    os.environ |= {"HF_ENDPOINT": HUB.url, "HF_HOME": HUB.home.name, "HF_TOKEN": "hf_writer", "HF_HUB_DISABLE_XET": "1"}
    os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    os.environ |= {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    for name in args[1:]:
        run(ROOT / "docs" / "guides" / f"{name}.ipynb", describe()["hardware"])


if __name__ == "__main__":
    app.run(main)
