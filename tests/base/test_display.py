"""What notebooks show of a model."""

import base64
import json
from html.parser import HTMLParser

import numpy as np
import pytest

import kerasgen
from kerasgen import AutoregressiveTransformer, RealNVP, VariationalAutoencoder, charts
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


TAGS = {"div", "p", "strong", "code", "table", "tr", "th", "td", "figure", "figcaption", "img", "pre"}


class Page(HTMLParser):
    """The tags and texts of HTML, each tag closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.sources = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name == "src"]
        assert {name for name, _ in attributes} <= {"style", "alt", "src"}
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_a_new_model_says_what_it_is(vae):
    page = Page(vae._repr_html_())
    assert page.texts[0] == "VariationalAutoencoder"
    names, values = page.texts[1::2], page.texts[2::2]
    found = dict(zip(names, values, strict=True))
    assert found["images"] == "8 x 8 x 1 (height, width, channels)"
    assert found["parameters"] == f"{vae.count_params():,}"
    assert found["offers"].split(", ") == list(vae.offers)
    assert set(found) == {"images", "parameters", "offers"}
    assert "VariationalAutoencoder" in repr(vae) and "<div>" not in repr(vae)


BUNDLED = [name for name, entry in kerasgen.hub.registry.entries().items() if entry.bundled]


@pytest.mark.parametrize(
    "name", [name for name in BUNDLED if name.endswith(("mnist", "names", "shuttle", "attributes"))]
)
def test_entries_show_what_was_published(name, monkeypatch):
    """Their own picture and figures, of which nothing is computed, whatever the model has become since."""
    model = kerasgen.load(name)
    monkeypatch.setattr(model, "run", None)
    page = Page(model._repr_html_())
    assert page.texts[:3] == [type(model).__name__, " ", name]
    assert not model.programs._kept
    assert set(page.tags) <= TAGS
    entry = kerasgen.hub.registry.entries()[name]
    assert f"Figures of {name}, as published:" in page.texts
    first = next(iter(entry.metrics["metrics"].values()))
    assert f"{first['value']:.4g}" in page.texts
    drawn = entry.folder / "samples.png"
    if drawn.is_file():
        (source,) = page.sources
        assert source == f"data:image/png;base64,{base64.b64encode(drawn.read_bytes()).decode()}"
    else:
        assert not page.sources
    written = entry.folder / "samples.txt"
    assert ("pre" in page.tags) == written.is_file()
    if written.is_file():
        (shown,) = (text for text in page.texts if text.startswith(written.read_text().split("\n")[0]))
        assert shown.split("\n") == written.read_text().split("\n")[:8]
    assert (f"Samples of {name}, as published." in page.texts) == (drawn.is_file() or written.is_file())


def text_model():
    network = {"class": "Transformer", "width": 8, "depth": 1, "heads": 2}
    return AutoregressiveTransformer((4,), network=network, vocabulary=["a", "b"])


HARMFUL = "<script>alert('&\"')</script>"


def test_what_strangers_write_is_text(tmp_path):
    folder = tmp_path / "<b>here"
    text_model().save(folder)
    (folder / "samples.txt").write_text(f"{HARMFUL}\nab\\nc\n")
    (folder / "metrics.json").write_text(json.dumps({"metrics": {HARMFUL: {"value": 1.5}, "psnr": {"value": 2}}}))
    model = kerasgen.load(folder)
    page = Page(text := model._repr_html_())
    assert "script" not in page.tags and "b" not in page.tags
    assert f"{HARMFUL}\n\nab\nc" in page.texts
    assert {"1.5", "2", f"Samples beside the checkpoint {folder}."} <= set(page.texts)
    model.compile()
    model.fit(["abab"] * 4, verbose=0)
    assert model._repr_html_() == text  # it is never said to be the model's own
    model.origin = HARMFUL
    page = Page(model._repr_html_())
    assert "script" not in page.tags and HARMFUL in page.texts


@pytest.mark.parametrize(
    "report",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"metrics": 3}',
        '{"metrics": {"psnr": 3}}',
        '{"metrics": {"psnr": {"value": "high"}}}',
        f'{{"metrics": {{"psnr": {{"value": 1{"0" * 400}}}}}}}',
        " " * 2**21,
    ],
)
def test_what_is_damaged_is_left_out(vae, tmp_path, report):
    vae.save(tmp_path / "model")
    (tmp_path / "model" / "metrics.json").write_text(report)
    (tmp_path / "model" / "samples.png").write_text("no picture")
    model = kerasgen.load(tmp_path / "model")
    found = model._repr_html_()
    assert not {"p", "img", "figure"} & set(Page(found).tags[2:])
    for path in (tmp_path / "model").iterdir():
        path.unlink()
    (tmp_path / "model").rmdir()
    assert model._repr_html_() == found
    vae.save(tmp_path / "model.keras")
    assert kerasgen.load(tmp_path / "model.keras")._repr_html_() == found
