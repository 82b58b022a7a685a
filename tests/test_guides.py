"""The guides run from top to bottom, in a small setting; what they show is of the full one."""

import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.hub_server import HUB

interactiveshell = pytest.importorskip("IPython.core.interactiveshell")
datasets = pytest.importorskip("sklearn.datasets")

GUIDES = {path.stem: path for path in sorted((Path(__file__).parents[1] / "docs" / "guides").glob("*.ipynb"))}
ELSEWHERE = ("realnvp", "own-family")  # of those that run on JAX and PyTorch, too


def cells(notebook, kind="code"):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder of real digits in ten classes, to train and to test."""
    images, labels = datasets.load_digits(return_X_y=True)
    folder = tmp_path_factory.mktemp("digits")
    for index, (image, label) in enumerate(zip(images[:400], labels[:400], strict=True)):
        place = folder / ("train" if index < 300 else "test") / str(label)
        place.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(np.uint8(np.minimum(16 * image, 255)).reshape(8, 8))
        picture.resize((28, 28)).save(place / f"{index}.png")
    return folder


@pytest.mark.parametrize("name", GUIDES)
def test_runs_from_top_to_bottom(name, digits, tmp_path, monkeypatch):
    if keras.backend.backend() != "tensorflow" and name not in ELSEWHERE:
        pytest.skip("two of them run on each backend")
    notebook = json.loads(GUIDES[name].read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HUB, "repositories", {})
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    shell = interactiveshell.InteractiveShell()
    smaller = notebook["metadata"]["kerasgen"]["reduced"]
    for cell in cells(notebook):
        shell.run_cell("".join(cell["source"])).raise_error()
        if "parameters" in cell["metadata"].get("tags", ()):
            sources = {"DATASET", "DIGITS", "CLOTHING"} & shell.user_ns.keys()
            shell.user_ns |= smaller | dict.fromkeys(sources, str(digits))
            assert smaller.keys() <= shell.user_ns.keys()


@pytest.mark.parametrize("name", GUIDES)
def test_shows_what_it_says(name):
    """Each cell was run, in order and without an error; the guide says how long that took, and where."""
    notebook = json.loads(GUIDES[name].read_text())
    assert [cell["execution_count"] for cell in cells(notebook)] == list(range(1, len(cells(notebook)) + 1))
    outputs = [output for cell in cells(notebook) for output in cell["outputs"]]
    assert all(output["output_type"] != "error" and output.get("name") != "stderr" for output in outputs)
    assert any("image/png" in output.get("data", ()) for output in outputs) or name == "publishing"
    assert os.path.getsize(GUIDES[name]) < 1_500_000
    assert "minutes on" in "".join(cells(notebook, "markdown")[0]["source"])
