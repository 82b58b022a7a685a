"""Files that cost time to make again, below KERASGEN_HOME (by default ~/.cache/kerasgen)."""

import os
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np

from kerasgen.files import replacing


def home() -> Path:
    """The folder of the cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "kerasgen"
    return Path(os.environ.get("KERASGEN_HOME") or default).expanduser()


def write(path: Path, arrays: dict[str, np.ndarray]) -> bool:
    """Writes `{name: array}` to a .npz file, whole or not at all; warns, and gives false, where that cannot be."""
    try:
        with replacing(path) as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        advice = "KERASGEN_HOME names a folder that can be written"
        warnings.warn(f"{path.name} is not kept for the next time ({error}); {advice}.", stacklevel=3)
        return False
    return True


def read(path: Path) -> dict[str, np.ndarray] | None:
    """`{name: array}` of a .npz file; `None` if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
