"""How alike two images are: PSNR in decibels, SSIM and its multi-scale form.

Images are `[N, H, W, C]`, float in [0, 1] or uint8 in 0..255; an `InputError` says what is not so. SSIM is that of
TensorFlow: Gaussian window of 11 x 11, sigma 1.5, K1 = 0.01, K2 = 0.03 (Wang et al. 2004).
"""

import numpy as np

from kerasgen.metrics.checks import check_pairs
from kerasgen.typing import Array, ArrayLike

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2
WINDOW = 11


def mean_squared_error(a: ArrayLike, b: ArrayLike) -> Array:
    """Mean squared difference of the pixels in [0, 1], `[N]`."""
    a, b = check_pairs(a, b)
    return np.square(b - a).mean(axis=(1, 2, 3))


def psnr(a: ArrayLike, b: ArrayLike) -> Array:
    """-10 log10 of the mean squared error, `[N]`; infinite for equal images."""
    a, b = check_pairs(a, b)
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(np.square(b.astype(np.float64) - a).mean(axis=(1, 2, 3)))


def ssim(a: ArrayLike, b: ArrayLike) -> Array:
    """Structural similarity, `[N]`, 1 for equal images; sides are at least 11."""
    import tensorflow as tf

    a, b = check_pairs(a, b, WINDOW)
    with tf.device("CPU"):
        return tf.image.ssim(a, b, 1.0).numpy()


def ms_ssim(a: ArrayLike, b: ArrayLike) -> Array:
    """Multi-scale structural similarity, `[N]`, over as many of five scales as sides of at least 11 have room for."""
    import tensorflow as tf

    a, b = check_pairs(a, b, WINDOW)
    scales = sum(min(np.shape(a)[1:3]) >> level >= WINDOW for level in range(len(SCALE_WEIGHTS)))
    weights = np.array(SCALE_WEIGHTS[:scales])
    with tf.device("CPU"):
        return tf.image.ssim_multiscale(a, b, 1.0, power_factors=tuple(weights / weights.sum())).numpy()
