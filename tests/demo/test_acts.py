"""What the page lets models do, without the page."""

import threading

import numpy as np
import pytest
from PIL import Image

import kerasgen
from kerasgen.demo import acts
from kerasgen.demo.bench import Bench, Stopped
from kerasgen.demo.shelf import Shelf
from kerasgen.errors import InputError
from kerasgen.pictures import to_uint8


@pytest.fixture(scope="module")
def diffusion():
    network = {"class": "UNet", "width": 8, "multipliers": [1], "blocks": 1, "attention": []}
    return kerasgen.DiffusionModel((8, 8, 1), network=network, attributes=["round", "red"])


@pytest.fixture(scope="module")
def vae():
    return kerasgen.VariationalAutoencoder((8, 8, 3), latent_dim=2, width=4, num_classes=3)


def pixels(result):
    return np.asarray(result.shown)


def test_samples_are_those_of_the_model(diffusion):
    found = acts.sample(diffusion, 5, 3, {"round": 1}, steps=2)
    wanted = diffusion.sample(5, {"round": 1}, seed=3, steps=2, verbose=0)
    np.testing.assert_array_equal(found.arrays, wanted)
    np.testing.assert_array_equal(pixels(found), diffusion.modality.grid(wanted)[..., 0])


def test_classes_are_taken_in_turn(vae):
    labels = acts.labels_of(vae, [2, 0], None, 3)
    assert labels.tolist() == [2, 0, 2]
    wanted = vae.modality.grid(vae.sample(3, labels, seed=0, verbose=0))
    np.testing.assert_array_equal(pixels(acts.sample(vae, 3, 0, labels)), wanted)


def test_states_begin_with_noise_and_end_with_samples(diffusion):
    found = acts.states(diffusion, 0, steps=3)
    samples = diffusion.sample(acts.EXAMPLES, seed=0, steps=3, verbose=0)
    last = np.asarray(acts.picture(samples, 1))
    np.testing.assert_array_equal(pixels(found)[:, -last.shape[1] + 2 :], last[:, 2:])
    np.testing.assert_array_equal(found.arrays[:, -1], samples)
    assert found.arrays.shape == (acts.EXAMPLES, 4, *diffusion.shape)


def test_between_two_samples(vae):
    found = acts.between(vae, 0, 1, np.array([1]))
    ends = [vae.sample(1, [1], seed=seed, verbose=0) for seed in (0, 1)]
    wanted = vae.interpolate(*ends, steps=acts.ROW, labels=[1], verbose=0)[0]
    np.testing.assert_array_equal(found.arrays, wanted)
    np.testing.assert_array_equal(pixels(found), acts.picture(wanted, acts.ROW))
    assert acts.between(vae, 0, 1).arrays.shape == wanted.shape


def test_along_attributes(diffusion):
    """A row an attribute: without, with any, with."""
    found = acts.along(diffusion, ["round", "red"], 0, steps=2)
    wishes = [{"round": 0}, {}, {"round": 1}, {"red": 0}, {}, {"red": 1}]
    each = [diffusion.sample(1, wish, seed=0, steps=2, verbose=0)[0] for wish in wishes]
    np.testing.assert_array_equal(found.arrays, np.stack(each))
    np.testing.assert_array_equal(pixels(found), acts.picture(np.stack(each), 3))
    with pytest.raises(InputError, match="no attribute is chosen"):
        acts.along(diffusion, [], 0)


