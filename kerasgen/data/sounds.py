"""Files of sounds: WAV, FLAC and what else soundfile reads, brought to one sample rate and length."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasgen.data.batches import batches
from kerasgen.data.folders import parse_split, part_of, split_of, stand_ins
from kerasgen.data.pipeline import num_batches_of
from kerasgen.data.sources import Source, no_split
from kerasgen.errors import DatasetError, InputError
from kerasgen.modalities import Sounds
from kerasgen.typing import Array

if TYPE_CHECKING:
    import tensorflow as tf

SUFFIXES = (".wav", ".flac", ".ogg", ".aiff", ".aif")
SPLITS = ("train", "validation", "test")


def load_sound_arrays(
    source: str | os.PathLike,
    split: str = "train",
    *,
    sounds: Sounds,
    pattern: str | None = None,
    labels: str | bool | None = None,
) -> tuple[Array, Array | None]:
    """Spectrograms uint8 `[N, frequency, time, 1]` and labels of a folder of sounds.

    Labels are int32 `[N]`, attributes bool `[N, A]`, or `None`.

    Args:
        sounds: `model.modality`.
        source, split, pattern, labels: see `kerasgen.data.sounds.sound_source`.

    Errors as there.
    """
    opened = sound_source(source, split, sounds, pattern, labels)
    return np.asarray(opened.images), opened.labels


def load_sounds(
    source: str | os.PathLike,
    split: str = "train",
    batch_size: int = 64,
    *,
    sounds: Sounds,
    pattern: str | None = None,
    labels: str | bool | None = None,
    shuffle: bool = False,
    seed: int = 0,
    drop_remainder: bool = False,
    repeat: bool = False,
    first_epoch: int = 0,
    first_batch: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> "tf.data.Dataset":
    """Batches of spectrograms of a folder of sounds, with labels if there are any.

    Arguments and errors as in `load` and `load_sound_arrays`.
    """
    opened = sound_source(source, split, sounds, pattern, labels)
    num_batches = num_batches_of(opened, batch_size, drop_remainder)
    where = (first_epoch, first_batch, shard)
    return batches([opened], num_batches, batch_size, shuffle, seed, False, drop_remainder, repeat, *where)


def load_whole_sounds(source: str | os.PathLike, *, sounds: Sounds, limit: int | None = None) -> list[Array]:
    """The sounds of a file, or of all files of a folder, each of its own length: float32 `[num_samples]` in [-1, 1].

    They are brought to the sample rate of `sounds`. Errors as of `sound_source`.
    """
    path = Path(source).expanduser()
    return [_heard(file, sounds.sample_rate) for file in ([path] if path.is_file() else _files(path)[:limit])]


def fits_pattern(path: str | os.PathLike, pattern: str) -> bool:
    """Whether the names of all sounds of a folder fit a pattern. Errors as of `sound_source`."""
    return all(_matched(file, pattern) for file in _files(Path(path).expanduser()))


def sound_splits(path: str | os.PathLike) -> dict[str, str]:
    """What stands for "train", "validation" and "test" of a recipe in a folder of sounds: see `data.recipe_splits`."""
    path = Path(path).expanduser()
    return stand_ins({_by_folders(file.relative_to(path))[0] for file in _files(path)})


def sound_class_names(path: str | os.PathLike, pattern: str | None = None) -> list[str] | None:
    """The names of the classes of a folder of sounds, in the order of their numbers. Errors as of `sound_source`."""
    path = Path(path).expanduser()
    found = _files(path)
    return _class_names(found, [label for _, label in _placed(path, found, pattern)])


def sound_attribute_names(path: str | os.PathLike, pattern: str) -> list[str]:
    """The names of the attributes of a folder of sounds, in the order of their columns. Errors as of `sound_source`."""
    return [name for _, name in _attributes(_groups(_files(Path(path).expanduser()), pattern), pattern)]


def sound_source(
    path: str | os.PathLike, split: str, sounds: Sounds, pattern: str | None = None, labels: str | bool | None = None
) -> Source:
    """A `Source` of spectrograms uint8 `[frequency, time, 1]`, and labels.

    Args:
        path: of a folder, whose sub-folders are splits, or classes, or splits with classes in them.
        split: "train", "validation", "test" or "all", or a part by a hash of the paths, such as "train[:90%]". Files
            that are in no split are of "train".
        sounds: what the files are brought to: resampled, the mean of their channels, cut off or filled up with silence
            at their end.
        pattern: a regular expression of the names of files, without their suffix, in place of sub-folders: the group
            "label" is the class; a file where the group "test" or "validation" is not empty is of that split.
        labels: `False` leaves them out. "attributes" are the values of all groups of the pattern but "test" and
            "validation": with the groups "label" and "speaker" there is one for each class, and one for each speaker.

    Raises:
        DatasetError: there is no such folder or split, or a file cannot be read or does not fit the pattern.
        InputError: the pattern is none, or has no groups where attributes are asked for.
    """
    path = Path(path).expanduser()
    name, *ends = parse_split(split)
    found = _files(path)
    placed = _placed(path, found, pattern)
    there = {place for place, _ in placed}
    wanted = "all" if name == "all" else split_of(name)
    if wanted != "all" and wanted not in there:
        raise no_split(path, name, [*(place for place in SPLITS if place in there), "all"])
    files = [index for index, (place, _) in enumerate(placed) if wanted in ("all", place)]
    files = [files[index] for index in part_of([found[i].relative_to(path).as_posix() for i in files], *ends)]
    names, numbers = None, None
    if labels == "attributes":
        numbers = _attributes_of(found, pattern)[files]
    elif labels is not False:
        names = _class_names(found, [label for _, label in placed])
        numbers = None if names is None else np.array([names.index(placed[i][1]) for i in files], np.int32)

    def read():
        heard = (sounds.spectrograms(_of_length(_heard(found[i], sounds.sample_rate), sounds)[None]) for i in files)
        return np.concatenate([sounds.to_storage(x) for x in heard]), numbers

    return Source(f"{path}, {split}", len(files), read, names)


def _files(path):
    """The sounds below a folder, sorted."""
    if not path.is_dir():
        raise DatasetError(f"there is no folder {path}; expected one with files of sounds.")
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and _visible(file, path))
    if not found:
        raise DatasetError(f"{path} has no sounds; expected files such as {', '.join(SUFFIXES)}.")
    return found


def _placed(path, found, pattern):
    """The split and the class, or "", of each file."""
    if pattern is None:
        return [_by_folders(file.relative_to(path)) for file in found]
    return [_by_pattern(file, pattern) for file in found]


def _visible(file, path):
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)


def _by_folders(file):
    """The split and the class, or "", of a path below the folder."""
    parts = file.parts[:-1]
    place = split_of(parts[0]) if parts else None
    labels = parts if place is None else parts[1:]
    return place or "train", labels[0] if labels else ""


def _matched(file, pattern):
    try:
        return re.fullmatch(pattern, file.stem)
    except re.error as error:
        raise InputError(f"pattern is {pattern!r}, which is no regular expression ({error}).") from error


def _groups(files, pattern):
    """The values of the pattern's named groups, a dictionary for each file."""
    found = []
    for file in files:
        match = _matched(file, pattern)
        if match is None:
            raise DatasetError(f"{file} does not fit the pattern {pattern!r}; change the pattern, or move the file.")
        found.append(match.groupdict())
    return found


