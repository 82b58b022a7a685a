"""Removal of Gaussian noise from images of any size, by a network that is told how strong it is."""

import numpy as np
from keras import ops

from kerasgen import inputs, noise, tiles
from kerasgen.base import SHOWN, BaseModel, Exhibit, register_family, rows
from kerasgen.errors import InputError
from kerasgen.export import ROWS, Part
from kerasgen.modalities import NoisyImages, to_numpy
from kerasgen.networks import resolve
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, Array, ArrayLike, Callable, Config, Logs, Sequence, Tensor, Verbose

MARGIN = 32  # pixels on a tile's side within the image that are read and not kept
TILE = 512  # the longest side of a tile, margin included
SHOWN_LEVEL = 25.0 / 255.0  # of the noise in exhibits
NORMAL_MEDIAN = 0.6745  # of |n|, n ~ N(0, 1)


@register_family
class ImageDenoiser(BaseModel):
    """x' = y - f(y, s) of y = x + s n, n ~ N(0, I): f estimates the noise, and is told its standard deviation s.

    As FFDNet (Zhang et al. 2018). In training, s is drawn for each image, uniformly from `noise_stddev`, and the loss
    is the mean squared error of x'. The network is convolutional: trained on patches, it is for images of any size.

    Args:
        shape, seed: see `BaseModel`; the shape is that of the patches it trains on.
        noise_stddev: least and greatest s, on the scale of [0, 1].
        network: a name in `kerasgen.networks.NOISE_ESTIMATORS`, a dictionary with it as "class" and arguments, or a
            Keras layer from y `[B, H, W, C]` and a map of s `[B, H, W, 1]`, as a list, to the noise `[B, H, W, C]`.
    """

    loss_names = ("loss",)
    called = "denoise"
    task = "image-to-image"
    of_any_size = ("denoise",)
    shows_examples = True

    def __init__(
        self,
        shape: Sequence[int] = (64, 64, 1),
        noise_stddev: Sequence[float] = (0.0, 0.2),
        network: Any = "UNet",
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(shape, None, seed, **kwargs)
        if not isinstance(noise_stddev, (list, tuple)) or len(noise_stddev) != 2:
            raise InputError(f"noise_stddev is {noise_stddev!r}; expected (least, greatest).")
        least, greatest = (inputs.check_number("noise_stddev", level, 0.0) for level in noise_stddev)
        if not least <= greatest <= 1.0:
            raise InputError(f"noise_stddev is {noise_stddev!r}; expected (least, greatest) within [0, 1].")
        self.noise_stddev = self.noise_range = (least, greatest)
        self.keep(network=network)
        self.network = resolve.noise_estimator(network, self.shape[-1], self.dtype_policy)
        resolve.check_size(self.network, *self.shape[:2])

    def denoise_step(self, y: Tensor, level: Tensor) -> Tensor:
        """x' of images y, uint8 or float, with noise of standard deviations `level` `[B]`."""
        y = self.modality.scale(y)
        planes = ops.broadcast_to(ops.reshape(level, (-1, 1, 1, 1)), (*ops.shape(y)[:3], 1))
        return y - ops.cast(self.network([y, planes]), "float32")

    def losses(self, x: Tensor, one_hot: None, training: bool) -> tuple[Tensor, Logs]:
        """The mean squared error of each image, `[B]`."""
        least, greatest = self.noise_stddev
        level = least + (greatest - least) * self.uniform((ops.shape(x)[0],))
        y = x + ops.reshape(level, (-1, 1, 1, 1)) * self.normal(ops.shape(x))
        losses = ops.mean(ops.square(self.denoise_step(y, level) - x), axis=(1, 2, 3))
        return losses, {"loss": losses}

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """x' in [0, 1], with the noise that `noise_level` finds."""
        y = self.modality.scale(images)
        return ops.clip(self.denoise_step(y, ops.clip(noise_level(y, ops), *self.noise_stddev)), 0.0, 1.0)

    def denoise(
        self,
        x: ArrayLike,
        noise_stddev: float | ArrayLike | None = None,
        batch_size: int = 4,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Images `[N, H, W, C]` of any sides with their noise removed: float32 in [0, 1].

        Large images are worked on in tiles, of which neighbours share a margin.

        Args:
            x: uint8, or float around [0, 1]: noise may lead out of it.
            noise_stddev: of the noise, on the scale of [0, 1], of all or of each image; `None` to estimate it from each
                image (`noise_level`).
        """
        x = self.check_noisy(x)
        if noise_stddev is None:
            level = np.clip(noise_level(self.modality.to_float(x)), *self.noise_stddev).astype(np.float32)
        else:
            level = self.check_level(noise_stddev, len(x))
        factor = resolve.factor_of(self.network)
        sides = [-(-min(TILE, side) // factor) * factor for side in x.shape[1:3]]
        pieces = tiles.cut(x, sides, MARGIN)
        level = np.repeat(level, len(pieces) // len(x))
        found = self.run(self.denoise_step, len(pieces), rows(pieces, level), batch_size, verbose)
        return np.clip(tiles.join(found, x.shape[1:3], MARGIN), 0.0, 1.0)

    def check_noisy(self, x: ArrayLike) -> Array:
        """Images of any sides with the model's channels. Raises `InputError`."""
        x = to_numpy("images", x)
        if x.ndim != 4 or x.shape[-1] != self.shape[-1] or len(x) == 0 or min(x.shape[1:3]) < 2:
            expected = f"[batch, height, width, {self.shape[-1]}], sides at least 2"
            raise InputError(f"images have shape {x.shape}; expected {expected}.")
        return NoisyImages(x.shape[1:], self.noise_stddev[1]).check(x)

    def check_level(self, value: Any, num: int) -> Array:
        """float32 `[num]`. Raises `InputError`: it is not within what the model was trained for."""
        level, (least, greatest) = to_numpy("noise_stddev", np.asarray(value)), self.noise_stddev
        good = level.dtype.kind in "fiu" and level.shape in ((), (num,))
        if not good or not (level >= least).all() or not (level <= greatest).all():
            expected = f"a number of at least {least:g} and at most {greatest:g}, for which the model was trained"
            raise InputError(f"noise_stddev is {value!r}; expected {expected}, or {num} of them, one an image.")
        return np.broadcast_to(level, (num,)).astype(np.float32)

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        """ "whole": from images and the standard deviations of their noise, in the shape of the patches."""
        given = self.trial(self.modality) | {"noise_stddev": np.full((ROWS,), self.noise_stddev[1], np.float32)}
        return {"whole": lambda: Part(self.denoise_step, given, self.modality.noun)}

    def measures(self) -> tuple[str, ...]:
        return ("denoising",)

    def exhibit(self, examples: np.ndarray | None, labels: np.ndarray | None, settings: Evaluation) -> list[Exhibit]:
        """Examples with noise, and below each what is left when it is removed."""

        level = min(SHOWN_LEVEL, self.noise_stddev[1])

        def pairs():
            clean = self.modality.to_float(self.modality.check(examples[:SHOWN]))
            noisy = clean + level * noise.normal(0, len(clean), self.shape, settings.seed)
            return np.concatenate([np.clip(noisy, 0.0, 1.0), self.denoise(noisy, level, verbose=0)])

        columns = SHOWN if examples is None else min(SHOWN, len(examples))
        caption = f"Images of {settings.split} with Gaussian noise of {255 * level:g} / 255; below, without."
        return [Exhibit(pairs, columns, caption)]

    def snippet(self, handle: str, drawing: Config | None = None) -> str:
        return f"""import kerasgen
import numpy as np

model = kerasgen.load("{handle}")
noisy = np.zeros((1, 321, 481, {self.shape[-1]}), np.float32)  # yours, of any sides, float around [0, 1] or uint8
clean = model.denoise(noisy, noise_stddev=25 / 255)  # float32 in [0, 1]; without noise_stddev it is estimated
model.compile()  # then fine-tune on clean patches: model.fit(patches)"""

    def probe(self) -> np.ndarray:
        return self.denoise(np.zeros((2, *self.shape), np.float32), self.noise_stddev[1], verbose=0)


def noise_level(x: Any, ops: Any = np) -> Any:
    """Standard deviation of Gaussian noise in images x `[N, H, W, C]` in [0, 1], estimated: `[N]`.

    The median of |a - b - c + d| / 2 over squares of 2 x 2, which have s |n| where the image is smooth, over that of
    |n| (Donoho and Johnstone 1994, section 3.1, of the finest diagonal wavelet coefficients).
    """
    height, width = (side // 2 * 2 for side in x.shape[1:3])
    a, b = x[:, 0:height:2, 0:width:2], x[:, 0:height:2, 1:width:2]
    c, d = x[:, 1:height:2, 0:width:2], x[:, 1:height:2, 1:width:2]
    return ops.median(0.5 * ops.abs(a - b - c + d), axis=(1, 2, 3)) / NORMAL_MEDIAN
