"""Folders of images: which files are read, which sub-folders are splits and which are classes.

All that Pillow reads is read, through links too, each real folder once; hidden files are passed over, and what is left
out besides is counted in one warning. The sub-folders of a split are its classes. Their numbers follow the sorted names
of the class folders of all splits, with or without images.
"""

import collections
import hashlib
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasgen.data.images import suffixes
from kerasgen.data.sources import Source, no_split
from kerasgen.errors import DatasetError, InputError
from kerasgen.typing import Any, Sequence

CLUTTER = {"thumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir"}  # of operating systems, in lower case
SPELLINGS = {
    "train": "train|training",
    "validation": "validation|valid|val|dev|development",
    "test": "test|testing|eval|evaluation",
}
HELD_OUT = "90%"  # from here on, of a folder without splits


def split_of(name: str) -> str | None:
    """ "train", "validation" or "test" for a name that is a usual spelling of it, such as "Val" or "test_set"."""
    plain = re.sub(r"[\W_]", "", name).casefold()
    endings = "(set|split|data|images|imgs)?"
    return next((split for split, names in SPELLINGS.items() if re.fullmatch(f"({names}){endings}", plain)), None)


def splits_for_recipe(path: Path) -> dict[str, str]:
    """See `data.recipe_splits`."""
    return stand_ins({name for name, part in own_splits(path).items() if part.images})


def stand_ins(found: set[str]) -> dict[str, str]:
    """What stands for the splits of a recipe where these are found; see `data.recipe_splits`."""
    held_out = [name for name in ("validation", "test") if name in found]
    if held_out:
        return {"train": "train", "validation": held_out[0], "test": held_out[-1]}
    rest = f"train[{HELD_OUT}:]"
    return {"train": f"train[:{HELD_OUT}]", "validation": rest, "test": rest}


def shown_split(path: Path) -> str:
    """See `data.default_split`."""
    found = own_splits(path)
    return next((name for name in ("test", "validation", "train") if name in found and found[name].images), "all")


@dataclass
class Part:
    """The files below a folder: those of images by sorted path, and the rest."""

    root: Path
    images: list[Path]
    rest: list[Path]


def scan(root: Path) -> Part:
    """The files below a folder, through links, each real folder once."""
    files: list[Path] = []
    links: list[Path] = []
    folders = [root]
    seen = set(root.resolve().parents)
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)  # what is there itself, before what is linked to
        if (real := folder.resolve()) not in seen:
            seen.add(real)
            for entry in _entries(folder):
                kind = files if not _is_folder(entry) else links if entry.is_symlink() else folders
                kind.append(Path(entry.path))
    readable = suffixes()
    images = {file for file in files if file.suffix.lower() in readable and file.is_file()}
    return Part(root, sorted(images), sorted(set(files) - images))


def _entries(folder):
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read ({error.strerror}); change its permissions or move it.") from error
    return [e for e in entries if not e.name.startswith(".") and e.name.lower() not in CLUTTER]


def _is_folder(entry):
    """Whether it is a folder or a link to one; `entry.is_dir()` raises for a link to itself."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path))


def _sub_folders(folder):
    """The visible folders in a folder, but for links to itself or to what it is in, which would have no end."""
    above = {folder.resolve(), *folder.resolve().parents}
    found = [Path(entry.path) for entry in _entries(folder) if _is_folder(entry)]
    return [path for path in found if path.resolve() not in above]


def own_splits(path: Path) -> dict[str, Part]:
    """The sub-folders that are splits, by "train", "validation" and "test"; none if these are classes.

    Raises `DatasetError`: two of them are the same split, or there are images beside them.
    """
    named: dict[str, list[Part]] = {}
    others = []
    for folder in _sub_folders(path):
        if name := split_of(folder.name):
            named.setdefault(name, []).append(scan(folder))
        else:
            others.append(folder)
    if not any(part.images for parts in named.values() for part in parts):
        for folder in others:
            within = sorted({split_of(below.name) for below in _sub_folders(folder)} - {None})
            if len(within) > 1:
                advice = f"give {folder} as the source, or put the splits above the classes"
                raise DatasetError(f"{folder} has the splits {within} in it, like no class; {advice}.")
        return {}
    for name, parts in named.items():
        parts.sort(key=lambda part: not part.images)
        if len(parts) > 1 and parts[1].images:
            both = " and ".join(f"{part.root.name}/" for part in parts)
            raise DatasetError(f"{path} has {both}, either of which may be the {name} split; rename or move one.")
    beside = [entry.name for entry in _entries(path) if Path(entry.name).suffix.lower() in suffixes()]
    beside += [f"{folder.name}/" for folder in others if scan(folder).images]
    if beside:
        splits = ", ".join(f"{parts[0].root.name}/" for parts in named.values())
        what = f"{path} has {splits}, named like splits, and beside them images, such as {beside[0]}"
        advice = "move these, or rename what is a class; split='all' with labels=False takes all images"
        raise DatasetError(f"{what}, as a folder of classes has; {advice}.")
    return {name: named[name][0] for name in SPELLINGS if name in named}


def _parts(path, name, labels):
    """The parts of a folder that a split's name means, and the folders whose sub-folders are its classes."""
    if name == "all" and labels is False:
        return [scan(path)], []
    if name != "all" and split_of(name) is None:
        folders = _sub_folders(path)
        parts = [scan(folder) for folder in folders if folder.name == name]
        if not parts:
            raise no_split(path, name, [*(own_splits(path) or ["train"]), "all"])
        return parts, folders
    splits = own_splits(path)
    if not splits and (name == "all" or split_of(name) == "train"):
        return [scan(path)], [path]
    if name != "all" and split_of(name) not in splits:
        raise no_split(path, name, [*(splits or ["train"]), "all"])
    parts = [part for key, part in splits.items() if name == "all" or key == split_of(name)]
    return parts, [part.root for part in splits.values()]


