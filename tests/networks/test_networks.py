"""Networks by name: what names and dictionaries mean, and that `training` reaches every layer."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgen.errors import InputError
from kerasgen.networks import resolve
from kerasgen.networks.geometry import (
    depth_to_space,
    depth_to_video,
    sides_of,
    space_to_depth,
    video_to_depth,
    with_label_planes,
)
from kerasgen.networks.layers.convolution import enlarge
from kerasgen.networks.unet import VideoAttention

IMAGE = (9, 8, 2)
DENSE = {"class": "dense", "width": 4, "spectral": True}
LAYER, BATCH = {"class": "dense", "normalization": "layer"}, {"class": "conv", "normalization": "batch"}
ATTENTIVE = {"class": "conv", "width": 4, "attention": [2]}
UNET = {"class": "UNet", "width": 4, "multipliers": [1], "blocks": 1, "dropout": 0.5}
MAKERS = {
    "conv generator": lambda: resolve.generator({"class": "conv", "width": 2}, 3, IMAGE, None, None),
    "dense generator": lambda: resolve.generator({"class": "dense", "width": 4, "spectral": True}, 3, (5,), None, None),
    "conv discriminator": lambda: resolve.discriminator(
        {"class": "conv", "width": 2, "normalization": "spectral"}, IMAGE, None, None
    ),
    "residual discriminator": lambda: resolve.discriminator(
        {"class": "conv", "width": 2, "residual": True, "normalization": "spectral"}, IMAGE, None, None
    ),
    "patch discriminator": lambda: resolve.patch_discriminator(
        {"class": "patch", "width": 2, "normalization": "spectral"}, (16, 16, 1), None
    ),
}


@pytest.mark.backend("tensorflow", "torch")  # Keras does it above the backends; on JAX each operation is compiled
@pytest.mark.parametrize("name", MAKERS)
def test_training_moves_all_that_is_not_trained(name):
    """Statistics of batches and vectors of power iteration, in every block; and none of them without training."""
    network = MAKERS[name]()
    shape = {"conv generator": (3,), "dense generator": (3,), "patch discriminator": (16, 16, 1)}.get(name, IMAGE)
    x = ops.convert_to_tensor(np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float32))
    for variable in network.trainable_variables:  # no dead rectifiers
        variable.assign(variable + 0.1)
    for training in (False, True):
        before = [ops.convert_to_numpy(v) for v in network.non_trainable_variables]
        network(x, training=training)
        assert before
        for old, variable in zip(before, network.non_trainable_variables, strict=True):
            assert np.array_equal(old, variable) != training, variable.path


@pytest.mark.backend("tensorflow", "torch")
@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (lambda: resolve.denoiser(UNET, (4, 4, 1), 1, None, None), [(2, 4, 4, 1), (2,)]),
        (lambda: resolve.translator({"class": "UNet", "width": 2}, (32, 32, 1), (32, 32, 1), None), [(2, 32, 32, 1)]),
    ],
    ids=["denoiser", "translator"],
)
def test_dropout_is_for_training_alone(make, arguments):
    network = make()
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:  # some of them start at zero
        variable.assign(variable + 0.1 * rng.standard_normal(variable.shape))
    inputs = [ops.convert_to_tensor(rng.uniform(size=shape).astype(np.float32)) for shape in arguments]
    draws = [ops.convert_to_numpy(network(*inputs, training=training)) for training in (False, False, True, True)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[1], draws[2])
    assert not np.array_equal(draws[2], draws[3])


def test_a_name_is_a_dictionary_with_it():
    built = []
    for argument in ("conv", {"class": "conv"}, {"class": "conv", "width": 8}):
        keras.utils.set_random_seed(0)
        built.append(resolve.encoder(argument, IMAGE, 3, 8, None).get_weights())
    for other in built[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(built[0], other, strict=True))
    wider = resolve.encoder({"class": "conv", "width": 16}, IMAGE, 3, 8, None)  # before the family's own
    assert wider.get_layer("down_1").filters == 16


def test_a_layer_of_the_users_comes_back_from_its_config():
    network = keras.Sequential([layers.Flatten(), layers.Dense(3)], name="mine")
    assert resolve.encoder(network, IMAGE, 3, 8, None) is network
    again = resolve.encoder(keras.saving.serialize_keras_object(network), IMAGE, 3, 8, None)
    assert [v.shape for v in again.variables] == [v.shape for v in network.variables]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: resolve.encoder("unet", IMAGE, 3, 8, None), "one of .*'frames', 'spatial'., or a Keras layer"),
        (lambda: resolve.encoder(3, IMAGE, 3, 8, None), "encoder is a int"),
        (lambda: resolve.encoder({"class": "conv", "depth": 3}, IMAGE, 3, 8, None), "does not fit 'conv'"),
        (lambda: resolve.encoder({"class": "conv", "width": 0}, IMAGE, 3, 8, None), "width is 0"),
        (lambda: resolve.encoder(layers.Dense(3), IMAGE, 3, 8, None), "outputs of shape"),
        (lambda: resolve.encoder(layers.Embedding(3, 4), (2, 2, 2), 3, 8, None), "outputs of shape"),
        (lambda: resolve.decoder(layers.Conv2D(2, 3), 3, IMAGE, 8, None), "does not take inputs"),
        (lambda: resolve.encoder("spatial", IMAGE, 3, 8, None), "multiples of 4"),
        (lambda: resolve.encoder("spatial", (8, 8, 1), 3, 8, None), "3 latents do not divide over 2 x 2 places"),
        (lambda: resolve.denoiser({"class": "grid", "sides": [2, 2]}, (5,), 5, None, None), "network"),
        (lambda: resolve.denoiser({"class": "grid", "sides": [2, 2], "network": "UNet"}, (5,), 5, None, None), "5 val"),
        (lambda: resolve.denoiser({"class": "grid", "sides": [0, 2], "network": "UNet"}, (8,), 8, None, None), "8 val"),
        (
            lambda: resolve.denoiser({"class": "grid", "sides": 2, "network": "UNet"}, (8,), 8, None, None),
            "does not fit",
        ),
        (lambda: resolve.denoiser({"class": "grid", "sides": [2, 2], "network": "MLP"}, (8,), 8, None, None), "MLP"),
        (lambda: resolve.denoiser("UNet", (8,), 8, None, None), "others for images"),
        (lambda: resolve.denoiser("MLP", IMAGE, 2, None, None), "MLP, grid are for vectors"),
        (lambda: resolve.denoiser("UNet", (4, *IMAGE), 2, None, None), "VideoDiT, VideoUNet for videos"),
        (lambda: resolve.denoiser("VideoDiT", IMAGE, 2, None, None), "others for images"),
        (lambda: resolve.denoiser("VideoDiT", (4, *IMAGE), 2, None, None), "multiples of 4"),
        (lambda: resolve.denoiser({"class": "VideoDiT", "frames": 3}, (4, *IMAGE), 2, None, None), "multiples of 3"),
        (lambda: resolve.denoiser({"class": "VideoDiT", "depth": 3}, (4, 8, 8, 1), 1, None, None), "even number"),
        (lambda: resolve.denoiser({"class": "VideoUNet", "width": 6}, (4, 8, 8, 1), 1, None, None), "multiple of 4"),
        (lambda: resolve.denoiser({**UNET, "multipliers": [1, 1]}, IMAGE, 2, None, None), "multiples of 2"),
        (lambda: resolve.denoiser({**UNET, "attention": [8]}, (8, 8, 1), 1, None, None), "at level 8; .* from 0 to"),
        (lambda: resolve.generator(ATTENTIVE, 3, (14, 14, 1), None, None), "at level 2; expected levels from 0 to 0"),
        (lambda: resolve.discriminator(ATTENTIVE, (14, 14, 1), None, None), "at level 2; expected levels from 1 to 1"),
        (lambda: resolve.discriminator(ATTENTIVE, (4, 4, 1), None, None), "expected none: there is one level"),
        (lambda: resolve.denoiser("DiT", IMAGE, 2, None, None), "multiples of 4"),
        (lambda: resolve.denoiser(layers.Dense(3), IMAGE, 2, None, None), "no variables yet"),
        (lambda: resolve.generator("conv", 3, (5,), None, None), "convolutional generator is for images"),
        (lambda: resolve.discriminator(LAYER, (5,), None, None), "None or 'spect"),
        (lambda: resolve.discriminator(BATCH, IMAGE, None, None), "normalization"),
        (lambda: resolve.translator("UNet", (7, 9, 1), (7, 9, 1), None), "at least 8"),
        (lambda: resolve.translator("residual", (7, 9, 1), (7, 9, 1), None), "at least 8"),
        (lambda: resolve.patch_discriminator({"class": "patch", "levels": 4}, (16, 16, 1), None), "single patch"),
    ],
)
def test_errors_name_what_is_wrong(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_grid_is_the_network_of_images():
    """Vectors in the order of rows, columns and channels; what is beside them comes as further channels."""
    grid = {"class": "grid", "sides": [4, 6], "network": UNET | {"dropout": 0.0}}
    network = resolve.denoiser(grid, (72,), 144, 2, None)
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:  # some of them start at zero
        variable.assign(variable + 0.1 * rng.standard_normal(variable.shape))
    x, last = rng.standard_normal((2, 5, 4, 6, 3)).astype(np.float32)
    time, one_hot = np.full(5, 300.0, np.float32), np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0]]
    vectors, image = np.concatenate([x.reshape(5, 72), last.reshape(5, 72)], axis=1), np.concatenate([x, last], axis=-1)
    vectors, image, time, one_hot = map(ops.convert_to_tensor, (vectors, image, time, one_hot))
    found, expected = network(vectors, time, one_hot), network.network(image, time, one_hot)
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected).reshape(5, 72), atol=1e-6)


def test_spatial_latents_keep_their_places():
    """A pixel near the top moves latents near the top alone, and such a latent pixels there."""
    image, latents = (128, 8, 1), (32, 2, 2)
    encoder = resolve.encoder({"class": "spatial", "blocks": 1}, image, 32 * 2 * 2, 4, None)
    decoder = resolve.decoder({"class": "spatial", "blocks": 1}, 32 * 2 * 2, image, 4, None)
    rng = np.random.default_rng(0)
    for network, given, results in ((encoder, image, latents), (decoder, latents, image)):
        for variable in network.trainable_variables:  # some of them start at zero
            variable.assign(variable + 0.3 * rng.standard_normal(variable.shape))
        x = np.zeros((2, *given), np.float32)
        x[1, given[0] // 16] = 1.0
        x = x if network is encoder else x.reshape(2, -1)
        first, second = ops.convert_to_numpy(network(x)).reshape(2, *results)
        moved = (first != second).any(axis=(1, 2))
        assert moved[results[0] // 16]
        assert not moved[results[0] * 5 // 16 :].any()  # beyond 8 latents from it


def test_geometry():
    x = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)
    deep = space_to_depth(ops.convert_to_tensor(x), 2)
    assert ops.convert_to_numpy(deep)[0, 0, 0].tolist() == [*x[0, 0, 0], *x[0, 0, 1], *x[0, 1, 0], *x[0, 1, 1]]
    assert np.array_equal(depth_to_space(deep, 2), x)
    large = ops.convert_to_numpy(enlarge(ops.convert_to_tensor(x), (7, 12)))
    assert np.array_equal(large, np.kron(x, np.ones((1, 2, 2, 1)))[:, :7])
    assert sides_of(28, 60) == [(28, 60), (14, 30), (7, 15)]
    planes = with_label_planes(ops.convert_to_tensor(x), ops.convert_to_tensor(np.eye(2, dtype=np.float32)))
    assert np.array_equal(ops.convert_to_numpy(planes)[:, 3, 5, 3:], np.eye(2))


def excited(network):
    """The network with all its weights away from where they begin, which for some is zero."""
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:
        variable.assign(variable + 0.1 * rng.standard_normal(variable.shape))
    return network


def test_a_video_unet_is_the_unet_of_its_frames_until_it_looks_over_time():
    settings = {"class": "UNet", "width": 4, "multipliers": [1, 2], "blocks": 1, "attention": [1]}
    images = excited(resolve.denoiser(settings, (4, 4, 2), 2, 3, None))
    videos = resolve.denoiser(settings | {"class": "VideoUNet"}, (5, 4, 4, 2), 2, 3, None)
    times = [layer.time for layer in videos._flatten_layers() if isinstance(layer, VideoAttention)]
    over_time = {id(variable) for layer in times for variable in layer.variables}
    shared = [variable for variable in videos.variables if id(variable) not in over_time]
    for variable, known in zip(shared, images.variables, strict=True):
        variable.assign(known)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 5, 4, 4, 2)).astype(np.float32)
    time, one_hot = np.array([100.0, 800.0], np.float32), np.eye(3, dtype=np.float32)[[0, 2]]
    expected = images(x.reshape(10, 4, 4, 2), np.repeat(time, 5), np.repeat(one_hot, 5, axis=0))
    found = ops.convert_to_numpy(videos(*map(ops.convert_to_tensor, (x, time, one_hot))))
    np.testing.assert_allclose(found.reshape(10, 4, 4, 2), ops.convert_to_numpy(expected), atol=1e-5)


VIDEOS = {
    "VideoDiT": {"width": 8, "depth": 2, "patch": 2},
    "VideoDiT of pairs of frames": {"width": 8, "depth": 2, "patch": 2, "frames": 2},
    "VideoUNet": {"width": 4, "multipliers": [1, 2], "blocks": 1},
}


@pytest.mark.parametrize("name", VIDEOS)
def test_every_pixel_of_a_video_reads_every_frame(name):
    """What one pixel of the first frame changes is the whole video; two examples do not meet."""
    settings = VIDEOS[name] | {"class": name.partition(" ")[0]}
    network = excited(resolve.denoiser(settings, (4, 4, 4, 1), 1, None, None))
    x = np.random.default_rng(1).standard_normal((2, 4, 4, 4, 1)).astype(np.float32)
    other = x.copy()
    other[0, 0, 0, 0] += 1.0
    time = np.full(2, 500.0, np.float32)
    first, second = (ops.convert_to_numpy(network(*map(ops.convert_to_tensor, (a, time)))) for a in (x, other))
    assert (np.abs(second - first)[0].max(axis=(1, 2, 3)) > 1e-5).all()
    np.testing.assert_array_equal(second[1], first[1])


def test_blocks_of_space_and_time_come_back():
    x = np.random.default_rng(0).standard_normal((2, 4, 6, 9, 2)).astype(np.float32)
    blocks = video_to_depth(ops.convert_to_tensor(x), 2, 3)
    assert tuple(blocks.shape) == (2, 2, 2, 3, 36)
    np.testing.assert_array_equal(ops.convert_to_numpy(blocks)[1, 1, 0, 2], x[1, 2:4, :3, 6:].reshape(-1))
    np.testing.assert_array_equal(ops.convert_to_numpy(depth_to_video(blocks, 2, 3)), x)
