"""`Modality`: what the kinds of examples share."""

import numbers
from pathlib import Path

import numpy as np
from keras import ops

from kerasgen.errors import InputError
from kerasgen.files import replacing
from kerasgen.typing import Any, Array, ArrayLike, Config, Sequence, Tensor


class Modality:
    """A kind of example, and the shape of one.

    A subclass gives the attributes, what differs, `save(x, path, columns)` to forms other than `.npy`, and `check(x)`:
    examples as a NumPy array `[N, *shape]` that a model computes with, each value checked.
    """

    noun, axes, rank = "examples", "...", 0  # their name; the names and the number of the axes of one
    counted = "examples"  # what so many of them are called
    dtypes: tuple[str, ...] = ("float",)  # parts of the names of dtypes that it takes
    values = "float"  # what it takes, in words
    dtype = "float32"  # that models compute in
    advice = ""  # how to bring examples to the shape
    range_note = ""  # the range of results, after their shape
    using_results = ""  # a line of code that does something with results
    suffixes: tuple[str, ...] = (".npy",)  # of files that it writes, "" for a folder
    tabular = False  # whether examples are rows of a table, at whose values `check_training` looks
    drawable = False  # whether `grid` gives a picture
    written = False  # whether `texts` gives texts
    config: Config | None = None  # what a model keeps in place of the shape, where there is more to know

    def __init__(self, shape: int | Sequence[int]) -> None:
        _, self.shape = match(shape, type(self))

    @property
    def example(self) -> str:
        """A line of code that has some examples."""
        return f"{self.noun} = np.zeros((16, {', '.join(map(str, self.shape))}), np.float32)  # yours"

    @property
    def sheet(self) -> str:
        """The name of the file that shows samples."""
        return f"samples{self.suffixes[0]}"

    def check_spec(self, shape: Sequence[int | None], dtype: str) -> None:
        """Checks the static shape `[batch, ...]` (`None` where unknown) and the dtype name."""
        noun, axes, shape = self.noun, self.axes, tuple(shape)
        if len(shape) != 1 + self.rank:
            advice = "; add the batch axis with x[None]" if shape == self.shape else ""
            raise InputError(f"{noun} have {len(shape)} axes, shape {shape}; expected [batch, {axes}]{advice}.")
        if any(have is not None and have != want for have, want in zip(shape[1:], self.shape, strict=True)):
            takes, advice = ", ".join(map(str, ("batch", *self.shape))), self.advice
            if self.rank > 1 and (*shape[:-3], *shape[-2:], shape[-3])[1:] == self.shape:
                advice = " Their channels come first; move them to the end by np.moveaxis(x, -3, -1)."
            raise InputError(f"{noun} have shape {shape}; this model takes [{takes}] ({axes}).{advice}")
        if not any(part in dtype for part in self.dtypes):
            raise InputError(f"{noun} have dtype {dtype}; expected {self.values}.")

    def check(self, x: ArrayLike) -> np.ndarray:
        raise NotImplementedError

    def of_shape(self, shape: Sequence[int]) -> "Modality":
        """The kind of examples that are like these, but of another shape; of kinds that a shape alone makes."""
        return type(self)(shape)

    def check_any_size(self, x: ArrayLike) -> np.ndarray:
        """As `check`, of examples of any sides. Raises `InputError`: the kind has none, or see `check`."""
        return self.check(x)

    def check_training(self, x: Array, whole: bool = True) -> None:
        """Refuses, or warns of, checked examples that a model would learn little from; does nothing for most kinds.

        Args:
            x: as the user holds them.
            whole: whether these are all, or else a sample of what comes in batches.
        """

    def save(self, x: np.ndarray, path: Path, columns: int | None) -> None:
        raise NotImplementedError

    def to_array(self, x: ArrayLike) -> Array:
        """Examples as a NumPy array `[N, *shape]` of a dtype that it takes, with N of at least 1."""
        x = to_numpy(self.noun, x)
        self.check_spec(x.shape, str(x.dtype))
        if len(x) == 0:
            raise InputError(f"there are no {self.noun}: the first axis has length 0.")
        return x

    def scale(self, x: Tensor) -> Tensor:
        """What models compute with, from a tensor as users hold it."""
        return ops.cast(x, self.dtype)

    def to_network(self, x: Tensor) -> Tensor:
        """What networks read, from scaled examples."""
        return x

    def from_network(self, x: Tensor) -> Tensor:
        """Scaled examples, from what networks give."""
        return x

    def to_storage(self, x: Array) -> Array:
        """Results as a data set holds examples."""
        return x.astype(self.dtype, copy=False)

    def to_float(self, x: Array) -> Array:
        """Checked examples in the range of results."""
        return x

    def extent(self, x: Array) -> tuple[float, str]:
        """How much examples `[N, ...]` of any sides are, and in what: the unit that rates are by."""
        return x.size // x.shape[-1], "pixel"

    def file_size(self, example: Array) -> int:
        """Bytes of an example in a file without loss."""
        raise InputError(f"{self.noun} have no usual file without loss.")

    def columns(self, num: int) -> int:
        """Of `num` examples that belong in a row, those that a row of a picture has room for."""
        return num

    def grid(self, examples: ArrayLike, columns: int | None = None) -> Array:
        """One picture of the examples in rows of `columns`, uint8 `[height, width, C]`."""
        raise InputError(f"{self.noun} have no picture; they can be written to {' or '.join(self.suffixes)}.")

    def texts(self, x: ArrayLike) -> list[str]:
        """The text of each of some checked examples. Raises `InputError`: the kind has none."""
        raise InputError(f"{self.noun} have no texts; they can be written to {' or '.join(self.suffixes)}.")

    def check_output(self, path: str | Path) -> Path:
        """The path, if `write` can write to it."""
        path, forms = Path(path), " or ".join(suffix or "a folder" for suffix in self.suffixes)
        if path.suffix not in self.suffixes:
            raise InputError(f"{path} ends in {path.suffix or 'no suffix'}; expected {forms}.")
        if path.is_dir() if path.suffix else path.is_file():
            raise InputError(f"{path} is a {'folder' if path.suffix else 'file'}; expected {forms}.")
        return path

    def write(self, examples: ArrayLike, path: str | Path, columns: int | None = None) -> None:
        """Writes examples in the form that the suffix of `path` names; without one, to a folder, a file an example."""
        path, x = self.check_output(path), self.to_array(examples)
        if path.suffix != ".npy":
            return self.save(x, path, columns)
        with replacing(path) as file:
            np.save(file, x)


def match(shape: int | Sequence[int], *kinds: type[Modality]) -> tuple[type[Modality], tuple[int, ...]]:
    """The one of these modalities that has the rank of the shape, and the shape as a tuple of ints."""
    shape = tuple(shape) if hasattr(shape, "__iter__") else (shape,)
    kind = next((kind for kind in kinds if kind.rank == len(shape)), None)
    if not (kind and all(isinstance(side, numbers.Integral) and side is not True and side >= 1 for side in shape)):
        forms = " or ".join(f"({kind.axes}{',' * (kind.rank == 1)})" for kind in kinds)
        raise InputError(f"shape is {shape}; expected {forms}, each at least 1.")
    return kind, tuple(int(side) for side in shape)


def to_numpy(name: str, x: Any) -> Array:
    """An array, tensor, list or tuple as a NumPy array; `name` is what errors call it."""
    if not (hasattr(x, "__array__") or isinstance(x, (list, tuple))):
        raise InputError(f"{name} is a {type(x).__name__}; expected an array or a tensor.")
    try:
        return ops.convert_to_numpy(x) if ops.is_tensor(x) else np.asarray(x)
    except ValueError as error:
        raise InputError(f"{name} is a {type(x).__name__} of unequal shapes; expected equal ones.") from error