def folder_source(path: Path, split: str, labels: Any) -> Source:
    """The `Source` of a split of a folder of images, or of a slice of it.

    Raises `DatasetError`: there is no such split, no image in it, or it cannot be told what is a split or a class.
    """
    name, *ends = parse_split(split)
    parts, roots = _parts(path, name, labels)
    files = [(part.root, file) for part in parts for file in part.images]
    if not files:
        raise _empty(parts[0])
    classes = [file.relative_to(root).parts[0] if file.parent != root else "" for root, file in files]
    names = None
    if labels is not False and any(classes):
        if "" in classes:
            stray = f"images both in sub-folders (classes) and beside them, such as {files[classes.index('')][1].name}"
            raise DatasetError(f"{parts[0].root} has {stray}; move them, or load with labels=False.")
        names = sorted({folder.name for root in roots for folder in _sub_folders(root)})
        number = {name: index for index, name in enumerate(names)}
    for part in parts:
        _tell_left_out(part, set() if names is None else set(names) - set(classes))
    taken = part_of([file.relative_to(path).as_posix() for _, file in files], *ends)
    numbers = None if names is None else np.array([number[classes[i]] for i in taken], np.int32)
    images = [files[i][1] for i in taken]
    return Source(f"{path}, {split}", len(images), lambda: (images, numbers), names, one_shape=False)


def parse_split(split: str) -> tuple[str, str | None, str | None]:
    """The name, and what part of it: ("train", None, "90%") of "train[:90%]". Raises `InputError`."""
    match = re.fullmatch(r"(.+?)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?", split)
    if match is None:
        raise InputError(f"split is {split!r}; expected a name such as 'train', or a part such as 'train[:90%]'.")
    return match[1], match[2], match[3]


def part_of(names: Sequence[str], first: str | None, last: str | None) -> Sequence[int]:
    """Indices, in order, of what is named from `first` to `last`, in numbers or per cent of an order of their own.

    A hash of the name gives each its place, so that a part has its share of each class, and is nearly the same after
    others were added.
    """
    if first is None and last is None:
        return range(len(names))
    order = sorted(range(len(names)), key=lambda i: hashlib.blake2b(os.fsencode(names[i])).digest())

    def place(end):
        if not end:
            return None
        return round(len(names) * int(end[:-1]) / 100) if end[-1] == "%" else int(end)

    return sorted(order[place(first) : place(last)])


def _count(files):
    kinds = collections.Counter(
        "broken link" if not file.exists() else file.suffix.lower() or "no suffix" for file in files
    )
    return ", ".join(f"{kind} {number}" for kind, number in kinds.most_common())


def _tell_left_out(part, without):
    """Warns of files that are left out; `without` are the classes that have no image."""
    if part.rest:
        files = f"{len(part.rest)} files" if len(part.rest) > 1 else "1 file"
        told = f"left out {files} of {part.root}, no images: {_count(part.rest)}, such as {part.rest[0]}."
        without &= {file.relative_to(part.root).parts[0] for file in part.rest}
        if without:
            told += f" The classes {sorted(without)} have no image left; the others keep their numbers."
        warnings.warn(told, stacklevel=2)


def _empty(part):
    versions = sorted(str(p.parent) for p in part.root.glob("*/dataset_info.json"))
    if versions:
        return DatasetError(f"{part.root} has no images; give one of the TFDS folders in it, {versions}.")
    have = f"; it has {_count(part.rest)}" if part.rest else ""
    return DatasetError(f"{part.root} has no images{have}; expected files that Pillow reads, such as .jpg or .png.")
