"""The figures of an evaluation: each function gives `{name: figure}` of an `Evaluation`."""

import math

import numpy as np

from kerasgen.base import with_progress
from kerasgen.errors import InputError
from kerasgen.metrics import neighbours, similarity
from kerasgen.metrics.anomaly import detection
from kerasgen.metrics.bootstrap import standard_error
from kerasgen.metrics.coding import codebook_usage, rate
from kerasgen.metrics.conditions import attribute_accuracy, identity, translation
from kerasgen.metrics.denoising import denoising
from kerasgen.metrics.figure import Figures, extracted, figure, mean_figure
from kerasgen.metrics.frechet import frechet_distance, weighted_moments
from kerasgen.metrics.kernel import kernel_distance
from kerasgen.metrics.molecules import molecules
from kerasgen.metrics.motion import content_kept, forecast, motion, over_frames
from kerasgen.metrics.path_length import EPSILON, PROTOCOL, path_lengths
from kerasgen.metrics.scores import inception_score
from kerasgen.metrics.sequences import copies, likelihood
from kerasgen.modalities import Images, Videos
from kerasgen.typing import Any, Array, ArrayLike, Callable

WIDE = 512  # features; beyond, a Fréchet distance takes seconds and is resampled less often
REPLICATES = (100, 20)
PIXEL_SIDE = 32  # of images in which copies are looked for
CALIBRATION_IMAGES = 500
SYNTHETIC = 60_000  # samples that a classifier is trained on
SYNTHETIC_EPOCHS = 4  # as many steps as settle which samples teach, not as many as the last tenth of a percent takes

# Classifiers and reconstructions


def accuracy(run: Any) -> Figures:
    """Of a classifier; of attributes, the mean over them. `by_class` has that of each."""
    labels = run.model.check_labels(run.labels, len(run.images))
    probabilities = run.model.verb("classify")(run.images, **run.batching)
    if labels.ndim == 2:
        right = (probabilities > 0.5) == labels  # [N, num_classes]
        values, by_class = right.mean(axis=1), right.mean(axis=0)
    else:
        values = probabilities.argmax(axis=1) == labels
        by_class = np.array([values[labels == label].mean() for label in np.unique(labels)])
    return {"accuracy": mean_figure(values, **run.how, by_class=by_class.round(4).tolist())}


def of_reconstructions(name: str, measure: Callable[[Array, Array], Array]) -> Callable[[Any], Figures]:
    """The figure `name`: the mean of `measure(images, reconstructions)` `[N]`; of videos of means over their frames."""
    return lambda run: {name: mean_figure(over_frames(measure, *run.reconstructions), **run.how)}


def cycle_error(run: Any) -> Figures:
    """Mean |a - F(G(a))| per pixel, on the scale of [0, 1]."""
    translate = run.model.verb("translate")
    there = translate(run.given, "a_to_b", **run.batching)
    back = translate(there, "b_to_a", **run.batching)
    errors = np.abs(back - run.model.modality.to_float(run.given)).mean(axis=(1, 2, 3))
    return {"cycle_error": mean_figure(errors, **run.how)}


# Likelihoods


def bits_per_dim(run: Any) -> Figures:
    """-log2 P(x) per value, with its kind: "exact", "bound" or "estimate"; of binary pixels in nats per image too."""
    model = run.model
    settings, protocol = model.likelihood_protocol(run.settings)
    settings = {"seed": run.settings.seed} | settings
    bits = model.bits_per_dim(*run.first(run.settings.likelihood_images), **run.batching, **settings)
    pixels = "binary" if model.num_levels == 2 else f"{round(math.log2(model.num_levels))}-bit"
    how = {**run.how, "kind": model.likelihood, **settings, "pixels": pixels, **protocol}
    figures = {"bits_per_dim": mean_figure(bits, **how)}
    if model.num_levels == 2:
        figures["nats_per_image"] = mean_figure(bits * model.num_dims * math.log(2.0), **how)
    return figures


