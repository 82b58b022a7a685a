"""Invertible layers, one a file: `forward_and_log_det` from data to latents, `inverse_and_log_det` back."""

from kerasgen.bijectors.act_norm import ActNorm
from kerasgen.bijectors.additive_coupling import AdditiveCoupling
from kerasgen.bijectors.affine_coupling import AffineCoupling
from kerasgen.bijectors.base import Bijector
from kerasgen.bijectors.conditional_split import ConditionalSplit
from kerasgen.bijectors.dequantization import UniformDequantization, VariationalDequantization
from kerasgen.bijectors.gaussian_prior import GaussianPrior
from kerasgen.bijectors.haar import Haar
from kerasgen.bijectors.histogram_equalization import HistogramEqualization
from kerasgen.bijectors.invertible import Invertible, MultiScale
from kerasgen.bijectors.invertible_conv import InvertibleConv1x1
from kerasgen.bijectors.logit import Logit
from kerasgen.bijectors.permute import Permute
from kerasgen.bijectors.rational_quadratic_spline import RationalQuadraticSpline
from kerasgen.bijectors.split import Split
from kerasgen.bijectors.squeeze import Squeeze

COUPLINGS = {"additive": AdditiveCoupling, "affine": AffineCoupling, "spline": RationalQuadraticSpline}

__all__ = [
    "COUPLINGS",
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "Bijector",
    "ConditionalSplit",
    "GaussianPrior",
    "Haar",
    "HistogramEqualization",
    "Invertible",
    "InvertibleConv1x1",
    "Logit",
    "MultiScale",
    "Permute",
    "RationalQuadraticSpline",
    "Split",
    "Squeeze",
    "UniformDequantization",
    "VariationalDequantization",
]
