"""Parity with normflows (Stimper et al. 2023): the same parameters give the same values and log-determinants.

normflows maps latents to data in `forward` and data to latents in `inverse`, ours the other way round; its images are
`[B, C, H, W]`. It computes in float64 here, so that what differs is our rounding alone.
"""

import math

import numpy as np
import pytest
from keras import ops

from kerasgen.flows.bijectors import ActNorm, AffineCoupling, InvertibleConv1x1, RationalQuadraticSpline
from kerasgen.flows.bijectors.affine_coupling import LOG_SCALE_BOUND
from kerasgen.flows.bijectors.rational_quadratic_spline import MIN_DERIVATIVE, spline
from tests.flows.bijectors.flow_case import randomise

normflows = pytest.importorskip("normflows")
torch = pytest.importorskip("torch")

IMAGE = (4, 6, 4)


def normal(*shape, scale=1.0):
    return (scale * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


def to_torch(x):
    """float64, images as `[B, C, H, W]`."""
    x = torch.from_numpy(np.array(ops.convert_to_numpy(x), np.float64))
    return x.movedim(-1, 1) if x.ndim == 4 else x


def to_numpy(x):
    """What `to_torch` undoes."""
    return (x.movedim(1, -1) if x.ndim == 4 else x).detach().cpu().numpy()


def assert_close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(a), to_numpy(b), rtol=1e-5, atol=1e-5)


def check_parity(bijector, peer, x):
    """From data to latents, and back from these latents."""
    peer = peer.double()
    z, log_det = bijector.forward_and_log_det(ops.convert_to_tensor(x))
    expected, expected_log_det = peer.inverse(to_torch(x))
    assert_close([z, log_det], [expected, expected_log_det.expand(len(x))])
    x, log_det = bijector.inverse_and_log_det(z)
    expected, expected_log_det = peer.forward(to_torch(z))
    assert_close([x, log_det], [expected, expected_log_det.expand(len(x))])


class Negated(torch.nn.Module):
    """From the outputs of our network, shifts and then log-scales before their bound, to the peer's parameters.

    Its `inverse` is (x - shift) exp(-log_scale), and it takes shifts and log-scales in turn.
    """

    def forward(self, outputs):
        shift, raw = outputs.chunk(2, dim=1)
        log_scale = LOG_SCALE_BOUND * torch.tanh(raw / LOG_SCALE_BOUND)
        return -torch.stack([shift, log_scale], dim=2).flatten(1, 2)


def test_affine_coupling():
    """With the same convolutions of 3 x 3, 1 x 1 and 3 x 3."""
    bijector = randomise(AffineCoupling(IMAGE, "conv", 8), scale=0.3)
    position_bias = bijector.network.get_layer("position_bias").bias
    bias = normal(8)
    position_bias.assign(np.broadcast_to(bias, position_bias.shape))  # normflows has one for all positions
    network = normflows.nets.ConvNet2d((2, 8, 8, 4), (3, 1, 3))
    convolutions = [layer for layer in network.net if isinstance(layer, torch.nn.Conv2d)]
    for name, convolution in zip(("conv_1", "conv_2", "outputs"), convolutions, strict=True):
        kernel, *biases = bijector.network.get_layer(name).get_weights()
        convolution.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        convolution.bias.data = torch.from_numpy(biases[0] if biases else bias)
    peer = normflows.flows.AffineCouplingBlock(torch.nn.Sequential(network, Negated()))
    check_parity(bijector, peer, normal(5, *IMAGE))


@pytest.mark.filterwarnings("ignore:torch.lu is deprecated:UserWarning")  # of normflows' constructor
@pytest.mark.parametrize("channels", [2, 12, 48])
def test_invertible_conv(channels):
    bijector = randomise(InvertibleConv1x1((4, 6, channels), seed=1), scale=0.05)
    peer = normflows.flows.Invertible1x1Conv(channels, use_lu=True)
    transposed, _, _ = bijector.factors()
    peer.P = to_torch(transposed).T
    peer.sign_S = to_torch(bijector.sign)
    variables = bijector.lower, bijector.upper, bijector.log_diagonal
    peer.L.data, peer.U.data, peer.log_S.data = map(to_torch, variables)
    check_parity(bijector, peer, normal(5, 4, 6, channels))


