"""How well videos are forecast."""

import numpy as np

from kerasgen.metrics import similarity
from kerasgen.metrics.figure import Figures, mean_figure
from kerasgen.typing import Any, Array, Callable


def over_frames(measure: Callable[..., Array], *examples: Array) -> Array:
    """`measure` of images, `[N]`: of videos `[N, T, H, W, C]` its means over their frames."""
    num = len(examples[0])
    return measure(*(x.reshape(-1, *x.shape[-3:]) for x in examples)).reshape(num, -1).mean(axis=1)


def frame_error(a: Array, b: Array) -> Array:
    """Squared errors `[N]`, summed over the pixels of images in [0, 1]."""
    return np.square(b.astype(np.float64) - a).sum(axis=(1, 2, 3))


def forecast(run: Any) -> Figures:
    """Of the second half of the first `num_samples` videos, given the first half: one that was drawn for each.

    `forecast_error` is a frame's squared error summed over pixels in [0, 1], a mean over frames and videos, as OpenSTL
    counts it (Tan et al. 2023); `still` is that of the last frame given, repeated. SSIM has a Gaussian window of 11.
    """
    x, labels = run.first(run.num_samples)
    num, x = x.shape[1] // 2, run.model.modality.to_float(x)
    drawing = {"seed": run.settings.seed, **run.batching, **run.settings.drawing}
    found, real = run.model.verb("forecast")(x[:, :num], labels, **drawing)[:, num:], x[:, num:]
    still = np.broadcast_to(x[:, num - 1 : num], real.shape)
    how = {**run.how, "frames_given": num, "sampler": run.sampler, "seed": run.settings.seed}
    errors = over_frames(frame_error, real, found)
    figures = {"forecast_error": mean_figure(errors, **how, still=float(over_frames(frame_error, real, still).mean()))}
    if min(x.shape[2:4]) >= similarity.WINDOW:
        figures["forecast_ssim"] = mean_figure(over_frames(similarity.ssim, real, found), **how)
    return figures
