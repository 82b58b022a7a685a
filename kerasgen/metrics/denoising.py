"""How well Gaussian noise is removed: PSNR by the protocol of BSD68 (Zhang et al. 2017, "DnCNN", section IV)."""

import inspect

import numpy as np

from kerasgen import noise
from kerasgen.base import with_progress
from kerasgen.metrics.figure import Figures, mean_figure
from kerasgen.metrics.similarity import psnr
from kerasgen.typing import Any, Array, Callable, Sequence, Verbose

LEVELS = (15, 25, 50)  # standard deviations, of 255


def noisy_psnr(
    images: Sequence[Array], denoise: Callable[[Array, float], Array], level: float, seed: int, verbose: Verbose = 0
) -> Array:
    """PSNR in decibels of each image `[N]`, after `denoise(noisy, level)`, clipped to [0, 1].

    Args:
        images: uint8 `[H, W, C]`, each of its own sides.
        denoise: from an image with noise, float32 `[1, H, W, C]`, neither clipped nor rounded, and its standard
            deviation on the scale of [0, 1].
        level: the standard deviation, of 255.
        seed: of the noise, which is the same for whoever is measured.
    """
    found = []
    for index, image in enumerate(with_progress(images, verbose, lambda image: 1, "images")):
        clean = image[None] / np.float32(255.0)
        noisy = clean + np.float32(level / 255.0) * noise.normal(index, index + 1, image.shape, seed)
        found.append(psnr(clean, np.clip(denoise(noisy, level / 255.0), 0.0, 1.0))[0])
    return np.array(found)


def denoising(run: Any) -> Figures:
    """`denoising_psnr/15`, `/25` and `/50`, as far as the model was trained for such noise."""
    images = run.images if run.whole is None else run.whole()
    figures, denoise = {}, run.model.verb("denoise")
    told = "noise_stddev" in inspect.signature(denoise).parameters  # some find out how strong the noise is
    for level in LEVELS:
        if level / 255.0 <= run.model.noise_range[1]:
            values = noisy_psnr(
                images,
                lambda x, s: denoise(x, verbose=0, **({"noise_stddev": s} if told else {})),
                level,
                run.settings.seed,
                run.verbose,
            )
            how = {**run.how, "noise_stddev": level, "seed": run.settings.seed, "clipped": False}
            figures[f"denoising_psnr/{level}"] = mean_figure(values, **how)
    return figures
