"""Videos in files: GIF frame by frame as written, films nearly so, and what cannot be read."""

import numpy as np
import pytest
from PIL import Image

from kerasgen import data
from kerasgen.errors import DatasetError, InputError
from kerasgen.modalities import Videos

RNG = np.random.default_rng(0)


def test_animations_are_read_as_they_were_written(tmp_path):
    x = RNG.integers(0, 256, (2, 5, 6, 8, 1), dtype=np.uint8)
    Videos(x.shape[1:]).write(x, tmp_path / "clips")
    for index in range(2):
        path = tmp_path / "clips" / f"{index:06d}.gif"
        np.testing.assert_array_equal(data.load_video(path, channels=1), x[index])
        assert data.load_video(str(path), (3, 4), limit=2).shape == (2, 3, 4, 3)


def test_transparency_is_white(tmp_path):
    frames = [Image.new("RGBA", (4, 4), (255, 0, 0, 0)), Image.new("RGBA", (4, 4), (255, 0, 0, 255))]
    frames[0].save(tmp_path / "clip.webp", save_all=True, append_images=frames[1:], lossless=True)
    found = data.load_video(tmp_path / "clip.webp")
    np.testing.assert_array_equal(found[:, 0, 0], [[255, 255, 255], [255, 0, 0]])


@pytest.mark.parametrize("channels", [1, 3])
def test_films_are_nearly_as_they_were_written(channels, tmp_path):
    """All at once in a grid of odd sides, as the GIF of the same videos; H.264 keeps even ones."""
    x = np.zeros((2, 7, 57, 57, channels), np.float32)
    for frame in range(7):
        x[:, frame, 5 * frame : 5 * frame + 20, 10:40] = 0.8
    for suffix in ("gif", "mp4"):
        Videos(x.shape[1:]).write(x, tmp_path / f"clip.{suffix}", columns=1)
    gif, mp4 = (data.load_video(tmp_path / f"clip.{suffix}", channels=channels) for suffix in ("gif", "mp4"))
    assert gif.shape == (7, 2 * 59 + 2, 59 + 2, channels)
    assert mp4.shape == (7, 120, 62, channels)
    assert np.abs(gif.astype(float) - mp4[:, :, :61]).mean() < 2.0


def test_errors(tmp_path):
    (tmp_path / "damaged.gif").write_bytes(b"GIF89a")
    (tmp_path / "damaged.mp4").write_bytes(b"no film")
    for name, message in (("none.gif", "is no file"), ("damaged.gif", "cannot be read"), ("damaged.mp4", "as MP4")):
        with pytest.raises(DatasetError, match=f"{name}.*{message}"):
            data.load_video(tmp_path / name)
    with pytest.raises(InputError, match="limit"):
        data.load_video(tmp_path / "damaged.gif", limit=0)
    with pytest.raises(InputError, match="channels is 2"):
        data.load_video(tmp_path / "damaged.gif", channels=2)
