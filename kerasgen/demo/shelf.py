"""Files of results, for visitors to take along."""

import collections
import secrets
import shutil
import tempfile
import weakref
from pathlib import Path

import numpy as np

from kerasgen.demo.acts import Result

MOST_FILES = 100


class Shelf:
    """A folder of the newest results, in which the oldest make room; it goes with its shelf.

    Args:
        within: a folder whose files the page serves to whoever knows their names, which cannot be guessed.
    """

    def __init__(self, within: str | Path, most: int = MOST_FILES) -> None:
        Path(within).mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="kerasgen-", dir=within))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._files: collections.deque[Path] = collections.deque()
        self._most = most

    def put(self, name: str, result: Result) -> Path:
        """Writes the arrays of a result to a `.npy` file, or its texts, which have none, to a `.txt` file.

        Args:
            name: of the model that made it.
        """
        suffix = ".txt" if result.arrays is None else ".npy"
        path = self._folder / f"{Path(name).name}-{secrets.token_hex(8)}{suffix}"
        if len(self._files) == self._most:
            self._files.popleft().unlink(missing_ok=True)  # the page may have, when it was old
        if result.arrays is None:
            path.write_text(f"{result.shown}\n", encoding="utf-8")
        else:
            np.save(path, result.arrays)
        self._files.append(path)
        return path
