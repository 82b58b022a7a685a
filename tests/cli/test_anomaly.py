"""`kerasgen anomaly`: from a table to a detector, to scores, to figures."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import kerasgen
from kerasgen.training import detectors
from tests.cli.test_cli import status


@pytest.fixture
def table(tmp_path, monkeypatch):
    """200 rows, of which every tenth lies far out, as CSV; and little training."""
    monkeypatch.setattr(detectors, "STEPS", 60)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) * [1.0, 100.0, 0.01] + [0.0, 1e4, 0.0]
    labels = np.arange(200) % 10 == 0
    x[labels] += 6.0 * np.array([1.0, 100.0, 0.01])
    path = tmp_path / "table.csv"
    with path.open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["length", "mass", "rate", "outlier"])
        writer.writerows([*row, int(label)] for row, label in zip(x.tolist(), labels, strict=True))
    return path, labels


@pytest.mark.parametrize("family", detectors.row_families())
def test_from_a_table_to_a_report(table, tmp_path, capsys, family):
    path, labels = table
    detector, scores = tmp_path / "detector", tmp_path / "scores.csv"
    arguments = ("--input", path, "--label", "outlier")
    assert status("anomaly", "fit", *arguments, "--family", family, "--output", detector) == 0
    assert "of 180 rows of 3 columns written" in capsys.readouterr().out
    assert status("anomaly", "score", detector, *arguments, "--output", scores) == 0
    rows = list(csv.DictReader(scores.read_text().splitlines()))
    assert list(rows[0]) == ["example", "score", "anomalous"]
    model = kerasgen.load(str(detector))
    found = np.array([float(row["score"]) for row in rows])
    expected = np.array([int(row["anomalous"]) for row in rows])
    np.testing.assert_array_equal(found > model.anomaly_threshold, expected)
    assert expected[labels].mean() > 0.8
    assert expected[~labels].mean() < 0.2
    assert status("anomaly", "report", detector, *arguments, "--output", tmp_path / "report.json") == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["auroc"] == kerasgen.metrics.auroc(found[~labels], found[labels])
    assert report["threshold"] == model.anomaly_threshold
    assert status("anomaly", "report", detector, *arguments, "--output", tmp_path / "report.png") == 0


def test_columns_go_by_their_names(table, tmp_path, capsys):
    path, _ = table
    detector, label = tmp_path / "detector", ("--label", "outlier")
    assert status("anomaly", "fit", "--input", path, *label, "--output", detector) == 0
    lines = [line.split(",") for line in path.read_text().split()]
    for name, order in (("same", (0, 1, 2)), ("turned", (2, 0, 1))):
        (tmp_path / name).write_text("".join(",".join(line[i] for i in order) + "\n" for line in lines))
        output = ("--output", tmp_path / f"{name}.csv")
        assert status("anomaly", "score", detector, "--input", tmp_path / name, *output) == 0
    assert (tmp_path / "same.csv").read_text() == (tmp_path / "turned.csv").read_text()
    (tmp_path / "other").write_text((tmp_path / "same").read_text().replace("mass", "weight"))
    capsys.readouterr()
    assert status("anomaly", "score", detector, "--input", tmp_path / "other") == 1
    assert "has a column 'weight'" in capsys.readouterr().err


def test_images_and_models_that_are_no_detectors(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name, low in (("usual", 0), ("strange", 128)):
        (tmp_path / name).mkdir()
        for index in range(20):
            pixels = rng.integers(low, low + 100, (28, 28), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    both = ("--normal", tmp_path / "usual", "--anomalous", tmp_path / "strange")
    output = ("--output", tmp_path / "report.json")
    assert status("anomaly", "report", "ae-fashion-mnist", *both, *output) == 0
    assert json.loads((tmp_path / "report.json").read_text())["n_anomalous"] == 20
    scores = ("--input", tmp_path / "usual", "--output", tmp_path / "scores.csv")
    assert status("anomaly", "score", "ae-fashion-mnist", *scores) == 0
    assert (tmp_path / "scores.csv").read_text().startswith("example,score\n")
    capsys.readouterr()
    for arguments, message in [
        ((*both[:2], *output), "give --normal and --anomalous, or --input"),
        ((*both, "--false_positive_rate", 0.01, *output), "expected 99 or more"),
        ((*both, "--scorer", "likelihood", *output), "expected one of"),
        ((*both, "--output", tmp_path / "report.txt"), "expected .json or .png"),
    ]:
        assert status("anomaly", "report", "ae-fashion-mnist", *arguments) == 1
        assert message in capsys.readouterr().err


def test_wrong_tables(table, tmp_path, capsys):
    path, _ = table
    assert status("anomaly", "fit", "--input", path, "--label", "outlier", "--output", tmp_path / "detector") == 0
    capsys.readouterr()
    for arguments, message in [
        (("score", tmp_path / "detector", "--input", path), "has 4 columns (length, mass, rate, outlier, ...)"),
        (("fit", "--input", path, "--label", "kind"), "no column 'kind'"),
        (("fit", "--input", path, "--label", "mass"), "expected some of 0"),
        (("fit", "--input", tmp_path / "none.csv"), "does not exist"),
        (("score", "lenet-mnist", "--input", path), "does not anomaly_score"),
    ]:
        assert status("anomaly", *arguments) == 1
        assert message in capsys.readouterr().err
    few = tmp_path / "few.csv"
    few.write_text("".join(f"{i},{i * i}\n" for i in range(5)))
    assert status("anomaly", "fit", "--input", few) == 1
    assert "expected 38 or more" in capsys.readouterr().err
