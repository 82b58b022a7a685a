"""One evaluation for every family: what a model offers is measured, and each figure says how."""

import dataclasses
import functools
import math
import sys
import time

import keras
import numpy as np

from kerasgen import data, pictures
from kerasgen.errors import InputError
from kerasgen.metrics import neighbours, similarity
from kerasgen.metrics.bootstrap import standard_error
from kerasgen.metrics.extractors import extract_cached, fingerprint, load_extractor
from kerasgen.metrics.frechet import frechet_distance, weighted_moments
from kerasgen.metrics.kernel import kernel_distance
from kerasgen.metrics.path_length import EPSILON, path_lengths
from kerasgen.metrics.scores import inception_score
from kerasgen.base.model import GenerativeModel
from kerasgen.classifiers.classifier import Classifier
from kerasgen.base.latent import LatentModel
from kerasgen.training.optimizers import optimizer
from kerasgen.recipes import Recipe
from kerasgen.hub.registry import find_recipe

WIDE = 512  # features; beyond, a Fréchet distance takes seconds and is resampled less often
REPLICATES = (100, 20)
PIXEL_SIDE = 32  # of images in which copies are looked for
CALIBRATION_IMAGES = 500
SYNTHETIC = 60_000  # samples that a classifier is trained on
SYNTHETIC_EPOCHS = 4  # as many steps as settle which samples teach, not as many as the last tenth of a percent takes


def figure(value, error, **how):
    """One figure as plain JSON values, with the 95 % confidence interval of its standard error."""
    interval = None if error is None else [value - 1.96 * error, value + 1.96 * error]
    return {"value": value, "standard_error": error, "confidence_interval": interval, **how}


def mean_figure(values, **how):
    """The mean of per-image values; the standard error is what a bootstrap of images tends to, their spread / √n."""
    values = np.asarray(values, np.float64)
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
    return figure(float(values.mean()), error, n=len(values), **how)