def test_act_norm():
    bijector = randomise(ActNorm(IMAGE), scale=0.5)
    peer = normflows.flows.ActNorm((IMAGE[-1], 1, 1))
    peer.s.data = -to_torch(bijector.log_scale)[None, :, None, None]
    peer.t.data = -to_torch(bijector.bias)[None, :, None, None]
    peer.data_dep_init_done = torch.tensor(1.0)
    check_parity(bijector, peer, normal(5, *IMAGE))


def test_act_norm_initialization():
    """normflows divides the variance of the first batch by n - 1, we by n."""
    x = 3.0 + normal(5, *IMAGE) * np.array([0.1, 1.0, 2.0, 10.0], np.float32)
    n = x[..., 0].size
    z = ActNorm(IMAGE).initialize(ops.convert_to_tensor(x))
    expected, _ = normflows.flows.ActNorm((IMAGE[-1], 1, 1)).double().inverse(to_torch(x))
    assert_close([z], [expected * math.sqrt(n / (n - 1))])


# Our parameters count from the derivative 1, normflows' from softplus(0).
DERIVATIVE_OFFSET = math.log(math.expm1(1.0 - MIN_DERIVATIVE))


def peer_spline(x, parameters, bound, inverse, dtype):
    num_bins = (parameters.shape[-1] + 1) // 3
    x, parameters = to_torch(x).to(dtype), to_torch(parameters).to(dtype)
    widths, heights, derivatives = parameters.split((num_bins, num_bins, num_bins - 1), dim=-1)
    return normflows.utils.splines.unconstrained_rational_quadratic_spline(
        x, widths, heights, derivatives + DERIVATIVE_OFFSET, inverse=inverse, tail_bound=bound
    )


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("num_bins", [2, 8])
@pytest.mark.parametrize("bound", [1.0, 4.0])
def test_spline(inverse, num_bins, bound):
    """Inside the bound, at it, and outside."""
    x = np.concatenate([np.linspace(-1.5 * bound, 1.5 * bound, 601), [-bound, bound]]).astype(np.float32)
    parameters = normal(len(x), 3 * num_bins - 1, scale=0.3)
    ours = spline(ops.convert_to_tensor(x), ops.convert_to_tensor(parameters), bound, inverse)
    assert_close(ours, peer_spline(x, parameters, bound, inverse, torch.float64))


@pytest.mark.parametrize("inverse", [False, True])
def test_steep_spline(inverse):
    """Where neighbouring bins differ a hundredfold float32 gives less; not less to us than to normflows in float32."""
    x = np.random.default_rng(1).uniform(-4.0, 4.0, 5000).astype(np.float32)
    parameters = normal(len(x), 23, scale=2.0)
    ours = spline(ops.convert_to_tensor(x), ops.convert_to_tensor(parameters), 4.0, inverse)
    exact, rounded = (peer_spline(x, parameters, 4.0, inverse, dtype) for dtype in (torch.float64, torch.float32))
    for a, b, expected in zip(ours, rounded, exact, strict=True):
        error, peer_error = (
            np.quantile(np.abs(values - to_numpy(expected)), 0.99) for values in (ops.convert_to_numpy(a), to_numpy(b))
        )
        assert error < 2.0 * peer_error


class SharedNetwork(torch.nn.Module):
    """Our network, from features 0, 2, ... to the peer's spline parameters of features 1, 3, ..."""

    hidden_features = 1  # normflows divides widths and heights by the square root of this

    def __init__(self, bijector):
        super().__init__()
        self.bijector = bijector

    def forward(self, kept, context):
        x = np.zeros((len(kept), *self.bijector.shape), np.float32)
        x[:, ::2] = to_numpy(kept)
        outputs = to_torch(self.bijector.network(ops.convert_to_tensor(x)))
        parameters = outputs.reshape(*x.shape, -1)[:, 1::2].clone()
        parameters[..., 2 * self.bijector.num_bins :] += DERIVATIVE_OFFSET
        return parameters.flatten(1)


def test_spline_coupling():
    """CoupledRationalQuadraticSpline: its spline of the features that stay starts as the identity, as ours are."""
    bijector = randomise(RationalQuadraticSpline((6,), "dense", 16, mask="checkerboard", bound=3.0))
    peer = normflows.flows.CoupledRationalQuadraticSpline(6, 1, 16, num_bins=8, tail_bound=3.0)
    peer.prqct.transform_net = SharedNetwork(bijector)
    check_parity(bijector, peer, normal(20, 6, scale=2.0))
