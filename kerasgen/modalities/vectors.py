"""Vectors: `[D]`, float of any range."""

from pathlib import Path

import numpy as np

from kerasgen.errors import InputError
from kerasgen.files import replacing
from kerasgen.modalities.modality import Modality
from kerasgen.typing import Array, ArrayLike


class Vectors(Modality):
    """Vectors of one length. The numbers of a CSV file read back to the same bits."""

    noun, axes, rank = "vectors", "features", 1
    suffixes = (".csv", ".npy")

    def check(self, x: ArrayLike) -> Array:
        x = self.to_array(x)
        if not (np.abs(x) <= np.finfo(np.float32).max).all():
            raise InputError("vectors have values that are not finite.")
        return self.to_storage(x)

    def save(self, x: Array, path: Path, columns: int | None) -> None:
        header = [f"x{index}" for index in range(self.shape[0])]
        with replacing(path) as file:
            file.writelines(f"{','.join(map(str, row))}\n".encode() for row in (header, *x.tolist()))
