"""Molecules against what a chemist knows of them."""

import sys

import pytest

from kerasgen import AutoregressiveTransformer, metrics
from kerasgen.errors import InputError
from kerasgen.metrics import molecules
from kerasgen.recipes import Evaluation

VOCABULARY = ["", *"()1=CFO"]


def test_canonical_forms():
    """Two writings of ethanol, one ring, and texts with five bonds at a carbon, an open ring, an open bracket."""
    pytest.importorskip("rdkit")
    found = molecules.canonical(["CCO", "OCC", "C1CC1", "C(C)(C)(C)(C)C", "C1CC", "C(C", ""])
    assert found[0] == found[1] == "CCO"
    assert found[2] is not None
    assert found[3:] == [None] * 4


def test_figures():
    pytest.importorskip("rdkit")
    model = AutoregressiveTransformer((8,), VOCABULARY, {"class": "Transformer", "width": 8, "depth": 1})
    drawn = ["CCO", "OCC", "C1CC1", "C1CC", "CF"]
    x = model.modality.check(["CO", "CC"])
    settings = Evaluation(num_samples=5, smiles=True)
    run = metrics.Evaluation(
        model, x, None, "test", training=lambda: model.modality.check(["FC", "OO"]), settings=settings
    )
    run.samples = model.modality.check(drawn)
    found = metrics.evaluate(run, ["molecules"])["metrics"]
    assert found["valid"]["value"] == pytest.approx(4 / 5)
    assert found["valid_unique"]["value"] == pytest.approx(3 / 5)
    assert found["valid_unique_novel"]["value"] == pytest.approx(2 / 5)
    assert "molecules" not in str(metrics.evaluate(metrics.Evaluation(model, x, None, "test"))["metrics"])


def test_without_rdkit(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(InputError, match="molecules need RDKit"):
        molecules.canonical(["C"])
