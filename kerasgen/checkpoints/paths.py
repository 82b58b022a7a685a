"""Where a model is saved or loaded: folders and `.keras` files on this machine."""

import os
import re
from pathlib import Path

from kerasgen.errors import InputError

REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # s3://bucket, and what pathlib makes of it; no drive letter
OTHERS = (".h5", ".hdf5")


def local_path(path: str | os.PathLike) -> Path:
    """The path with "~" expanded.

    Raises `InputError`: it is no path, is elsewhere than on this machine, or names a kind of file that holds no model.
    """
    if not isinstance(path, (str, os.PathLike)) or not (text := os.fsdecode(path)):
        raise InputError(f"the path of a model is {path!r}; expected the path of a folder or of a .keras file.")
    if REMOTE.match(text):
        advice = "copy it from or to there yourself, or use the Hugging Face Hub (hf://user/repo)"
        raise InputError(f"{text} is not on this machine; kerasgen reads and writes local paths: {advice}.")
    if text.lower().endswith(OTHERS):
        raise InputError(
            f"{text} names an HDF5 file, which has no config; a model is saved to a folder or a .keras file. "
            "For weights alone there are save_weights and load_weights of Keras."
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"{text} has no meaning here: {error}") from error