class Evaluation:
    """A model, the real images it is measured on, and the settings; samples and features are made once, when needed.

    Args:
        model: any model of kerasgen.
        images, labels: of the split, uint8 `[N, H, W, C]` (or vectors) and `[N]` or `None`.
        split: its name.
        dataset: the name of the data set, for the record.
        extractor: a name as for `load_extractor`, or `None`: then no figure needs one.
        num_samples, seed: of the samples; a model with `super_resolution` has one of each image made small.
        num_importance_samples, num_evaluations: of likelihoods, where they depend on them.
        likelihood_images: how many, the first, have their likelihood measured; all unless given.
        drawing: further arguments of `sample`, such as `temperature`, `sampler` and `steps`.
        training: a function that gives the training images, uint8, to look for copies in; or `None`.
        sources: of a `CycleGAN`, images whose translations are its samples; `images` are then of the other kind.
    """

    def __init__(
        self,
        model,
        images,
        labels,
        split,
        *,
        dataset=None,
        extractor=None,
        num_samples=10_000,
        num_importance_samples=128,
        num_evaluations=None,
        likelihood_images=None,
        drawing=None,
        seed=0,
        batch_size=250,
        training=None,
        sources=None,
        verbose="auto",
    ):
        self.model, self.images, self.split, self.dataset = model, images, split, dataset
        self.labels = labels if model.num_classes is not None else None
        self.num_samples, self.seed, self.drawing = num_samples, seed, drawing or {}
        self.sources = sources
        self.sampler = model.how_drawn(**self.drawing) if isinstance(model, GenerativeModel) else None
        if sources is not None:
            self.num_samples, self.sampler = len(sources), {"name": "translation", "steps": 1, "temperature": 1.0}
        if model.super_resolution is not None:
            self.num_samples = len(images)
        self.num_importance_samples, self.num_evaluations = num_importance_samples, num_evaluations
        self.likelihood_images = likelihood_images
        self.batch_size, self.verbose = batch_size, verbose
        self.training = training
        self.extractor_name = extractor

    @property
    def how(self):
        """What every figure depends on."""
        how = {"dataset": self.dataset, "split": self.split}
        if self.model.super_resolution is not None:  # samples and likelihoods are of images whose small ones are known
            how["given"] = list(self.model.small_shape)
        return how

    @property
    def how_sampled(self):
        """What figures of samples depend on besides."""
        real = len(self.images)
        return {"n_real": real, "n_fake": self.num_samples, **self.how, "sampler": self.sampler, "seed": self.seed}

    @property
    def how_extracted(self):
        return self.how_sampled | {"extractor": self.extractor.name, "extractor_sha256": self.extractor.sha256}

    @functools.cached_property
    def extractor(self):
        """Loaded. Raises `InputError` if it does not take the model's images."""
        extractor = load_extractor(self.extractor_name)
        extractor.check_shape(self.model.image_shape)
        return extractor

    @functools.cached_property
    def sample_labels(self):
        if self.sources is not None:
            return None
        if self.model.super_resolution is not None:
            return self.labels
        return self.model.sample_labels(None, self.num_samples)

    @functools.cached_property
    def samples(self):
        if self.model.super_resolution is not None:
            return pictures.to_uint8(self.enlarged)
        if self.sources is not None:
            translations = self.model.translate(self.sources, batch_size=self.batch_size, verbose=self.verbose)
            return pictures.to_uint8(translations)
        return self.draw(self.num_samples, self.sample_labels)

    def draw(self, num, labels):
        """Samples, uint8 as they would be in files."""
        settings = {"seed": self.seed, "batch_size": self.batch_size, "verbose": self.verbose}
        return pictures.to_uint8(self.model.sample(num, labels=labels, **settings, **self.drawing))

    @functools.cached_property
    def real(self):
        """Features and probabilities of the real images."""
        print_of = fingerprint(self.images)
        return extract_cached(self.extractor, self.images, print_of, self.batch_size, self.verbose)

    @functools.cached_property
    def fake(self):
        """Features and probabilities of the samples."""
        return self.extractor.extract(self.samples, self.batch_size, self.verbose)

    @functools.cached_property
    def enlarged(self):
        """With `super_resolution`: what is drawn for the real images made small, float32 in [0, 1]."""
        settings = {"seed": self.seed, "batch_size": self.batch_size, "verbose": self.verbose}
        return self.model.upscale(self.model.downscale(self.images), self.labels, **settings, **self.drawing)

    @functools.cached_property
    def reconstructions(self):
        """Real images and their reconstructions, float32 in [0, 1]; of small ones where a model enlarges those."""
        target = self.images.astype(np.float32) / 255.0 if self.images.dtype == np.uint8 else self.images
        if self.model.super_resolution is not None:
            return target, self.enlarged
        return target, self.model.reconstruct(self.images, self.labels, self.batch_size, self.verbose)


# Figures: each gives {name: figure}


def accuracy(run):
    """Of a classifier; of attributes, the mean over them. `by_class` has that of each."""
    labels = run.model.check_labels(run.labels, len(run.images))
    probabilities = run.model.classify(run.images, run.batch_size, run.verbose)
    if run.model.attributes:
        right = (probabilities > 0.5) == labels  # [N, num_classes]
        by_class = right.mean(axis=0)
        return {"accuracy": mean_figure(right.mean(axis=1), **run.how, by_class=by_class.round(4).tolist())}
    right = probabilities.argmax(axis=1) == labels
    by_class = [float(right[labels == label].mean()) for label in np.unique(labels)]
    return {"accuracy": mean_figure(right, **run.how, by_class=np.round(by_class, 4).tolist())}


def mean_squared_error(run):
    """Of reconstructions, per pixel, on the scale of [0, 1]."""
    target, result = run.reconstructions
    return {"mean_squared_error": mean_figure(np.square(result - target).mean(axis=(1, 2, 3)), **run.how)}


