"""Figures of a model on a test set, and what they are made of."""

from kerasgen.metrics.anomaly import (
    AnomalyReport as AnomalyReport,
    anomaly_report as anomaly_report,
    auroc as auroc,
    average_precision as average_precision,
)
from kerasgen.metrics.compare import compare as compare
from kerasgen.metrics.evaluation import Evaluation as Evaluation, evaluate as evaluate
from kerasgen.metrics.extractors import Extractor as Extractor, InceptionExtractor as InceptionExtractor
from kerasgen.metrics.figures import FIGURES as FIGURES
from kerasgen.metrics.frechet import Moments as Moments, frechet_distance as frechet_distance
from kerasgen.metrics.kernel import kernel_distance as kernel_distance
from kerasgen.metrics.neighbours import (
    density_and_coverage as density_and_coverage,
    memorised as memorised,
    precision_and_recall as precision_and_recall,
)
from kerasgen.metrics.path_length import path_lengths as path_lengths
from kerasgen.metrics.scores import inception_score as inception_score
from kerasgen.metrics.similarity import ms_ssim as ms_ssim, psnr as psnr, ssim as ssim
