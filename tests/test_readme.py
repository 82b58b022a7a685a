"""README says what is so: its code runs, and its table holds the measured figures."""

import re
from pathlib import Path

import pytest

from kerasgen import list_models

README = Path(__file__).parents[1] / "README.md"


def test_code_runs(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(block, names)
    assert names["path"].shape == (1, 8, 28, 28, 1)
    assert (tmp_path / "my-model" / "model.weights.h5").exists()


def test_table_holds_the_measured_figures():
    lines = README.read_text().splitlines()
    for model in list_models():
        (row,) = [line for line in lines if line.startswith(f"| `{model['name']}` |")]
        figures = model["metrics"]["metrics"]
        expected = [model["family"], f"{model['parameters']:,}", f"{figures['mean_squared_error']['value']:.4f}"]
        if "nats_per_image" in figures:
            expected.append(f"{figures['nats_per_image']['value']:.1f} nats")
        for text in expected:
            assert text in row