def psnr(run):
    """Of reconstructions, in decibels."""
    return {"psnr": mean_figure(similarity.psnr(*run.reconstructions), **run.how)}


def ssim(run):
    """Of reconstructions."""
    return {"ssim": mean_figure(similarity.ssim(*run.reconstructions), **run.how)}


def cycle_error(run):
    """Mean |a - F(G(a))| per pixel, on the scale of [0, 1]."""
    there = run.model.translate(run.sources, "a_to_b", run.batch_size, run.verbose)
    back = run.model.translate(there, "b_to_a", run.batch_size, run.verbose)
    errors = np.abs(back - run.sources.astype(np.float32) / 255.0).mean(axis=(1, 2, 3))
    return {"cycle_error": mean_figure(errors, **run.how)}


def _likelihood_settings(run):
    settings = {"seed": run.seed}
    if "num_importance_samples" in run.model.likelihood_settings:
        settings["num_importance_samples"] = run.num_importance_samples
    if "num_evaluations" in run.model.likelihood_settings:
        settings["num_evaluations"] = run.num_evaluations or run.model.num_evaluations
    return settings


def bits_per_dim(run):
    """-log2 p(x) per value with its kind, "exact", "bound" or "estimate"; of binary pixels in nats per image too."""
    model = run.model
    settings = _likelihood_settings(run)
    images = run.images[: run.likelihood_images]
    labels = None if run.labels is None else run.labels[: run.likelihood_images]
    bits = model.bits_per_dim(images, labels, batch_size=run.batch_size, verbose=run.verbose, **settings)
    pixels = "binary" if model.num_levels == 2 else f"{round(math.log2(model.num_levels))}-bit"
    how = {**run.how, "kind": model.likelihood, **settings, "pixels": pixels}
    if "dequantization" in model.likelihood_settings:
        how["dequantization"] = model.dequantization
    figures = {"bits_per_dim": mean_figure(bits, **how)}
    if model.num_levels == 2:
        figures["nats_per_image"] = mean_figure(bits * model.num_dims * math.log(2.0), **how)
    return figures


def likelihood_calibration(run):
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


def frechet(run):
    """Fréchet distance; called FID only with the features of "inception-2015"."""
    real, fake = (np.asarray(features, np.float64) for features in (run.real[0], run.fake[0]))
    replicates = REPLICATES[real.shape[1] > WIDE]

    def distance(real_weights, fake_weights):
        return frechet_distance(*weighted_moments(real, real_weights), *weighted_moments(fake, fake_weights))

    value = distance(np.ones(len(real)), np.ones(len(fake)))
    error = standard_error(distance, (len(real), len(fake)), replicates, run.seed)
    name = f"frechet_distance/{run.extractor.name}"
    return {name: figure(value, error, **run.how_extracted, bootstrap=replicates)}


def kernel(run):
    """Kernel distance (KID), with the jackknife's standard error."""
    value, error = kernel_distance(run.real[0], run.fake[0])
    return {f"kernel_distance/{run.extractor.name}": figure(value, error, **run.how_extracted)}


def precision_recall(run):
    """Improved precision and recall, with 3 neighbours; errors for neighbourhoods as they are."""
    found = neighbours.precision_and_recall(run.real[0], run.fake[0], k=3)
    return {
        f"{name}/{run.extractor.name}": mean_figure(values, **run.how_extracted, neighbours=3)
        for name, values in zip(("precision", "recall"), found, strict=True)
    }


def density_coverage(run):
    """Density and coverage, with 5 neighbours; errors for neighbourhoods as they are."""
    found = neighbours.density_and_coverage(run.real[0], run.fake[0], k=5)
    return {
        f"{name}/{run.extractor.name}": mean_figure(values, **run.how_extracted, neighbours=5)
        for name, values in zip(("density", "coverage"), found, strict=True)
    }


