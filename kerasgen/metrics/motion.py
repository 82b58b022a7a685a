"""How well videos are forecast, and how what is in them moves."""

import numpy as np

from kerasgen.metrics import similarity
from kerasgen.metrics.conditions import FOUND
from kerasgen.metrics.figure import Figures, extracted, mean_figure
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


def centroids(videos: Array) -> Array:
    """The centre of brightness of each frame of videos `[N, T, H, W, C]`, float64 `[N, T, 2]`, rows and columns.

    That of a black frame is its middle.
    """
    light = videos.astype(np.float64).sum(axis=-1) + 1e-9  # of a black frame alone there is no other
    rows, columns = (np.arange(side, dtype=np.float64) for side in light.shape[2:])
    total = light.sum(axis=(2, 3))
    return np.stack([light.sum(axis=3) @ rows, light.sum(axis=2) @ columns], axis=-1) / total[..., None]


def changes(videos: Array) -> tuple[Array, Array]:
    """How the centre of brightness moves, `[N]` each: the mean of its speed, the median of its acceleration.

    In pixels a frame, and a frame squared. Where things move in straight lines and are reflected, their common centre
    has a constant velocity but for the frames of reflections, which a median leaves out.
    """
    where = centroids(videos)
    speed = np.linalg.norm(np.diff(where, axis=1), axis=-1).mean(axis=1)
    return speed, np.median(np.linalg.norm(np.diff(where, n=2, axis=1), axis=-1), axis=1)


def motion(run: Any) -> Figures:
    """`centroid_speed` and `centroid_acceleration` of samples, means of `changes`; `real` are those of real videos."""
    found, real = changes(run.samples), changes(run.images)
    names = ("centroid_speed", "centroid_acceleration")
    return {
        name: mean_figure(fake, **run.how_sampled, real=float(true.mean()))
        for name, fake, true in zip(names, found, real, strict=True)
    }


def content_kept(run: Any) -> Figures:
    """The share of samples in whose first and last frames the extractor finds the same classes or attributes.

    `real` is that of real videos.
    """

    def alike(probabilities: Array, num: int) -> Array:
        ends = probabilities.reshape(num, -1, probabilities.shape[-1])[:, [0, -1]]
        found = ends > FOUND if run.extractor.num_classes is None else ends.argmax(axis=-1)[..., None]
        return (found[:, 0] == found[:, 1]).all(axis=-1)

    real = alike(run.real[1], len(run.images)).mean()
    return extracted(run, "content_kept", alike(run.fake[1], len(run.samples)), real=float(real))
