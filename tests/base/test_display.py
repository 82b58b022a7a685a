"""What notebooks show of a model."""

import numpy as np
import pytest

from kerasgen import RealNVP, VariationalAutoencoder, charts
from kerasgen.errors import InputError

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def vae():
    model = VariationalAutoencoder((8, 8, 1), latent_dim=2, encoder="dense", decoder="dense", width=4)
    model.compile()
    return model


def test_examples_are_shown_pixel_by_pixel(vae):
    x = RNG.integers(0, 256, (6, 8, 8, 1), np.uint8)
    picture = vae.show(x, columns=3)
    assert (picture.mode, picture.size) == ("L", (3 * (7 * 8 + 2) + 2, 2 * (7 * 8 + 2) + 2))
    pixels = np.asarray(picture)
    assert (pixels[2 : 2 + 56 : 7, 2 : 2 + 56 : 7] == x[0, :, :, 0]).all()
    assert (np.asarray(vae.show(x / np.float32(255.0), columns=3)) == pixels).all()


@pytest.mark.parametrize(
    ("x", "columns", "said"),
    [
        (np.zeros((2, 9, 8, 1)), None, "shape"),
        (np.zeros((0, 8, 8, 1)), None, "no images"),
        (np.zeros((2, 8, 8, 1)), 0, "columns"),
    ],
)
def test_what_is_no_example_is_refused(vae, x, columns, said):
    with pytest.raises(InputError, match=said):
        vae.show(x.astype("float32"), columns)


def test_rows_of_tables_have_no_picture():
    with pytest.raises(InputError, match="have no picture"):
        RealNVP((3,), steps=2, width=4).show(np.zeros((2, 3), "float32"))


def test_curves_have_a_point_an_epoch(vae, tmp_path):
    model = VariationalAutoencoder((8, 8, 1), latent_dim=2, encoder="dense", decoder="dense", width=4)
    with pytest.raises(InputError, match="call fit first"):
        model.plot_history()
    model.compile()
    x = RNG.random((32, 8, 8, 1), "float32")
    model.fit(x, epochs=5, initial_epoch=1, validation_data=x, validation_freq=2, verbose=0)
    picture = model.plot_history()
    num = len([name for name in model.history.history if not name.startswith("val_")])
    assert picture.size == (480 * min(num, 3), 360 * -(-num // 3))
    picture.save(tmp_path / "curves.png")


def test_validation_stands_where_it_was_measured():
    logs = {"loss": [4.0, 3.0, 2.0, 1.0], "val_loss": [3.5, 1.5], "val_kernel_distance": [0.5, 0.25], "odd": [1.0] * 3}
    loss, distance = charts.of_history([1, 2, 3, 4], logs)
    assert (loss.y_name, distance.y_name) == ("loss", "val_kernel_distance")
    assert {name: list(x) for name, (x, _) in loss.lines.items()} == {"training": [2, 3, 4, 5], "validation": [2, 4]}
    assert [list(x) for x, _ in distance.lines.values()] == [[2, 4]]