def inception(run):
    """The Inception score's formula with the extractor's classes, over all samples at once."""
    probabilities = run.fake[1]
    error = standard_error(lambda w: inception_score(probabilities, w), (len(probabilities),), REPLICATES[0], run.seed)
    how = run.how_extracted | {"bootstrap": REPLICATES[0]}
    return {f"inception_score/{run.extractor.name}": figure(inception_score(probabilities), error, **how)}


def recognised(run):
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


def diversity(run):
    """Mean multi-scale SSIM of pairs of samples (of one class), and of real images beside it: lower is more diverse."""
    values = similarity.ms_ssim(*_in_pairs(run.samples, run.sample_labels))
    real = similarity.ms_ssim(*_in_pairs(run.images, run.labels))
    return {"ms_ssim": mean_figure(values, **run.how_sampled, real=float(real.mean()))}


def pixels(images):
    """float32 `[N, D]`, of images averaged down to sides of at most 32."""
    x = np.asarray(images, np.float32) / 255.0
    factor = math.ceil(max(x.shape[1:3]) / PIXEL_SIDE)
    height, width = (side // factor * factor for side in x.shape[1:3])
    x = x[:, :height, :width].reshape(len(x), height // factor, factor, width // factor, factor, -1).mean(axis=(2, 4))
    return x.reshape(len(x), -1)


def memorisation(run):
    """The share of samples that are closer to one training image than 99 % of the real images of the split are.

    Without copying about 0.01; `flagged` if the lower end of the interval is above 0.02.
    """
    copies = neighbours.memorised(*(pixels(x) for x in (run.samples, run.training(), run.images)))
    result = mean_figure(copies, **run.how_sampled, extractor="pixels", extractor_sha256=None, neighbours=50)
    return {"memorisation/pixels": result | {"flagged": result["confidence_interval"][0] > 0.02}}


def path_length(run):
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


def train_on_synthetic(run):
    """Accuracy on the real images of a new classifier that saw samples only, 60,000 of them.

    It is trained by the extractor's recipe, for 4 epochs. The classification accuracy score of Ravuri and Vinyals 2019.
    """
    training = Recipe.load(find_recipe(run.extractor.handle)).training
    training = dataclasses.replace(training, epochs=min(training.epochs, SYNTHETIC_EPOCHS))
    num = SYNTHETIC
    labels = run.model.sample_labels(None, num)
    dataset = data.load((run.draw(num, labels), labels), batch_size=training.batch_size, shuffle=True, seed=run.seed)
    keras.utils.set_random_seed(run.seed % 2**32)  # of the initial weights
    student = Classifier.from_config(run.extractor.classifier.get_config())
    student.compile(optimizer(training, len(dataset) * training.epochs))
    student.fit(dataset, epochs=training.epochs, verbose=2 if run.verbose else 0)
    right = student.classify(run.images, run.batch_size, run.verbose).argmax(axis=1) == run.labels
    how = run.how_extracted | {"n_fake": num, "epochs": training.epochs}
    return {f"train_on_synthetic/{run.extractor.name}": mean_figure(right, **how)}


# What a figure needs: whether an evaluation has it, and its name

CLASSIFIER = (lambda run: isinstance(run.model, Classifier), "a classifier")
IMAGES = (lambda run: len(run.model.image_shape) == 3, "images")
SIDES = (lambda run: min(run.model.image_shape[:2]) >= similarity.WINDOW, "sides of at least 11 pixels")
LATENTS = (lambda run: isinstance(run.model, LatentModel) and not run.model.lossless, "an encoder that loses something")
RECONSTRUCTIONS = (
    lambda run: run.model.super_resolution is not None or LATENTS[0](run),
    f"{LATENTS[1]}, or super_resolution",
)
LIKELIHOOD = (lambda run: getattr(run.model, "likelihood", None) is not None, "a likelihood")
IMPORTANCE = (lambda run: "num_importance_samples" in run.model.likelihood_settings, "importance-weighted likelihoods")
SAMPLES = (lambda run: run.sampler is not None, "samples")
DRAWN = (lambda run: run.model.super_resolution is None, "samples of labels alone")
SOURCES = (lambda run: run.sources is not None, "images to translate")
ENOUGH = (lambda run: min(len(run.images), run.num_samples) >= 10, "at least 10 real images and 10 samples")
TRAINING = (lambda run: run.training is not None, "a training set")
EXTRACTOR = (lambda run: run.extractor_name is not None, "an extractor")
CLASSES = (lambda run: run.extractor.num_classes is not None, "an extractor with classes")
LABELS = (
    lambda run: run.labels is not None and run.model.num_classes == run.extractor.num_classes,
    "a class-conditional model of the extractor's classes",
)
EXTRACTED = (SAMPLES, IMAGES, ENOUGH, EXTRACTOR)

FIGURES = {
    "accuracy": (accuracy, (CLASSIFIER,)),
    "mean_squared_error": (mean_squared_error, (RECONSTRUCTIONS, IMAGES)),
    "psnr": (psnr, (RECONSTRUCTIONS, IMAGES)),
    "ssim": (ssim, (RECONSTRUCTIONS, IMAGES, SIDES)),
    "cycle_error": (cycle_error, (SOURCES,)),
    "bits_per_dim": (bits_per_dim, (LIKELIHOOD,)),
    "likelihood_calibration": (likelihood_calibration, (LIKELIHOOD, IMPORTANCE)),
    "frechet_distance": (frechet, EXTRACTED),
    "kernel_distance": (kernel, EXTRACTED),
    "precision_recall": (precision_recall, EXTRACTED),
    "density_coverage": (density_coverage, EXTRACTED),
    "inception_score": (inception, (*EXTRACTED, CLASSES)),
    "recognised": (recognised, (*EXTRACTED, CLASSES)),
    "ms_ssim": (diversity, (SAMPLES, IMAGES, SIDES)),
    "memorisation": (memorisation, (SAMPLES, IMAGES, TRAINING)),
    "path_length": (path_length, (*EXTRACTED, LATENTS)),
    "train_on_synthetic": (train_on_synthetic, (*EXTRACTED, CLASSES, LABELS, DRAWN)),
}
ON_DEMAND = ("train_on_synthetic",)  # what takes long is measured only where it is named


def lacking(run, name):
    """The first thing that a figure needs and the evaluation lacks, or `None`."""
    return next((what for has, what in FIGURES[name][1] if not has(run)), None)


def evaluate(run, metrics=None):
    """The figures of an `Evaluation`: `{"metrics": {name: figure}, "seconds": all}`.

    Args:
        run: the `Evaluation`.
        metrics: names of `FIGURES`, or `None` for all but `ON_DEMAND` that the model and the settings allow.

    Each figure has `value`, `standard_error`, `confidence_interval` (95 %), `seconds`, and what it depends on.

    Raises:
        InputError: a name is unknown, or that figure needs something that is not there. Before anything is measured.
    """
    for name in metrics or ():
        if name not in FIGURES:
            raise InputError(f"there is no metric {name!r}; expected of {', '.join(FIGURES)}.")
        if what := lacking(run, name):
            raise InputError(f"{name} needs {what}, which this {type(run.model).__name__} or evaluation does not have.")
    if metrics is None:
        metrics = [name for name in FIGURES if name not in ON_DEMAND and lacking(run, name) is None]
    start = time.monotonic()
    figures = {}
    for name in metrics:
        if run.verbose:
            print(f"measuring {name}", file=sys.stderr)
        before = time.monotonic()
        found = FIGURES[name][0](run)
        seconds = round(time.monotonic() - before, 1)
        figures |= {key: value | {"seconds": seconds} for key, value in found.items()}
    return {"metrics": figures, "seconds": round(time.monotonic() - start, 1)}
