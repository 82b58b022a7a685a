"""Videos: `[T, H, W, C]`, uint8 in 0..255 or float in [0, 1]."""

from pathlib import Path

import numpy as np

from kerasgen import pictures
from kerasgen.modalities.images import Images
from kerasgen.pictures import save_frames
from kerasgen.typing import Array, ArrayLike


class Videos(Images):
    """Videos of one size and length. A GIF or MP4 plays all at once; a picture has a strip of ten frames of each."""

    noun, axes, rank = "videos", "frames, height, width, channels", 4
    counted = noun
    advice = ""
    suffixes = (".gif", ".mp4", ".png", ".npy", "")

    def columns(self, num: int) -> int:
        """One: its strip is a row."""
        return 1

    def grid(self, examples: ArrayLike, columns: int | None = None) -> Array:
        x, last = self.to_float(self.to_array(examples)), self.shape[0] - 1
        shown = np.rint(np.linspace(0, last, min(last + 1, 10))).astype(int)
        return pictures.grid(x[:, shown].reshape(-1, *self.shape[1:]), len(shown) * (columns or 1))

    def save(self, x: Array, path: Path, columns: int | None) -> None:
        if path.suffix not in (".gif", ".mp4"):
            return super().save(x, path, columns)
        save_frames([pictures.grid(frames, columns) for frames in self.to_float(x).swapaxes(0, 1)], path)
