"""`kerasgen export` on bundled models: files that give what `kerasgen sample` does."""

import json

import numpy as np
import pytest

import kerasgen
from kerasgen import noise
from kerasgen.cli import main as cli
from tests.export.runtimes import RUN, SUFFIX

for package in ("tensorflow", "onnx", "tf2onnx", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(package)
pytestmark = pytest.mark.backend("tensorflow")


def status(*args):
    try:
        return cli.execute(cli.parser().parse_args(list(map(str, args))))
    except SystemExit as error:
        return error.code


def test_export(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert status("export", "vae-mnist") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["input images: float32 [None, 28, 28, 1]", "output reconstructions: float32 [None, 28, 28, 1]"]
    assert lines[2].startswith("whole written to vae-mnist-whole.onnx; onnxruntime ")
    report = json.loads((tmp_path / "vae-mnist-whole.onnx.json").read_text())
    assert (report["family"], report["model"], report["part"]) == ("VariationalAutoencoder", "vae-mnist", "whole")
    assert status("export", "vae-mnist", "--format", "saved_model", "--part", "decoder", "--output", "m") == 0
    z = noise.normal(0, 2, (12,), 0)
    found, model = RUN["tf_saved_model"](tmp_path / "m", {"latents": z}), kerasgen.load("vae-mnist")
    np.testing.assert_allclose(found, model.decode(z), rtol=0, atol=1e-4)


def test_one_line_for_a_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert status("export", "vae-mnist", "--part", "denoiser") == 1
    told = "kerasgen: a VariationalAutoencoder has no part 'denoiser'; what it has: encoder, decoder, sampler, whole.\n"
    assert capsys.readouterr().err == told
    assert status("export", "vae-mnist", "--output", "a.png") == 1
    assert capsys.readouterr().err == "kerasgen: a.png ends in .png; expected .onnx.\n"
    assert status("export", "vae-mnist", "--format", "openvino") == 2
    assert list(tmp_path.iterdir()) == []


BUNDLED = {
    "ae-fashion-mnist": (),
    "vae-fashion-mnist": (),
    "dcgan-mnist": (),
    "sagan-fashion-mnist": (),
    "glow-fashion-mnist": (),
    "realnvp-mnist": (),
    "ddpm-mnist": ("--steps", 10),
    "flow-matching-fashion-mnist": ("--steps", 10),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("form", ["onnx", "saved_model", "litert"])
def test_samplers_of_the_zoo(name, form, tmp_path):
    """`kerasgen export` itself compares them with the model."""
    path = tmp_path / f"sampler{SUFFIX.get(form, '')}"
    assert status("export", name, "--format", form, "--part", "sampler", "--output", path, *BUNDLED[name]) == 0
    assert json.loads((tmp_path / f"{path.name}.json").read_text())["max_difference"] <= 1e-4
