"""Invertible layers, one a file: `forward_and_log_det` from data to latents, `inverse_and_log_det` back."""

from kerasgen.flows.bijectors.act_norm import ActNorm
from kerasgen.flows.bijectors.additive_coupling import AdditiveCoupling
from kerasgen.flows.bijectors.affine_coupling import AffineCoupling
from kerasgen.flows.bijectors.base import Bijector
from kerasgen.flows.bijectors.conditional_split import ConditionalSplit
from kerasgen.flows.bijectors.dequantization import UniformDequantization, VariationalDequantization
from kerasgen.flows.bijectors.gaussian_prior import GaussianPrior
from kerasgen.flows.bijectors.haar import Haar
from kerasgen.flows.bijectors.histogram_equalization import HistogramEqualization
from kerasgen.flows.bijectors.invertible import Invertible, MultiScale
from kerasgen.flows.bijectors.invertible_conv import InvertibleConv1x1
from kerasgen.flows.bijectors.logit import Logit
from kerasgen.flows.bijectors.permute import Permute
from kerasgen.flows.bijectors.rational_quadratic_spline import RationalQuadraticSpline
from kerasgen.flows.bijectors.split import Split
from kerasgen.flows.bijectors.squeeze import Squeeze

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