def likelihood_calibration(run: Any) -> Figures:
    """How bits per dimension fall with the number of importance samples, on the first images."""
    images, labels = run.first(CALIBRATION_IMAGES)
    seed, most = run.settings.seed, 2 * run.settings.num_importance_samples
    counts = [k for k in (1, 4, 16, 64, 256, 1024) if k <= most]
    bits = [
        run.model.bits_per_dim(images, labels, num_importance_samples=k, seed=seed, verbose=0)
        for k in with_progress(counts, run.verbose)
    ]
    means = [float(values.mean()) for values in bits]
    how = {**run.how, "kind": run.model.likelihood, "seed": seed, "n": len(images)}
    how |= {"num_importance_samples": counts, "bits_per_dim": means}
    # What doubling twice more still gains says how far the bound may be from log P(x).
    return {"likelihood_calibration": figure(means[-2] - means[-1], None, **how)}


# Features of samples


def frechet(run: Any) -> Figures:
    """Fréchet distance; called FID only with the features of "inception-2015". Of videos that of all their frames."""
    moving = isinstance(run.model.modality, Videos)
    frames, suffix = (run.model.shape[0], "_of_frames") if moving else (1, "")
    real, fake = (np.asarray(features, np.float64) for features in (run.real[0], run.fake[0]))
    replicates = REPLICATES[real.shape[1] > WIDE]

    def distance(real_weights, fake_weights):
        sets = ((real, real_weights), (fake, fake_weights))
        means = [moment for rows, weights in sets for moment in weighted_moments(rows, np.repeat(weights, frames))]
        return frechet_distance(*means)

    sizes = len(real) // frames, len(fake) // frames
    value = distance(*(np.ones(size) for size in sizes))
    error = standard_error(distance, sizes, replicates, run.settings.seed, run.verbose)
    name = f"frechet_distance{suffix}/{run.extractor.name}"
    return {name: figure(value, error, **run.how_extracted, bootstrap=replicates)}


def kernel(run: Any) -> Figures:
    """Kernel distance (KID), with the jackknife's standard error."""
    value, error = kernel_distance(run.real[0], run.fake[0])
    return {f"kernel_distance/{run.extractor.name}": figure(value, error, **run.how_extracted)}


def of_neighbours(names: tuple[str, str], measure: Callable, k: int) -> Callable[[Any], Figures]:
    """The means of `measure(real, fake, k, verbose)`, by these names; errors do not count those of neighbourhoods."""

    def figures(run):
        found = zip(names, measure(run.real[0], run.fake[0], k, run.verbose), strict=True)
        first, second = (extracted(run, name, values, neighbours=k) for name, values in found)
        return first | second

    return figures


def inception(run: Any) -> Figures:
    """The Inception score's formula with the extractor's classes, over all samples at once."""
    probabilities, replicates = run.fake[1], REPLICATES[0]
    value, sizes = inception_score(probabilities), (len(probabilities),)
    error = standard_error(lambda w: inception_score(probabilities, w), sizes, replicates, run.settings.seed)
    return {f"inception_score/{run.extractor.name}": figure(value, error, **run.how_extracted, bootstrap=replicates)}


def class_accuracy(run: Any) -> Figures:
    """The classifier's mean confidence in samples, with each class's share; of conditional samples, how many match.

    `by_class` is `None` for a class that no sample was asked for.
    """
    probabilities, labels, num_classes = run.fake[1], run.synthesized[1], run.fake[1].shape[1]
    found = probabilities.argmax(axis=1)
    shares = np.bincount(found, minlength=num_classes) / len(found)
    figures = extracted(run, "confidence", probabilities.max(axis=1), shares=shares.round(4).tolist())
    if labels is not None and run.model.num_classes == num_classes:
        right = found == labels
        matches = (right[labels == label] for label in range(num_classes))
        by_class = [round(float(of_class.mean()), 4) if len(of_class) else None for of_class in matches]
        figures |= extracted(run, "sample_accuracy", right, by_class=by_class)
    return figures


