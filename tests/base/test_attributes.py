"""Labels that are attributes: what is asked of each, or left open."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import Autoencoder, FlowMatching, LatentDiffusion
from kerasgen.cli import main as cli
from kerasgen.errors import InputError
from kerasgen.modalities import check_wishes, signs
from kerasgen.recipes import Evaluation
from tests.model_case import assert_same, long_fit

NAMES = ["right", "low"]  # where the square is
MLP = {"class": "MLP", "width": 64, "depth": 2}


def attributes_of(labels):
    return np.stack([labels % 2, labels // 2], axis=1)


def latent_model(width=64, label_dropout=0.3):
    autoencoder = Autoencoder(shape=(8, 8, 1), latent_dim=2, width=16, encoder="dense", decoder="dense")
    denoiser = {"class": "FlowMatching", "network": MLP | {"width": width}, "label_dropout": label_dropout}
    return LatentDiffusion(autoencoder, denoiser, attributes=NAMES)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [[-1, -1], [-1, -1]]),
        ({}, [[-1, -1], [-1, -1]]),
        ({"low": 1}, [[-1, 1], [-1, 1]]),
        ({"low": [1, 0], "right": np.int64(0)}, [[0, 1], [0, 0]]),
        ([1, -1], [[1, -1], [1, -1]]),
        ([[True, False], [False, True]], [[1, 0], [0, 1]]),
    ],
)
def test_wishes(given, expected):
    found = check_wishes(given, 2, NAMES)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)
    read = ops.convert_to_numpy(signs(ops.convert_to_tensor(found)))
    np.testing.assert_array_equal(read, np.select([found == 1, found == 0], [1.0, -1.0], 0.0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"left": 1}, "no attribute 'left'; expected of right, low"),
        ({"low": 2}, "reach 2|such as 2"),
        ({"low": [1, 0, 1]}, r"shape \(3,\); expected \(2,\) or \(\)"),
        ([[1, 0, 1]], r"shape \(1, 3\); expected \(2, 2\) or \(2,\)"),
        ([0.0, 1.0], "float64"),
        ("right", "labels is a str"),
    ],
)
def test_wishes_that_are_none(given, message):
    with pytest.raises(InputError, match=message):
        check_wishes(given, 2, NAMES)


def test_what_is_asked_is_drawn(images):
    """Several at once, one alone, none; the figures of an evaluation say how often."""
    x, y = images
    wishes = attributes_of(y)
    model = latent_model()
    model.autoencoder.trainable = True
    model.autoencoder.compile(keras.optimizers.Adam(1e-2))
    long_fit(model.autoencoder, x, None, 100)
    model.autoencoder.trainable = False
    model.compile(keras.optimizers.Adam(5e-3))
    long_fit(model, x, wishes, 400)

    def found(labels, num=40):
        drawn = model.sample(num, labels=labels, seed=0).reshape(num, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(num, 4)
        return attributes_of(drawn.argmax(axis=1))

    assert (found({"right": 1, "low": 0}) == [1, 0]).mean() > 0.8  # 0.5 by chance
    low = found({"low": 1})
    assert low[:, 1].mean() > 0.8
    assert 0.1 < low[:, 0].mean() < 0.9  # left open
    each = check_wishes(wishes, len(x), NAMES)
    assert (found(each, len(x)) == each).mean() > 0.8
    shown = model.exhibit(None, None, Evaluation(grid=4, sampling={"steps": 2}))
    assert shown[-1].caption.startswith("without and with right, low")
    assert shown[-1].draw().shape == (40, 8, 8, 1)
    assert 'labels={"right": 1}' in model.snippet("mine")


def test_training_needs_them_and_says_so(images):
    x, y = images
    model = latent_model(8)
    model.compile()
    for wrong, message in ((None, "needs labels: 32 rows of 2 attributes"), (y, r"shape \(32,\)")):
        with pytest.raises(InputError, match=message):
            model.fit(x, wrong, verbose=0)
    with pytest.raises(InputError, match="class_weight is for models with classes"):
        model.fit(x, attributes_of(y), class_weight={0: 1.0}, verbose=0)
    model.fit(x, attributes_of(y), verbose=0)


def test_they_are_part_of_the_model(images, tmp_path):
    x, y = images
    model = latent_model(8)
    model.compile()
    model.fit(x, attributes_of(y), verbose=0)
    model.save(tmp_path / "model")
    again = keras.saving.load_model(tmp_path / "model")
    assert again.attributes == model.attributes == ("right", "low")
    assert_same(again.sample(4, {"low": 1}, seed=0), model.sample(4, {"low": 1}, seed=0))
    for arguments, message in (
        ({"attributes": []}, "expected a list of different names"),
        ({"attributes": ["a", "a"]}, "expected a list of different names"),
        ({"attributes": NAMES, "num_classes": 3}, "num_classes is 3, and there are 2 attributes"),
    ):
        with pytest.raises(InputError, match=message):
            FlowMatching((3,), network=MLP, **arguments)
    denoiser = FlowMatching((2,), num_classes=2, network=MLP)
    with pytest.raises(InputError, match="with 2 classes and attributes None"):
        LatentDiffusion(model.autoencoder, denoiser, attributes=NAMES)


def test_the_command_line_asks_by_name(images, tmp_path, capsys):
    x, y = images
    model = latent_model(8)
    model.compile()
    model.fit(x, attributes_of(y), verbose=0)
    model.save(tmp_path / "model")
    command = ["sample", str(tmp_path / "model"), "--num_samples", "3", "--steps", "2"]
    asked = ["--output", str(tmp_path / "x.npy"), "--labels", "low=1,right=0"]
    assert cli.execute(cli.parser().parse_args([*command, *asked])) == 0
    expected = model.sample(3, labels={"low": 1, "right": 0}, seed=0, steps=2)
    assert_same(np.load(tmp_path / "x.npy"), expected, 1e-4)
    with pytest.raises(SystemExit) as error:
        cli.parser().parse_args([*command, "--labels", "low=much"])
    assert error.value.code == 2
    assert "'low=much'" in capsys.readouterr().err


def test_each_is_dropped_on_its_own():
    """A row with probability p, and in the other rows each attribute with p."""
    model = FlowMatching((3,), network=MLP, attributes=NAMES, label_dropout=0.3)
    kept = ops.convert_to_numpy(model.drop_labels(ops.ones((20_000, 2))))
    assert abs((kept == 0).all(axis=1).mean() - (0.3 + 0.7 * 0.09)) < 0.02
    assert abs(kept[:, 0].mean() - 0.49) < 0.02
