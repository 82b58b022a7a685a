"""Decoded images on disk, mapped into memory: for sets that are larger than it."""

import concurrent.futures
import itertools
import json
import os
from pathlib import Path

import numpy as np

from kerasgen.data.sources import Source
from kerasgen.errors import DatasetError
from kerasgen.files import replacing

CHUNK = 256  # images that are decoded at once


def on_disk(source: Source, folder: Path) -> Source:
    """The images of a source, decoded and of their final shape, in a folder; they are written there the first time.

    Few images are in memory at once: those read, one after the other and once, and what the system keeps of the file.

    Raises `DatasetError`: the folder holds another set, or cannot be written.
    """
    facts = {"name": source.name, "num": source.num, "size": source.size, "channels": source.channels}
    facts = json.loads(json.dumps(facts))
    description = folder / "set.json"
    try:
        if description.is_file():
            if (found := json.loads(description.read_text())) != facts:
                raise DatasetError(f"{folder} holds the images of {found}; expected {facts}. Choose another folder.")
        else:
            _write(source, folder)
            with replacing(description) as file:
                file.write(json.dumps(facts).encode())
        images = np.load(folder / "images.npy", mmap_mode="r")
        labels = np.load(folder / "labels.npy") if (folder / "labels.npy").is_file() else None
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{folder} cannot hold decoded images ({error}); remove it, or choose another.") from error
    return Source(source.name, source.num, lambda: (images, labels), source.class_names)


def _write(source, folder):
    folder.mkdir(parents=True, exist_ok=True)
    items, temporary, labels = source.one_by_one(), folder / "images.npy.tmp", []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        images, place = None, 0
        while chunk := list(itertools.islice(items, CHUNK)):
            decoded = list(pool.map(source.prepared, range(place, place + len(chunk)), (item for item, _ in chunk)))
            if images is None:
                shape = (source.num, *decoded[0].shape)
                images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            for image in decoded:
                source.check_same(images.shape[1:], image.shape)
                images[place] = image
                place += 1
            labels += [label for _, label in chunk]
        images.flush()
    os.replace(temporary, folder / "images.npy")
    if labels[0] is not None:
        np.save(folder / "labels.npy", np.array(labels, np.int32))