def _in_pairs(images, labels):
    """Neighbouring images of one class, `[N // 2, ...]` twice: an order that random draws may be taken to have.

    Attributes part no classes.
    """
    labels = None if labels is None or labels.ndim > 1 else labels
    order = np.arange(len(images)) if labels is None else np.argsort(labels, kind="stable")
    pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
    if labels is not None:
        pairs = pairs[labels[pairs[:, 0]] == labels[pairs[:, 1]]]
    return images[pairs[:, 0]] / np.float32(255.0), images[pairs[:, 1]] / np.float32(255.0)


def diversity(run: Any) -> Figures:
    """Mean multi-scale SSIM of pairs of samples (of one class), and of real images beside it: lower is more diverse."""
    values = over_frames(similarity.ms_ssim, *_in_pairs(run.samples, run.synthesized[1]))
    real = over_frames(similarity.ms_ssim, *_in_pairs(run.images, run.labels))
    return {"ms_ssim": mean_figure(values, **run.how_sampled, real=float(real.mean()))}


def pixels(images: ArrayLike) -> Array:
    """float32 `[N, D]`, of uint8 images averaged down to sides of at most 32; of videos all frames.

    Raises `InputError` for other dtypes.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim < 4:
        raise InputError(f"images have dtype {images.dtype} and shape {images.shape}; expected uint8 [N, H, W, C].")
    x = images.reshape(-1, *images.shape[-3:]).astype(np.float32) / 255.0
    factor = math.ceil(max(x.shape[1:3]) / PIXEL_SIDE)
    height, width = (side // factor * factor for side in x.shape[1:3])
    x = x[:, :height, :width].reshape(len(x), height // factor, factor, width // factor, factor, -1).mean(axis=(2, 4))
    return x.reshape(len(images), -1)


def memorisation(run: Any) -> Figures:
    """The share of samples that are closer to one training image than 99 % of the real images of the split are.

    Without copying about 0.01; `flagged` if the lower end of the interval is above 0.02.
    """
    modality = run.model.modality
    training = modality.to_storage(modality.check(run.training()))
    sets = pixels(run.samples), pixels(training), pixels(run.images)
    copies = neighbours.memorised(*sets, verbose=run.verbose)
    result = mean_figure(copies, **run.how_sampled, extractor="pixels", extractor_sha256=None, neighbours=50)
    return {"memorisation/pixels": result | {"flagged": result["confidence_interval"][0] > 0.02}}


def path_length(run: Any) -> Figures:
    """Perceptual path length between random latents, in the extractor's features; both ends are of one class."""
    model, seed, num = run.model, run.settings.seed, min(run.num_samples, 2000)
    labels = model.labels_to_compare(run.labels, num)
    drawing = {name: value for name, value in run.sampler.items() if name in ("temperature", "truncation")}
    drawing["temperature"] = np.float32(drawing["temperature"])
    values = path_lengths(
        lambda z: np.clip(model.decode(z, labels, **run.batching), 0.0, 1.0),
        lambda x: run.extractor.extract(x, **run.batching)[0],
        lambda start, stop: model.draw_latents(start, stop, seed, **drawing),
        num,
        seed,
    )
    how = {key: value for key, value in run.how_extracted.items() if key not in ("n_real", "n_fake")}
    return {f"path_length/{run.extractor.name}": mean_figure(values, **how, **PROTOCOL, epsilon=EPSILON)}


def train_on_synthetic(run: Any) -> Figures:
    """Accuracy on the real images of a new classifier that saw samples only, 60,000 of them, for 4 epochs.

    It is the extractor's, trained by its recipe. The classification accuracy score of Ravuri and Vinyals 2019.
    """
    samples, labels = run.synthesize(SYNTHETIC)
    samples = run.model.modality.to_storage(samples)
    student, epochs = run.extractor.retrained(samples, labels, SYNTHETIC_EPOCHS, run.settings.seed, run.verbose)
    right = student.verb("classify")(run.images, **run.batching).argmax(axis=1) == run.labels
    return extracted(run, "train_on_synthetic", right, n_fake=SYNTHETIC, epochs=epochs)


# What a figure needs: whether an evaluation has it, and its name

