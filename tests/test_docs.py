"""What docs/ says is so: its code runs on this backend, and what it names is there."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasgen

ROOT = Path(__file__).parents[1]
FAMILIES = ("diffusion", "latent_diffusion", "realnvp")  # whose pages have code


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def run(page):
    """What is named after the code of a page has run."""
    names = {}
    for block in blocks(page):
        exec(block, names)
    return names


def test_the_train_step_of_the_page_trains():
    names = run("docs/train-steps.md")
    assert len(names["history"].history["loss"]) == 5
    assert names["after"] < 0.7 * names["before"]
    # The cloud is long and thin: the energy rises across it faster than along it.
    along, across = keras.ops.convert_to_numpy(names["model"].network(np.eye(2, dtype=np.float32)))[:, 0]
    assert along < across - 1.0


def test_autoencoders_at_work(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow")
    monkeypatch.chdir(tmp_path)
    names = run("docs/autoencoders.md")
    assert names["large"].shape == (1, 45, 70, 1)
    assert names["found"].shape == (3, 20, 30, 1)
    assert names["strange"].mean() > 0.5
    assert names["walk"].shape == (4, 3, 28, 28, 1)
    assert (tmp_path / "my-detector" / "config.json").exists()


def test_the_tour(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow")
    monkeypatch.chdir(tmp_path)
    names = run("docs/tour.md")
    assert (names["shoes"].shape, names["x"].shape) == ((16, 28, 28, 1), (32, 28, 28, 1))
    assert names["others"].shape == names["near"].shape == names["large"].shape == (4, 28, 28, 1)
    assert (names["again"].shape, names["more"].shape) == ((16, 28, 28, 1), (10, 5))
    assert (tmp_path / "my-model" / "model.weights.h5").exists()


def test_sounds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run("docs/sounds.md")
    assert names["heard"].shape == (2, 2048)
    assert (tmp_path / "drawn.wav").stat().st_size > 2 * 2 * 2048


def test_sequences():
    names = run("docs/sequences.md")
    assert all(text.startswith("a") for text in names["texts"])
    assert names["nats"].shape == names["bits"].shape == (2,)
    assert names["filled"].shape == (2, 6)
    assert names["fast"].shape == (4, 6)
    assert names["drawn"].shape == (4, 8, 8, 1)
    assert len(names["words"]) == 5


@pytest.mark.parametrize("page", ["docs/index.md", *(f"docs/families/{name}.md" for name in FAMILIES)])
def test_pages_of_the_start_and_of_families(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run(page)
    expected = {"index": "path", "diffusion": "near", "latent_diffusion": "faces", "realnvp": "nats"}
    assert np.isfinite(names[expected[Path(page).stem]]).all()


def test_fine_tuning(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow")
    monkeypatch.chdir(tmp_path)
    names = run("docs/fine-tuning.md")
    assert names["drawn"].shape == (3, 28, 28, 1)
    assert "network/conditioning/hidden" in names["layers"]
    arguments = {"labels": [1, 2], "steps": 2, "seed": 0, "verbose": 0}
    np.testing.assert_allclose(names["again"].sample(2, **arguments), names["model"].sample(2, **arguments), atol=0.02)
    assert (tmp_path / "my-adapter" / "adapter.weights.h5").stat().st_size < 200_000


def test_exported_programs_give_what_the_page_says(tmp_path, monkeypatch):
    for package in ("tensorflow", "tf2onnx", "onnxruntime", "ai_edge_litert"):
        pytest.importorskip(package)
    if keras.backend.backend() != "tensorflow":
        pytest.skip("each of the files takes a child process")
    monkeypatch.chdir(tmp_path)
    names = run("docs/export.md")
    for found in (names["by_onnx"], names["by_tensorflow"], names["by_litert"]):
        np.testing.assert_allclose(found, names["digits"], rtol=0, atol=1e-4)


def test_the_page_lists_all_functions_of_the_backend():
    rows = re.findall(r"^\| (`.*?`) \|", (ROOT / "docs/train-steps.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)\(", row)}
    offered = {name for name in vars(kerasgen.backend) if callable(getattr(kerasgen.backend, name))}
    assert named == offered


@pytest.mark.parametrize(
    "page",
    [
        *("docs/architecture.md", "docs/autoencoders.md", "docs/export.md", "docs/importing.md", "docs/performance.md"),
        *("docs/train-steps.md", "docs/training.md", "CONTRIBUTING.md", "SECURITY.md", "README.md"),
    ],
)
def test_files_that_are_named_are_there(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    paths = set(re.findall(r"(?<![\w./])((?:kerasgen|tests|tools|zoo|docs)(?:/[\w.-]+)*/[\w-]+(?:\.\w+|/))", text))
    assert paths
    assert [path for path in paths if "NAME" not in path and not (ROOT / path).exists()] == []
