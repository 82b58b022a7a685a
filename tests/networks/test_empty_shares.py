"""A replica whose share of a batch is empty: the others' networks give what one device does, and so do gradients."""

import numpy as np
import pytest
from keras import ops

from kerasgen.autoencoders.distributions import DISTRIBUTIONS
from kerasgen.flows.bijectors import (
    ActNorm,
    AffineCoupling,
    Invertible,
    InvertibleConv1x1,
    MultiScale,
    RationalQuadraticSpline,
    Split,
    Squeeze,
    VariationalDequantization,
)
from kerasgen.gans.augmentation import AUGMENTATIONS
from kerasgen.networks import resolve
from tests.test_replicas import mirrored

pytestmark = pytest.mark.backend("tensorflow")
IMAGE, ODD, CLASSES = (8, 8, 2), (9, 8, 2), 3
VIDEO, VIDEO_INPUTS = (4, *IMAGE), [(4, *IMAGE), (), (CLASSES,)]
VIDEO_DIT = {"class": "VideoDiT", "width": 8, "depth": 2, "frames": 2}
SPECTRAL = {"class": "conv", "width": 2, "normalization": "spectral", "minibatch_stddev": True}
LAYER = {"class": "conv", "width": 2, "normalization": "layer", "residual": True, "attention": [1]}
UNET = {"class": "UNet", "width": 4, "multipliers": [1, 2], "blocks": 1, "attention": [1], "patch": 2}
GENERATOR = {"class": "conv", "width": 2, "residual": True, "attention": [0], "spectral": True}
RESIDUAL = {"class": "residual", "width": 2, "blocks": 1}
PATCH = {"class": "patch", "width": 2, "levels": 1}


def flow():
    first = [Squeeze(IMAGE), ActNorm((4, 4, 8)), InvertibleConv1x1((4, 4, 8)), AffineCoupling((4, 4, 8), width=2)]
    second = [RationalQuadraticSpline((4, 4, 4), width=2, mask="checkerboard")]
    return MultiScale([Invertible([*first, Split((4, 4, 8))]), Invertible(second)])


# Name: what makes it, shapes of what it reads, how it is called if not as it is.
NETWORKS = {
    "conv encoder": (lambda: resolve.encoder("conv", ODD, 3, 2, None), [ODD]),
    "dense encoder": (lambda: resolve.encoder("dense", ODD, 3, 2, None), [ODD]),
    "conv decoder": (lambda: resolve.decoder("conv", 3, ODD, 2, None), [(3,)]),
    "lenet": (lambda: resolve.backbone("lenet", IMAGE, 2, None), [IMAGE]),
    "resnet": (lambda: resolve.backbone("resnet", IMAGE, 2, None), [IMAGE]),
    "UNet": (lambda: resolve.denoiser(UNET, IMAGE, 2, CLASSES, None), [IMAGE, (), (CLASSES,)]),
    "DiT": (lambda: resolve.denoiser({"class": "DiT", "width": 8, "depth": 1}, IMAGE, 2, None, None), [IMAGE, ()]),
    "VideoDiT": (lambda: resolve.denoiser(VIDEO_DIT, VIDEO, 2, None, None), [VIDEO, ()]),
    "VideoUNet": (lambda: resolve.denoiser(UNET | {"class": "VideoUNet"}, VIDEO, 2, CLASSES, None), VIDEO_INPUTS),
    "MLP": (lambda: resolve.denoiser({"class": "MLP", "width": 8, "depth": 1}, (5,), 5, None, None), [(5,), ()]),
    "generator": (lambda: resolve.generator(GENERATOR, 3, ODD, CLASSES, None), [[(3,), (CLASSES,)]]),
    "discriminator": (lambda: resolve.discriminator(SPECTRAL, ODD, CLASSES, None), [[ODD, (CLASSES,)]]),
    "residual discriminator": (lambda: resolve.discriminator(LAYER, ODD, None, None), [ODD]),
    "UNet generator": (lambda: resolve.translator({"class": "UNet", "width": 2}, ODD, ODD, None), [ODD]),
    "residual generator": (lambda: resolve.translator(RESIDUAL, ODD, ODD, None), [ODD]),
    "patch discriminator": (lambda: resolve.patch_discriminator(PATCH, IMAGE, None), [IMAGE]),
    "flow": (flow, [IMAGE]),
    "dequantization": (lambda: VariationalDequantization(IMAGE, width=2), [IMAGE, IMAGE]),
}
METHODS = {"flow": "forward_and_log_det", "dequantization": "dequantize"}


def outputs_and_gradients(network, call, inputs):
    import tensorflow as tf

    weights = [v.value for v in network.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(weights)
        outputs = tf.nest.flatten(call(*inputs, training=True))
        loss = tf.add_n([tf.reduce_sum(tf.square(y)) for y in outputs])
    return outputs, tape.gradient(loss, weights, unconnected_gradients="zero")


@pytest.mark.parametrize("name", NETWORKS)
def test_shares_of_all_and_of_nothing(name):
    import tensorflow as tf

    make, shapes = NETWORKS[name]
    rng = np.random.default_rng(0)

    def draw(shape):
        parts = isinstance(shape, list)
        return [draw(part) for part in shape] if parts else rng.uniform(size=(3, *shape)).astype(np.float32)

    inputs = draw(shapes)
    strategy = mirrored()
    with strategy.scope():
        network = make()
    for variable in network.trainable_variables:  # some of them start at zero
        variable.assign(variable + 0.1 * rng.standard_normal(variable.shape))
    start = network.get_weights()
    call = getattr(network, METHODS.get(name, "__call__"))
    one = outputs_and_gradients(network, call, inputs)
    after = network.get_weights()
    network.set_weights(start)

    def share():
        replica = int(tf.distribute.get_replica_context().replica_id_in_sync_group)
        rows = slice(0, 3) if replica == 0 else slice(0, 0)
        return outputs_and_gradients(network, call, tf.nest.map_structure(lambda x: ops.array(x[rows]), inputs))

    results = tf.nest.map_structure(strategy.experimental_local_results, strategy.run(share))
    for found, expected in zip(results[0], one[0], strict=True):
        np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)
        assert found[1].shape == (0, *expected.shape[1:])
    for found, expected in zip(results[1], one[1], strict=True):
        np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-4)
        assert not np.any(found[1])
    for found, expected in zip(network.get_weights(), after, strict=True):  # moving means, power iteration
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_functions_of_no_images():
    empty = ops.zeros((0, *IMAGE))
    for augment in AUGMENTATIONS.values():
        assert augment(empty, ops.zeros).shape == (0, *IMAGE)
    for make in DISTRIBUTIONS.values():
        distribution = make()
        outputs = ops.zeros((0, 8, 8, 2 * distribution.num_outputs))
        assert distribution.log_prob(empty, outputs).shape == (0,)
        assert distribution.mean(outputs).shape == (0, *IMAGE)