IMAGES = (lambda run: isinstance(run.model.modality, Images), "images")
SIDES = (lambda run: min(run.model.shape[-3:-1]) >= similarity.WINDOW, "sides of at least 11 pixels")
ENOUGH = (lambda run: min(len(run.images), run.num_samples) >= 10, "at least 10 real images and 10 samples")
PAIRS = (
    lambda run: min(len(run.images), run.num_samples) > (run.model.exclusive_classes or 1),
    "more images and samples than classes",
)
TRAINING = (lambda run: run.training is not None, "a training set")
EXTRACTOR = (lambda run: run.extractor is not None, "an extractor")
CLASSES = (lambda run: run.extractor.num_classes is not None, "an extractor with classes")
LABELS = (
    lambda run: run.labels is not None and run.model.num_classes == run.extractor.num_classes,
    "a class-conditional model of the extractor's classes",
)
ATTRIBUTES = (
    lambda run: run.labels is not None and run.columns is not None,
    "images with attributes, and the extractor's columns of these",
)
COLUMN = (lambda run: run.columns is not None, "the extractor's attribute that parts the two kinds")
ANOMALOUS = (
    lambda run: run.anomalous is not None and 0 < run.anomalous.sum() < len(run.anomalous),
    "labels that tell normal examples, 0, from others",
)
SMILES = (lambda run: run.settings.smiles, "smiles = true in its settings")
SINGLE = (lambda run: not isinstance(run.model.modality, Videos), "images that are no videos")
MOVING = (lambda run: isinstance(run.model.modality, Videos) and run.model.shape[0] > 2, "videos of three frames")
KNOWN = (lambda run: run.real[1] is not None, "an extractor that tells classes or attributes")
EXTRACTED = (IMAGES, SINGLE, ENOUGH, EXTRACTOR)

# What `measures` of a model may name: the function, and what its evaluation needs.
FIGURES = {
    "accuracy": (accuracy, ()),
    "mean_squared_error": (of_reconstructions("mean_squared_error", similarity.mean_squared_error), (IMAGES,)),
    "psnr": (of_reconstructions("psnr", similarity.psnr), (IMAGES,)),
    "ssim": (of_reconstructions("ssim", similarity.ssim), (IMAGES, SIDES)),
    "detection": (detection, (ANOMALOUS,)),
    "rate": (rate, ()),
    "codebook_usage": (codebook_usage, ()),
    "denoising": (denoising, (IMAGES,)),
    "cycle_error": (cycle_error, ()),
    "bits_per_dim": (bits_per_dim, ()),
    "likelihood_calibration": (likelihood_calibration, ()),
    "nats_per_token": (likelihood, ()),
    "copies": (copies, (TRAINING,)),
    "molecules": (molecules, (TRAINING, SMILES)),
    "frechet_distance": (frechet, (IMAGES, ENOUGH, EXTRACTOR)),
    "kernel_distance": (kernel, EXTRACTED),
    "precision_recall": (of_neighbours(("precision", "recall"), neighbours.precision_and_recall, 3), EXTRACTED),
    "density_coverage": (of_neighbours(("density", "coverage"), neighbours.density_and_coverage, 5), EXTRACTED),
    "inception_score": (inception, (*EXTRACTED, CLASSES)),
    "class_accuracy": (class_accuracy, (*EXTRACTED, CLASSES)),
    "attribute_accuracy": (attribute_accuracy, (*EXTRACTED, ATTRIBUTES)),
    "translation": (translation, (*EXTRACTED, COLUMN)),
    "identity": (identity, EXTRACTED),
    "ms_ssim": (diversity, (IMAGES, SIDES, PAIRS)),
    "memorisation": (memorisation, (IMAGES, TRAINING)),
    "path_length": (path_length, EXTRACTED),
    "forecast": (forecast, ()),
    "motion": (motion, (MOVING, ENOUGH)),
    "content_kept": (content_kept, (MOVING, ENOUGH, EXTRACTOR, KNOWN)),
    "train_on_synthetic": (train_on_synthetic, (*EXTRACTED, CLASSES, LABELS)),
}
ON_DEMAND = ("train_on_synthetic",)  # what takes long is measured only where it is named
