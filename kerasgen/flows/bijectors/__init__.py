"""Invertible layers, one a file: `forward_and_log_det` from data to latents, `inverse_and_log_det` back."""

from kerasgen.flows.bijectors.act_norm import ActNorm as ActNorm
from kerasgen.flows.bijectors.additive_coupling import AdditiveCoupling as AdditiveCoupling
from kerasgen.flows.bijectors.affine_coupling import AffineCoupling as AffineCoupling
from kerasgen.flows.bijectors.base import Bijector as Bijector
from kerasgen.flows.bijectors.conditional_split import ConditionalSplit as ConditionalSplit
from kerasgen.flows.bijectors.dequantization import (
    UniformDequantization as UniformDequantization,
    VariationalDequantization as VariationalDequantization,
)
from kerasgen.flows.bijectors.gaussian_prior import GaussianPrior as GaussianPrior
from kerasgen.flows.bijectors.haar import Haar as Haar
from kerasgen.flows.bijectors.histogram_equalization import HistogramEqualization as HistogramEqualization
from kerasgen.flows.bijectors.invertible import Invertible as Invertible, MultiScale as MultiScale
from kerasgen.flows.bijectors.invertible_conv import InvertibleConv1x1 as InvertibleConv1x1
from kerasgen.flows.bijectors.logit import Logit as Logit
from kerasgen.flows.bijectors.permute import Permute as Permute
from kerasgen.flows.bijectors.rational_quadratic_spline import RationalQuadraticSpline as RationalQuadraticSpline
from kerasgen.flows.bijectors.sigmoid_coupling import SigmoidCoupling as SigmoidCoupling
from kerasgen.flows.bijectors.split import Split as Split
from kerasgen.flows.bijectors.squeeze import Squeeze as Squeeze

COUPLINGS = {
    **{"additive": AdditiveCoupling, "affine": AffineCoupling},
    **{"sigmoid": SigmoidCoupling, "spline": RationalQuadraticSpline},
}