def test_what_is_painted_over_is_drawn_anew(diffusion):
    background = acts.canvas(diffusion, 5)
    assert min(background.shape[:2]) >= acts.CANVAS
    layer = np.zeros((*background.shape[:2], 4), np.uint8)
    layer[: len(layer) // 2, :, 3] = 255
    drawn = {"background": background, "layers": [layer]}
    found = acts.inpainted(diffusion, drawn, 2, 0, labels={}, steps=2)
    known = to_uint8(diffusion.sample(1, seed=5, verbose=0)).repeat(2, axis=0)
    mask = np.arange(8)[:, None] < np.full(8, 4)
    others = diffusion.inpaint(known, mask, {}, seed=0, steps=2, verbose=0)
    np.testing.assert_allclose(others[:, 4:], known[:, 4:] / 255.0, atol=1e-6)
    np.testing.assert_array_equal(found.arrays, others)
    np.testing.assert_array_equal(pixels(found), acts.picture(np.concatenate([known[:1] / 255.0, others])))
    for wrong, message in (
        (None, "no picture yet"),
        ({"background": None, "layers": []}, "no picture yet"),
        ({"background": background, "layers": [layer * 0]}, "nothing is marked"),
    ):
        with pytest.raises(InputError, match=message):
            acts.inpainted(diffusion, wrong, 2, 0)


def test_gaps_are_filled_in():
    model = kerasgen.MaskedDiffusion((6,), ["", *"abc"], {"class": "Transformer", "width": 8, "depth": 1, "heads": 1})
    found = acts.filled(model, "a_b", 3, 0)
    lines = found.shown.split("\n")
    assert found.arrays is None
    assert len(lines) == 3
    assert all(line.startswith("a") and line[2] == "b" for line in lines)
    with pytest.raises(InputError, match="no text yet"):
        acts.filled(model, "", 3, 0)


def test_uploads(vae, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    found = acts.changed(vae, "reconstruct", path)
    given = acts.read(path, (8, 8), 3)
    wanted = vae.reconstruct(given, [0], verbose=0)
    np.testing.assert_array_equal(found.arrays, wanted)
    np.testing.assert_array_equal(pixels(found), acts.picture(np.concatenate([given / 255.0, wanted]), 2))


@pytest.mark.parametrize("kind", ["pdf", "text", "cut", "large"])
def test_uploads_that_are_refused(kind, vae, tmp_path):
    path = tmp_path / "upload.png"
    if kind == "pdf":
        path.write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    elif kind == "text":
        path.write_text("no picture")
    else:
        sides = (5000, 8000) if kind == "large" else (64, 64)
        Image.fromarray(np.random.default_rng(0).integers(0, 2, sides, dtype=np.uint8).astype(bool)).save(path)
        if kind == "cut":
            path.write_bytes(path.read_bytes()[:200])
    message = {"pdf": "no picture", "text": "no picture", "cut": "cannot be read", "large": "40000000|8000 x 5000"}
    with pytest.raises(InputError, match=message[kind]):
        acts.changed(vae, "reconstruct", path)


def test_one_model_at_a_time_and_one_visitor(monkeypatch):
    loaded, inside = [], []
    monkeypatch.setattr("kerasgen.demo.bench.load", lambda name: loaded.append(name) or name)
    bench = Bench()

    def visit(name):
        with bench.model(name) as model:
            inside.append(model)
            assert len(inside) == 1
            inside.remove(model)

    threads = [threading.Thread(target=visit, args=(name,)) for name in "aabba"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(loaded) == {"a", "b"}
    visit("a")
    visit("a")
    assert len(loaded) <= 6


def test_a_model_that_is_not_loaded_leaves_none(tmp_path):
    bench = Bench()
    with pytest.raises(kerasgen.errors.KerasgenError), bench.model(str(tmp_path / "none")):
        pass
    with pytest.raises(kerasgen.errors.KerasgenError), bench.model(str(tmp_path / "none")):
        pass


def test_a_visitor_stops_their_own_work(vae):
    bench, told = Bench(), []

    def tell(part, parts):
        told.append((part, parts))
        bench.stop("another")
        if part == 2:
            assert bench.stop("me")

    with pytest.raises(Stopped), bench.work("me", tell) as done:
        vae.sample(acts.BATCH * 5, seed=0, batch_size=acts.BATCH, verbose=done)
    assert told == [(1, 5), (2, 5)]
    assert not bench.stop("me")
    assert vae.sample(2, seed=0, verbose=0).shape == (2, 8, 8, 3)


def test_the_oldest_files_make_room(tmp_path):
    shelf, arrays = Shelf(tmp_path, most=2), np.arange(3, dtype=np.float32)
    files = [shelf.put("./models/mine", acts.Result("", arrays + number)) for number in range(3)]
    assert [file.exists() for file in files] == [False, True, True]
    assert all(file.name.startswith("mine-") for file in files)
    np.testing.assert_array_equal(np.load(files[-1]), arrays + 2)
    text = shelf.put("gpt", acts.Result("ä\nb"))
    assert text.read_text(encoding="utf-8") == "ä\nb\n"
    assert len(list(tmp_path.glob("*/*"))) == 2
    del shelf
    assert not list(tmp_path.iterdir())
