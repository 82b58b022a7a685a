"""Figures of a model on a test set, and what they are made of."""

from kerasgen.metrics.compare import compare
from kerasgen.metrics.evaluation import Evaluation, evaluate
from kerasgen.metrics.extractors import Extractor, InceptionExtractor
from kerasgen.metrics.figures import FIGURES
from kerasgen.metrics.frechet import Moments, frechet_distance
from kerasgen.metrics.kernel import kernel_distance
from kerasgen.metrics.neighbours import density_and_coverage, memorised, precision_and_recall
from kerasgen.metrics.path_length import path_lengths
from kerasgen.metrics.scores import inception_score
from kerasgen.metrics.similarity import ms_ssim, psnr, ssim

__all__ = [
    "FIGURES",
    "Evaluation",
    "Extractor",
    "InceptionExtractor",
    "Moments",
    "compare",
    "density_and_coverage",
    "evaluate",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "memorised",
    "ms_ssim",
    "path_lengths",
    "precision_and_recall",
    "psnr",
    "ssim",
]
