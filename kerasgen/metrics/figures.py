"""The figures of an evaluation: each function gives `{name: figure}` of an `Evaluation`."""

import math
from typing import Any

import numpy as np

from kerasgen.metrics import neighbours, similarity
from kerasgen.metrics.bootstrap import standard_error
from kerasgen.metrics.frechet import frechet_distance, weighted_moments
from kerasgen.metrics.kernel import kernel_distance
from kerasgen.metrics.path_length import EPSILON, path_lengths
from kerasgen.metrics.scores import inception_score
from kerasgen.modalities import Images

WIDE = 512  # features; beyond, a Fréchet distance takes seconds and is resampled less often
REPLICATES = (100, 20)
PIXEL_SIDE = 32  # of images in which copies are looked for
CALIBRATION_IMAGES = 500
SYNTHETIC = 60_000  # samples that a classifier is trained on
SYNTHETIC_EPOCHS = 4  # as many steps as settle which samples teach, not as many as the last tenth of a percent takes

Figures = dict[str, dict[str, Any]]


def figure(value: float, error: float | None, **how: Any) -> dict[str, Any]:
    """One figure as plain JSON values, with the 95 % confidence interval of its standard error."""
    interval = None if error is None else [value - 1.96 * error, value + 1.96 * error]
    return {"value": value, "standard_error": error, "confidence_interval": interval, **how}


def mean_figure(values: np.ndarray, **how: Any) -> dict[str, Any]:
    """The mean of per-image values; the standard error is what a bootstrap of images tends to, their spread / √n."""
    values = np.asarray(values, np.float64)
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
    return figure(float(values.mean()), error, n=len(values), **how)


def accuracy(run: Any) -> Figures:
    """Of a classifier; of attributes, the mean over them. `by_class` has that of each."""
    labels = run.model.check_labels(run.labels, len(run.images))
    probabilities = run.model.verb("classify")(run.images, run.batch_size, run.verbose)
    if labels.ndim == 2:
        right = (probabilities > 0.5) == labels  # [N, num_classes]
        by_class = right.mean(axis=0)
        return {"accuracy": mean_figure(right.mean(axis=1), **run.how, by_class=by_class.round(4).tolist())}
    right = probabilities.argmax(axis=1) == labels
    by_class = [float(right[labels == label].mean()) for label in np.unique(labels)]
    return {"accuracy": mean_figure(right, **run.how, by_class=np.round(by_class, 4).tolist())}


def mean_squared_error(run: Any) -> Figures:
    """Of reconstructions, per pixel, on the scale of [0, 1]."""
    target, result = run.reconstructions
    return {"mean_squared_error": mean_figure(np.square(result - target).mean(axis=(1, 2, 3)), **run.how)}


def psnr(run: Any) -> Figures:
    """Of reconstructions, in decibels."""
    return {"psnr": mean_figure(similarity.psnr(*run.reconstructions), **run.how)}


def ssim(run: Any) -> Figures:
    """Of reconstructions."""
    return {"ssim": mean_figure(similarity.ssim(*run.reconstructions), **run.how)}


def cycle_error(run: Any) -> Figures:
    """Mean |a - F(G(a))| per pixel, on the scale of [0, 1]."""
    translate = run.model.verb("translate")
    there = translate(run.given, "a_to_b", run.batch_size, run.verbose)
    back = translate(there, "b_to_a", run.batch_size, run.verbose)
    errors = np.abs(back - run.given.astype(np.float32) / 255.0).mean(axis=(1, 2, 3))
    return {"cycle_error": mean_figure(errors, **run.how)}


def bits_per_dim(run: Any) -> Figures:
    """-log2 p(x) per value with its kind, "exact", "bound" or "estimate"; of binary pixels in nats per image too."""
    model = run.model
    settings, protocol = model.likelihood_protocol(run)
    settings = {"seed": run.seed} | settings
    images = run.images[: run.likelihood_images]
    labels = None if run.labels is None else run.labels[: run.likelihood_images]
    bits = model.bits_per_dim(images, labels, batch_size=run.batch_size, verbose=run.verbose, **settings)
    pixels = "binary" if model.num_levels == 2 else f"{round(math.log2(model.num_levels))}-bit"
    how = {**run.how, "kind": model.likelihood, **settings, "pixels": pixels, **protocol}
    figures = {"bits_per_dim": mean_figure(bits, **how)}
    if model.num_levels == 2:
        figures["nats_per_image"] = mean_figure(bits * model.num_dims * math.log(2.0), **how)
    return figures