def _attributes(groups, pattern):
    """`(group, value)` of each attribute: group by group, as in the pattern, and sorted in each."""
    kinds = [kind for kind in groups[0] if kind not in SPLITS]
    if not kinds:
        told = "expected named groups, such as (?P<label>...), whose values are attributes"
        raise InputError(f"pattern is {pattern!r}; {told}.")
    return [(kind, value) for kind in kinds for value in sorted({each[kind] or "" for each in groups} - {""})]


def _attributes_of(files, pattern):
    """bool `[N, A]`."""
    if pattern is None:
        raise InputError('labels is "attributes", but there is no pattern of names of files, whose groups they are.')
    groups = _groups(files, pattern)
    columns = _attributes(groups, pattern)
    return np.array([[each[kind] == value for kind, value in columns] for each in groups])


def _by_pattern(file, pattern):
    (groups,) = _groups([file], pattern)
    place = next((place for place in SPLITS[1:] if groups.get(place)), "train")
    return place, groups.get("label") or ""


def _class_names(found, labels):
    if not any(labels):
        return None
    if "" in labels:
        raise DatasetError(f"{found[labels.index('')]} has no class, and others have; move it to a sub-folder.")
    return sorted(set(labels))


def _of_length(sound, sounds):
    """The beginning of a sound, or with silence at its end."""
    sound = sound[: sounds.num_samples]
    return np.pad(sound, (0, sounds.num_samples - len(sound)))


def _heard(file: Path, sample_rate: int) -> Array:
    """float32 of a file, at this sample rate."""
    try:
        import soundfile
        import soxr
    except ImportError as error:
        raise InputError('files of sounds need soundfile and soxr: pip install "kerasgen-zoo[sound]".') from error
    try:
        found, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise DatasetError(f"{file} cannot be read ({error}); convert it to WAV or FLAC, or remove it.") from error
    if not np.isfinite(found).all():
        raise DatasetError(f"{file} has samples that are not finite; remove it.")
    one = found.mean(axis=1)
    if rate != sample_rate:
        one = soxr.resample(one, rate, sample_rate)
    return np.clip(one, -1.0, 1.0)
