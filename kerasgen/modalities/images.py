"""Images: `[H, W, C]`, uint8 in 0..255 or float in [0, 1]."""

import io
import warnings
from pathlib import Path

import keras
import numpy as np

from kerasgen import pictures
from kerasgen.errors import InputError
from kerasgen.modalities.modality import Modality, to_numpy
from kerasgen.pictures import save_frames
from kerasgen.typing import Array, ArrayLike, Sequence, Tensor


class Images(Modality):
    """Images of one size. With other than 1 or 3 channels they have no picture and are written to `.npy` alone."""

    noun, axes, rank = "images", "height, width, channels", 3
    counted = noun
    dtypes, values = ("float", "uint8"), "uint8 in 0..255 or float in [0, 1]"
    advice = " Resize or convert them first, for example with kerasgen.data.load."
    range_note = " in [0, 1]"
    suffixes: tuple[str, ...] = (".png", ".npy", "")
    drawable = True
    limits = (0.0, 1.0)  # of floats

    def __init__(self, shape: int | Sequence[int]) -> None:
        super().__init__(shape)
        if self.shape[-1] not in (1, 3):
            self.suffixes, self.drawable = (".npy",), False

    @property
    def example(self) -> str:
        return f"{self.noun} = np.zeros((16, {', '.join(map(str, self.shape))}), np.uint8)  # yours, or float in [0, 1]"

    def check(self, x: ArrayLike) -> Array:
        x = self.to_array(x)
        low, high = float(x.min()), float(x.max())  # NaN if any is
        if x.dtype == np.uint8:
            self.warn_of_scale(high == 1.0, "uint8 of 0 and 1", "x.astype('float32')")
            return x
        x = x.astype(np.float32, copy=False)
        if low != low or high != high:
            raise InputError(f"{self.noun} have NaN values; expected float in [0, 1].")
        if low < self.limits[0] or high > self.limits[1]:
            expected = "float in [{:g}, {:g}] or uint8 in 0..255".format(*self.limits)
            expected += "; convert with x.astype('uint8')" if low >= 0.0 and high <= 255.0 else ""
            raise InputError(f"{self.noun} range over [{low:g}, {high:g}]; expected {expected}.")
        self.warn_of_scale(0.0 < high <= 1.0 / 255.0, f"floats up to {high:.2g}", "255 * x")
        return x

    def check_any_size(self, x: ArrayLike) -> Array:
        x, (*axes, channels) = to_numpy(self.noun, x), self.shape
        if x.ndim != 1 + len(axes) + 1 or x.shape[-1] != channels or 0 in x.shape:
            form = self.axes.rpartition(", ")[0]
            raise InputError(f"{self.noun} have shape {x.shape}; expected [batch, {form}, {channels}].")
        return self.of_shape(x.shape[1:]).check(x)

    def warn_of_scale(self, wrong: bool, found: str, remedy: str) -> None:
        """Warns of values that are possible, but all but black."""
        if wrong:
            warnings.warn(
                f"{self.noun} are {found}, all but black: {self.values} are expected. If they should be brighter, "
                f"give {remedy}.",
                stacklevel=2,
            )

    def scale(self, x: Tensor) -> Tensor:
        return super().scale(x) / 255.0 if keras.backend.standardize_dtype(x.dtype) == "uint8" else super().scale(x)

    def to_network(self, x: Tensor) -> Tensor:
        return 2.0 * x - 1.0

    def from_network(self, x: Tensor) -> Tensor:
        return 0.5 * (x + 1.0)

    def to_storage(self, x: Array) -> Array:
        return x if x.dtype == np.uint8 else pictures.to_uint8(x)

    def to_float(self, x: Array) -> Array:
        return x / np.float32(255.0) if x.dtype == np.uint8 else x

    def file_size(self, example: Array) -> int:
        """Bytes of an example, as a data set holds it, in a PNG file. Raises `InputError`: it has no such file."""
        if not self.drawable:
            raise InputError(f"{self.noun} of {self.shape[-1]} channels have no PNG file to take the size of.")
        file = io.BytesIO()
        pictures.to_image(example).save(file, "PNG", optimize=True)
        return file.tell()

    def grid(self, examples: ArrayLike, columns: int | None = None) -> Array:
        return pictures.grid(self.to_float(self.to_array(examples)), columns)

    def save(self, x: Array, path: Path, columns: int | None) -> None:
        if path.suffix:
            return save_frames([self.grid(x, columns)], path)
        for index, example in enumerate(self.to_storage(x)):
            save_frames(example.reshape(-1, *self.shape[-3:]), path / f"{index:06d}{self.suffixes[0]}")


class NoisyImages(Images):
    """Images with noise of standard deviations up to `noise_stddev`, which leads out of [0, 1]."""

    values = "uint8 in 0..255 or float around [0, 1]"

    def __init__(self, shape: int | Sequence[int], noise_stddev: float) -> None:
        super().__init__(shape)
        self.limits = (-8.0 * noise_stddev, 1.0 + 8.0 * noise_stddev)