def likelihood_calibration(run: Any) -> Figures:
    """How bits per dimension fall with the number of importance samples, on the first images."""
    images = run.images[:CALIBRATION_IMAGES]
    labels = None if run.labels is None else run.labels[:CALIBRATION_IMAGES]
    counts = [k for k in (1, 4, 16, 64, 256, 1024) if k <= 2 * run.num_importance_samples]
    means = [
        float(run.model.bits_per_dim(images, labels, num_importance_samples=k, seed=run.seed, verbose=0).mean())
        for k in counts
    ]
    how = {**run.how, "kind": run.model.likelihood, "seed": run.seed, "n": len(images)}
    how |= {"num_importance_samples": counts, "bits_per_dim": means}
    # What doubling twice more still gains says how far the bound may be from log p(x).
    return {"likelihood_calibration": figure(means[-2] - means[-1], None, **how)}


def frechet(run: Any) -> Figures:
    """Fréchet distance; called FID only with the features of "inception-2015"."""
    real, fake = (np.asarray(features, np.float64) for features in (run.real[0], run.fake[0]))
    replicates = REPLICATES[real.shape[1] > WIDE]

    def distance(real_weights, fake_weights):
        return frechet_distance(*weighted_moments(real, real_weights), *weighted_moments(fake, fake_weights))

    value = distance(np.ones(len(real)), np.ones(len(fake)))
    error = standard_error(distance, (len(real), len(fake)), replicates, run.seed)
    name = f"frechet_distance/{run.extractor.name}"
    return {name: figure(value, error, **run.how_extracted, bootstrap=replicates)}


def kernel(run: Any) -> Figures:
    """Kernel distance (KID), with the jackknife's standard error."""
    value, error = kernel_distance(run.real[0], run.fake[0])
    return {f"kernel_distance/{run.extractor.name}": figure(value, error, **run.how_extracted)}


def precision_recall(run: Any) -> Figures:
    """Improved precision and recall, with 3 neighbours; errors for neighbourhoods as they are."""
    found = neighbours.precision_and_recall(run.real[0], run.fake[0], k=3)
    return {
        f"{name}/{run.extractor.name}": mean_figure(values, **run.how_extracted, neighbours=3)
        for name, values in zip(("precision", "recall"), found, strict=True)
    }


def density_coverage(run: Any) -> Figures:
    """Density and coverage, with 5 neighbours; errors for neighbourhoods as they are."""
    found = neighbours.density_and_coverage(run.real[0], run.fake[0], k=5)
    return {
        f"{name}/{run.extractor.name}": mean_figure(values, **run.how_extracted, neighbours=5)
        for name, values in zip(("density", "coverage"), found, strict=True)
    }


def inception(run: Any) -> Figures:
    """The Inception score's formula with the extractor's classes, over all samples at once."""
    probabilities = run.fake[1]
    error = standard_error(lambda w: inception_score(probabilities, w), (len(probabilities),), REPLICATES[0], run.seed)
    how = run.how_extracted | {"bootstrap": REPLICATES[0]}
    return {f"inception_score/{run.extractor.name}": figure(inception_score(probabilities), error, **how)}


def class_accuracy(run: Any) -> Figures:
    """The classifier's mean confidence in samples, with each class's share; of conditional samples, how many match."""
    probabilities, name = run.fake[1], run.extractor.name
    found = probabilities.argmax(axis=1)
    shares = np.bincount(found, minlength=probabilities.shape[1]) / len(found)
    figures = {
        f"confidence/{name}": mean_figure(
            probabilities.max(axis=1), **run.how_extracted, shares=shares.round(4).tolist()
        )
    }
    if run.sample_labels is not None and run.model.num_classes == probabilities.shape[1]:
        right = found == run.sample_labels
        by_class = [round(float(right[run.sample_labels == label].mean()), 4) for label in range(run.model.num_classes)]
        figures[f"sample_accuracy/{name}"] = mean_figure(right, **run.how_extracted, by_class=by_class)
    return figures


def _in_pairs(images, labels):
    """Neighbouring images of one class, `[N // 2, ...]` twice: an order that random draws may be taken to have."""
    order = np.arange(len(images)) if labels is None else np.argsort(labels, kind="stable")
    pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
    if labels is not None:
        pairs = pairs[labels[pairs[:, 0]] == labels[pairs[:, 1]]]
    return images[pairs[:, 0]] / np.float32(255.0), images[pairs[:, 1]] / np.float32(255.0)


def diversity(run: Any) -> Figures:
    """Mean multi-scale SSIM of pairs of samples (of one class), and of real images beside it: lower is more diverse."""
    values = similarity.ms_ssim(*_in_pairs(run.samples, run.sample_labels))
    real = similarity.ms_ssim(*_in_pairs(run.images, run.labels))
    return {"ms_ssim": mean_figure(values, **run.how_sampled, real=float(real.mean()))}


