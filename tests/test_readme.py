"""README and the page of the command say what is so: code runs, commands are taken, the table has measured figures."""

import re
from pathlib import Path

import pytest

from kerasgen import list_models
from kerasgen.cli.main import parser

FORMS = {
    "mean_squared_error": "{value:.4f}",
    "nats_per_image": "{value:.1f} nats ({kind}, {pixels} pixels)",
    "bits_per_dim": "{value:.3f} bits/dim ({kind}, {pixels} pixels)",
    "nats_per_token": "{value:.3f} nats/token ({kind})",
    "accuracy": "{value:.2%}",
}
README = Path(__file__).parents[1] / "README.md"


def test_code_runs(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(block, names)
    assert names["path"].shape == (1, 8, 64, 64, 3)
    assert (tmp_path / "my-faces" / "model.weights.h5").exists()


def test_commands_are_such():
    """Every line of a command, with what is optional and without, is one that `kerasgen` takes."""
    text = README.read_text() + (README.parent / "docs" / "command.md").read_text()
    lines = re.findall(r"^(?:`|.*&& \.venv/bin/)?kerasgen ([a-z]+ .*)", text, re.MULTILINE)
    assert len(lines) > 15
    for line in lines:
        line = re.split(r"\s{2,}|`", line)[0]
        for form in (re.sub(r"\[(--[^\]]*)\]", r"\1", line), re.sub(r"\s\[--[^\]]*\]", "", line)):
            parser().parse_args(re.sub(r"\[@revision\]", "@main", form).split())


def test_table_holds_the_measured_figures():
    lines = README.read_text().splitlines()
    for model in list_models():
        if not model["bundled"]:
            continue
        (row,) = [line for line in lines if line.startswith(f"| `{model['name']}` |")]
        figures = model["metrics"]["metrics"]
        expected = [model["family"], f"{model['parameters']:,}"]
        for name, form in FORMS.items():
            if name in figures and not (name == "bits_per_dim" and "nats_per_image" in figures):
                expected.append(form.format(**figures[name]))
        for text in expected:
            assert text in row
