"""Files that cost time to make again, below KERASGEN_HOME (by default ~/.cache/kerasgen)."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np


def home():
    """The folder of the cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "kerasgen"
    return Path(os.environ.get("KERASGEN_HOME") or default).expanduser()


def write(path, arrays):
    """Writes `{name: array}` to a .npz file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path):
    """`{name: array}` of a .npz file, or `None` if there is none that is whole."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, KeyError, EOFError):
        return None
    except Exception as error:  # zipfile.BadZipFile, zlib.error
        if type(error).__module__ in ("zipfile", "zlib"):
            return None
        raise


def cached(kind, key, compute):
    """`compute()`, a dictionary of arrays, kept in a file that is named by the hash of `key`, plain JSON values."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    path = home() / kind / f"{digest[:32]}.npz"
    arrays = read(path)
    if arrays is None:
        arrays = compute()
        write(path, arrays)
    return arrays