def pixels(images: np.ndarray) -> np.ndarray:
    """float32 `[N, D]`, of images averaged down to sides of at most 32."""
    x = np.asarray(images, np.float32) / 255.0
    factor = math.ceil(max(x.shape[1:3]) / PIXEL_SIDE)
    height, width = (side // factor * factor for side in x.shape[1:3])
    x = x[:, :height, :width].reshape(len(x), height // factor, factor, width // factor, factor, -1).mean(axis=(2, 4))
    return x.reshape(len(x), -1)


def memorisation(run: Any) -> Figures:
    """The share of samples that are closer to one training image than 99 % of the real images of the split are.

    Without copying about 0.01; `flagged` if the lower end of the interval is above 0.02.
    """
    copies = neighbours.memorised(*(pixels(x) for x in (run.samples, run.training(), run.images)))
    result = mean_figure(copies, **run.how_sampled, extractor="pixels", extractor_sha256=None, neighbours=50)
    return {"memorisation/pixels": result | {"flagged": result["confidence_interval"][0] > 0.02}}


def path_length(run: Any) -> Figures:
    """Perceptual path length between random latents, in the extractor's features."""
    num = min(run.num_samples, 2000)
    model = run.model
    labels = None if model.num_classes is None else model.sample_labels(None, num)
    values = path_lengths(
        lambda z: np.clip(model.decode(z, labels, run.batch_size, 0), 0.0, 1.0),
        lambda x: run.extractor.extract(x, run.batch_size, 0)[0],
        lambda start, stop: model.draw_latents(start, stop, run.seed, np.float32(run.sampler["temperature"])),
        num,
        run.seed,
    )
    how = {k: v for k, v in run.how_extracted.items() if k not in ("n_real", "n_fake")} | {"epsilon": EPSILON}
    return {f"path_length/{run.extractor.name}": mean_figure(values, **how)}


def train_on_synthetic(run: Any) -> Figures:
    """Accuracy on the real images of a new classifier that saw samples only, 60,000 of them, for 4 epochs.

    It is the extractor's, trained by its recipe. The classification accuracy score of Ravuri and Vinyals 2019.
    """
    samples, labels = run.synthesize(SYNTHETIC)
    samples = run.model.modality.to_storage(samples)
    student, epochs = run.extractor.retrained(samples, labels, SYNTHETIC_EPOCHS, run.seed, run.verbose)
    right = student.classify(run.images, run.batch_size, run.verbose).argmax(axis=1) == run.labels
    how = run.how_extracted | {"n_fake": SYNTHETIC, "epochs": epochs}
    return {f"train_on_synthetic/{run.extractor.name}": mean_figure(right, **how)}


# What a figure needs: whether an evaluation has it, and its name

IMAGES = (lambda run: isinstance(run.model.modality, Images), "images")
SIDES = (lambda run: min(run.model.shape[:2]) >= similarity.WINDOW, "sides of at least 11 pixels")
ENOUGH = (lambda run: min(len(run.images), run.num_samples) >= 10, "at least 10 real images and 10 samples")
TRAINING = (lambda run: run.training is not None, "a training set")
EXTRACTOR = (lambda run: run.extractor is not None, "an extractor")
CLASSES = (lambda run: run.extractor.num_classes is not None, "an extractor with classes")
LABELS = (
    lambda run: run.labels is not None and run.model.num_classes == run.extractor.num_classes,
    "a class-conditional model of the extractor's classes",
)
EXTRACTED = (IMAGES, ENOUGH, EXTRACTOR)

# What `measures` of a model may name: the function, and what its evaluation needs.
FIGURES = {
    "accuracy": (accuracy, ()),
    "mean_squared_error": (mean_squared_error, (IMAGES,)),
    "psnr": (psnr, (IMAGES,)),
    "ssim": (ssim, (IMAGES, SIDES)),
    "cycle_error": (cycle_error, ()),
    "bits_per_dim": (bits_per_dim, ()),
    "likelihood_calibration": (likelihood_calibration, ()),
    "frechet_distance": (frechet, EXTRACTED),
    "kernel_distance": (kernel, EXTRACTED),
    "precision_recall": (precision_recall, EXTRACTED),
    "density_coverage": (density_coverage, EXTRACTED),
    "inception_score": (inception, (*EXTRACTED, CLASSES)),
    "class_accuracy": (class_accuracy, (*EXTRACTED, CLASSES)),
    "ms_ssim": (diversity, (IMAGES, SIDES)),
    "memorisation": (memorisation, (IMAGES, TRAINING)),
    "path_length": (path_length, EXTRACTED),
    "train_on_synthetic": (train_on_synthetic, (*EXTRACTED, CLASSES, LABELS)),
}
ON_DEMAND = ("train_on_synthetic",)  # what takes long is measured only where it is named
