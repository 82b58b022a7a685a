"""Checkpoint folders: their files, replaced all or none."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, UnixFileLock

from kerasgen.errors import CheckpointError

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
FILES = (CONFIG, METADATA, WEIGHTS)
STAGING = ".saving"
COMMITTED = ".saved"
LOCK = ".lock"


def replace_files(folder: Path, write: Callable[[Path], None]) -> None:
    """Replaces the checkpoint files of `folder`, made if need be, by those that `write(staging folder)` makes.

    The three files are written to the hidden subfolder `.saving`, which is renamed to `.saved` once they are on disk:
    before this rename the checkpoint is the old one, after it the new one. The files are then moved up one by one.
    After a crash in between, `checkpoint_file` finds what is left in `.saved`, and the next save first finishes the
    moves; to Keras itself, config.json is missing until then if the configs differ, so it never mixes the two.
    Writers of one folder wait for each other.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        _move_up(folder)
        staging = folder / STAGING
        if staging.exists():
            shutil.rmtree(staging)
        staging.mkdir()
        try:
            write(staging)
            for path in (*(staging / name for name in FILES), staging):
                _fsync(path)
        except BaseException:
            shutil.rmtree(staging)
            raise
        os.rename(staging, folder / COMMITTED)
        _fsync(folder)
        _move_up(folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other writer is in the block; leaves no file behind."""
    lock = FileLock(folder / LOCK)
    with lock:
        try:
            yield
        finally:
            if isinstance(lock, UnixFileLock):  # the others remove theirs; whoever waits for it sees that it is gone
                (folder / LOCK).unlink(missing_ok=True)


def _move_up(folder):
    """Moves committed files into place; may be repeated after a crash at any point."""
    committed = folder / COMMITTED
    if not committed.exists():
        return
    old, new = folder / CONFIG, committed / CONFIG
    if new.exists() and old.exists() and old.read_bytes() != new.read_bytes():
        old.unlink()  # the config goes first and comes last, so that it never stands beside the other's weights
        _fsync(folder)
    for name in (METADATA, WEIGHTS, CONFIG):
        if (committed / name).exists():
            os.replace(committed / name, folder / name)
    committed.rmdir()
    _fsync(folder)


def _fsync(path):
    if os.name == "nt":  # which opens no folders, and flushes only what is open for writing
        if path.is_file():
            with open(path, "r+b") as file:
                os.fsync(file.fileno())
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoint_file(folder: Path, name: str) -> Path:
    """The path of one of `FILES`, in place or committed and not yet moved.

    Raises `CheckpointError`: there is no such folder or file.
    """
    if not folder.is_dir():
        raise CheckpointError(f"there is no checkpoint folder {folder}; check the path.")
    for path in (folder / COMMITTED / name, folder / name):
        if path.is_file():
            return path
    raise CheckpointError(f"{folder} has no {name}; a checkpoint needs {', '.join(FILES)}.")
