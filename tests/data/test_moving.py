"""Videos of images that bounce about: where they are, and what a recipe makes of them."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import kerasgen
from kerasgen import data
from kerasgen.errors import DatasetError, InputError, RecipeError
from kerasgen.recipes import Recipe
from kerasgen.training.run import train


def dots(num):
    """Images of one bright pixel in their middle, of 3 x 3; each has a brightness of its own."""
    images = np.zeros((num, 3, 3, 1), np.uint8)
    images[:, 1, 1, 0] = 100 + np.arange(num)
    return images


def test_two_images_move_in_lines_and_are_reflected():
    """Between reflections the step is one vector of a tenth of the room, to the rounding of both ends."""
    images, room = dots(20), 41 - 3
    videos, labels = data.load_moving_arrays(images, side=41, frames=12)
    assert videos.shape == (20, 12, 41, 41, 1) and labels is None
    reflected = steady = 0
    for number, video in enumerate(videos):
        places = np.argwhere(video[..., 0] == 100 + number)
        if len(places) != 12:  # it meets another or itself
            continue
        steps = np.diff(places[:, 1:], axis=0)
        np.testing.assert_allclose(np.abs(steps[:, None] - steps).min(axis=1).max(), 0, atol=2)
        for axis in (0, 1):
            signs = np.sign(steps[:, axis])[np.abs(steps[:, axis]) > 1]
            reflected += int((signs[1:] != signs[:-1]).sum())
        speed = np.linalg.norm(np.abs(steps), axis=1)
        steady += int((np.abs(speed - 0.1 * room) < 1.5).sum())
        assert places[:, 1:].min() >= 1 and places[:, 1:].max() <= 39
    assert reflected > 3
    assert steady > 100
    assert (np.count_nonzero(videos, axis=(2, 3, 4)) <= 2).all()
    assert len(np.unique(videos)) > 15  # others than its own


def test_a_video_depends_on_its_number_alone():
    videos, _ = data.load_moving_arrays(dots(8), side=16, frames=4)
    np.testing.assert_array_equal(data.load_moving_arrays(dots(8), side=16, frames=4)[0], videos)
    np.testing.assert_array_equal(data.load_moving_arrays(dots(8), side=16, frames=1)[0], videos[:, 0])
    batches = list(data.load_moving(dots(8), side=16, frames=4, batch_size=3).as_numpy_iterator())
    np.testing.assert_array_equal(np.concatenate(batches), videos)
    shuffled = next(data.load_moving(dots(8), side=16, frames=4, batch_size=8, shuffle=True).as_numpy_iterator())
    assert sorted(map(bytes, shuffled)) == sorted(map(bytes, videos))
    assert len(list(data.load_moving(dots(8), side=16, frames=4, batch_size=3, drop_remainder=True))) == 2


def test_labels_tell_what_moves():
    """Each image has a brightness of its own, by which it is found where nothing hides it."""
    images, classes = dots(12), np.arange(12) % 3
    videos, labels = data.load_moving_arrays((images, classes), side=41, frames=6, labels="attributes")
    assert (labels.shape, labels.dtype) == ((12, 3), bool)
    for video, label in zip(videos, labels, strict=True):
        seen = {int(classes[value - 100]) for value in np.unique(video) if value}
        assert seen == set(np.flatnonzero(label))
    (batch, of_batch), *_ = data.load_moving((images, classes), side=41, frames=6, batch_size=5, labels="attributes")
    np.testing.assert_array_equal(batch, videos[:5])
    np.testing.assert_array_equal(of_batch, labels[:5])


def test_errors():
    with pytest.raises(DatasetError, match="no classes"):
        data.load_moving_arrays(dots(2), side=8, frames=4, labels="attributes")
    with pytest.raises(InputError, match='"attributes"'):
        data.load_moving_arrays(dots(2), side=8, frames=4, labels=True)
    with pytest.raises(DatasetError, match="3 x 3, which do not fit into 2 x 2"):
        data.load_moving_arrays(dots(2), side=2, frames=4)
    with pytest.raises(InputError, match="frames"):
        data.load_moving_arrays(dots(2), side=8, frames=0)


def test_recipes_of_videos(tmp_path):
    """An autoencoder of single frames, then a model of the latents of videos, with pictures and a card."""
    for index, image in enumerate(dots(24)):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(tmp_path / "images" / f"{index}.png")
    splits = {"train_split": "all[:80%]", "validation_split": "all[80%:]", "test_split": "all[80%:]"}
    dataset = {"source": str(tmp_path / "images"), "image_size": 8, "channels": 1, **splits}
    training = {"epochs": 1, "batch_size": 8, "optimizer": "adam", "learning_rate": 1e-2}
    spatial = {"class": "spatial", "levels": 1}

    def recipe(name, frames, **model):
        table = {"name": name, "description": "Of dots.", "dataset": dataset | {"moving": frames}, "training": training}
        evaluation = {"split": "all[80%:]", "num_samples": 10, "grid": 4, "sampling": {"steps": 2}}
        evaluation = evaluation if frames > 1 else {"split": "all[80%:]"}
        return Recipe.from_dict(table | {"model": model, "evaluation": evaluation})

    config = {"shape": [8, 8, 1], "latent_dim": 16, "encoder": spatial, "decoder": spatial, "num_components": 0}
    frames = train(recipe("dots", 1, **{"class": "Autoencoder", "config": config}), tmp_path / "frames", verbose=0)
    network = {"class": "VideoDiT", "width": 8, "depth": 2, "patch": 2}
    denoiser = {"class": "FlowMatching", "network": {"class": "grid", "sides": [4, 4, 4], "network": network}}
    config = {"autoencoder": str(frames), "denoiser": denoiser, "frames": 4}
    videos = recipe("moving-dots", 4, **{"class": "LatentDiffusion", "config": config})
    folder = train(videos, tmp_path / "videos", verbose=0)
    model = kerasgen.load(folder)
    assert model.sample(2, steps=2, verbose=0).shape == (2, 4, 8, 8, 1)
    with Image.open(folder / "samples.gif") as picture:
        assert picture.n_frames == 4
    assert (tmp_path / "videos" / "samples" / "epoch-0001.gif").is_file()
    assert "samples.gif" in (folder / "README.md").read_text()
    assert json.loads((folder / "metrics.json").read_text())["metrics"]
    with pytest.raises(RecipeError, match=r"image_size is .8, 9.; with dataset.moving"):
        train(videos.override(["dataset.image_size=[8,9]"]), tmp_path / "other", verbose=0)


@pytest.mark.parametrize("loaded", ["load(x, batch_size=2, shuffle=True, repeat=True)", "load_moving(x, frames=2)"])
def test_python_ends_while_an_iterator_is_left_over(loaded):
    """TensorFlow's threads are filling buffers then, by functions of Python."""
    code = f"""import numpy as np
from kerasgen import data
x = np.zeros((500, 16, 16, 1), np.uint8)
batches = iter(data.{loaded})
next(batches)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True)
