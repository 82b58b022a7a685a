"""Folders of sounds."""

import numpy as np
import pytest

from kerasgen import data
from kerasgen.data.sounds import sound_attribute_names
from kerasgen.errors import DatasetError, InputError
from kerasgen.modalities import Sounds

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

SOUNDS = Sounds(8000, 1024, window=64, hop=16)
PATTERN = r"(?P<label>\d)_\w+_((?P<test>[01])|\d+)"


def tone(hertz, rate=8000, seconds=0.1):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def write(path, *channels, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack(channels, axis=1), rate, subtype="PCM_16")


def test_sub_folders_are_splits_and_classes(tmp_path):
    for split, classes in (("train", "ab"), ("test", "b")):
        for index, name in enumerate(classes):
            write(tmp_path / split / name / f"{index}.wav", tone(1000 * (index + 1)))
    x, y = data.load_sound_arrays(tmp_path, sounds=SOUNDS)
    assert (x.shape, x.dtype, y.tolist()) == ((2, 32, 64, 1), np.uint8, [0, 1])
    assert data.load_sound_arrays(tmp_path, "test", sounds=SOUNDS)[1].tolist() == [1]
    assert len(data.load_sound_arrays(tmp_path, "all", sounds=SOUNDS)[0]) == 3
    with pytest.raises(DatasetError, match="validation"):
        data.load_sound_arrays(tmp_path, "validation", sounds=SOUNDS)


def test_names_say_the_class_and_the_split(tmp_path):
    for index in range(4):
        write(tmp_path / f"{index % 2}_anna_{index}.wav", tone(500))
    assert data.load_sound_arrays(tmp_path, sounds=SOUNDS, pattern=PATTERN)[1].tolist() == [0, 1]
    assert len(data.load_sound_arrays(tmp_path, "test", sounds=SOUNDS, pattern=PATTERN)[0]) == 2
    assert data.load_sound_arrays(tmp_path, sounds=SOUNDS)[1] is None
    write(tmp_path / "noise.wav", tone(500))
    with pytest.raises(DatasetError, match=r"noise\.wav does not fit the pattern"):
        data.load_sound_arrays(tmp_path, sounds=SOUNDS, pattern=PATTERN)
    with pytest.raises(InputError, match="no regular expression"):
        data.load_sound_arrays(tmp_path, sounds=SOUNDS, pattern="(")


def test_groups_of_the_pattern_are_attributes(tmp_path):
    pattern = r"(?P<label>\d)_(?P<speaker>[a-z]+)_((?P<test>[01])|\d+)"
    names = ("1_zoe_0", "1_zoe_2", "0_anna_3", "1_anna_4", "2_anna_1")
    for name in names:
        write(tmp_path / f"{name}.wav", tone(500))
    assert sound_attribute_names(tmp_path, pattern) == ["0", "1", "2", "anna", "zoe"]
    _, y = data.load_sound_arrays(tmp_path, sounds=SOUNDS, pattern=pattern, labels="attributes")
    assert (y.dtype, y.astype(int).tolist()) == (bool, [[1, 0, 0, 1, 0], [0, 1, 0, 1, 0], [0, 1, 0, 0, 1]])
    _, y = data.load_sound_arrays(tmp_path, "test", sounds=SOUNDS, pattern=pattern, labels="attributes")
    assert y.astype(int).tolist() == [[0, 1, 0, 0, 1], [0, 0, 1, 1, 0]]
    ((_, y),) = data.load_sounds(tmp_path, batch_size=3, sounds=SOUNDS, pattern=pattern, labels="attributes")
    assert y.shape == (3, 5)
    with pytest.raises(InputError, match="no pattern"):
        data.load_sound_arrays(tmp_path, sounds=SOUNDS, labels="attributes")
    with pytest.raises(InputError, match="named groups"):
        data.load_sound_arrays(tmp_path, sounds=SOUNDS, pattern=r".*_((?P<test>[01])|\d+)", labels="attributes")


def test_other_rates_channels_and_lengths(tmp_path):
    """A tone keeps its frequency; what is too long is cut, what is too short is silent at its end."""
    write(tmp_path / "a.wav", tone(1000, 44100), np.zeros(4410), rate=44100)
    write(tmp_path / "b.flac", tone(1000, seconds=1.0))
    x, _ = data.load_sound_arrays(tmp_path, sounds=SOUNDS)
    assert x[:, :, 20, 0].argmax(axis=1).tolist() == [8, 8]  # 1000 / (8000 / 64)
    assert x[0, :, -8:].max() == 0 and x[1, :, -8:].max() > 200
    half, whole = x[:, 8, 20, 0].astype(float)
    assert (whole - half) / 255 * 80 == pytest.approx(20 * np.log10(2), abs=0.5)  # the other channel is silent


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(DatasetError, match="no folder"):
        data.load_sound_arrays(tmp_path / "none", sounds=SOUNDS)
    with pytest.raises(DatasetError, match="has no sounds"):
        data.load_sound_arrays(tmp_path, sounds=SOUNDS)
    write(tmp_path / "a" / "good.wav", tone(500))
    (tmp_path / "a" / "bad.wav").write_bytes(b"RIFF, or so")
    with pytest.raises(DatasetError, match=r"bad\.wav cannot be read"):
        data.load_sound_arrays(tmp_path, sounds=SOUNDS)
    (tmp_path / "a" / "bad.wav").unlink()
    write(tmp_path / "beside.wav", tone(500))
    with pytest.raises(DatasetError, match=r"beside\.wav has no class"):
        data.load_sound_arrays(tmp_path, sounds=SOUNDS)
