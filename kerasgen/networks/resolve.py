"""What the families are built from: networks by name, or any Keras layer of the user's."""

import keras

from kerasgen.errors import InputError
from kerasgen.networks.adversarial import ConvDiscriminator, ConvGenerator, DenseDiscriminator, DenseGenerator
from kerasgen.networks.classifiers import lenet, resnet
from kerasgen.networks.conv import conv_decoder, conv_encoder
from kerasgen.networks.coupling import conv_coupling, dense_coupling, linear_coupling, residual_coupling
from kerasgen.networks.dense import dense_decoder, dense_encoder
from kerasgen.networks.dit import DiT
from kerasgen.networks.mlp import MLP
from kerasgen.networks.translation import PatchDiscriminator, ResidualGenerator, UNetGenerator
from kerasgen.networks.unet import UNet

BACKBONES = {"lenet": lenet, "resnet": resnet}
ENCODERS = {"conv": conv_encoder, "dense": dense_encoder}
DECODERS = {"conv": conv_decoder, "dense": dense_decoder}
DENOISERS = {"DiT": DiT, "MLP": MLP, "UNet": UNet}  # MLP for vectors, the others for images
GENERATORS = {"Conv": ConvGenerator, "Dense": DenseGenerator}
DISCRIMINATORS = {"Conv": ConvDiscriminator, "Dense": DenseDiscriminator}
TRANSLATORS = {"Residual": ResidualGenerator, "UNet": UNetGenerator}
PATCH_DISCRIMINATORS = {"Patch": PatchDiscriminator}
COUPLINGS = {
    "conv": conv_coupling,
    "dense": dense_coupling,
    "linear": linear_coupling,
    "residual": residual_coupling,
}


def _resolve(role, network, builders, width, dtype, shape, name=None, **sizes):
    if isinstance(network, dict):
        network = keras.saving.deserialize_keras_object(network)
    if isinstance(network, str):
        if network not in builders:
            raise InputError(f"{role} {network!r} is unknown; expected one of {sorted(builders)} or a Keras layer.")
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise InputError(f"width is {width!r}; expected an integer of at least 1.")
        return builders[network](width=width, name=name or role, dtype=dtype, **sizes)
    if not isinstance(network, keras.layers.Layer):
        raise InputError(f"{role} is a {type(network).__name__}; expected one of {sorted(builders)} or a Keras layer.")
    if not network.built:
        network.build((None, *shape))
    return network


def _check_output(role, network, input_shape, output_shape):
    found = network.compute_output_shape((None, *input_shape))
    if tuple(found)[1:] != tuple(output_shape):
        raise InputError(
            f"{role} gives outputs of shape {tuple(found)[1:]} for inputs of shape {tuple(input_shape)}; "
            f"this model needs {tuple(output_shape)}."
        )
    return network


def encoder(network, image_shape, num_outputs, width, dtype):
    """A network from images `[B, *image_shape]` to `[B, num_outputs]`.

    `network` is a name (see `ENCODERS`), built with the dtype policy `dtype`, or a Keras layer or its serialized form.
    Raises `InputError`.
    """
    sizes = {"image_shape": image_shape, "outputs": num_outputs}
    network = _resolve("encoder", network, ENCODERS, width, dtype, image_shape, **sizes)
    return _check_output("encoder", network, image_shape, (num_outputs,))


def decoder(network, num_inputs, output_shape, width, dtype):
    """A network from latents `[B, num_inputs]` to `[B, *output_shape]`.

    `network` is a name (see `DECODERS`), built with the dtype policy `dtype`, or a Keras layer or its serialized form.
    Raises `InputError`.
    """
    sizes = {"inputs": num_inputs, "output_shape": output_shape}
    network = _resolve("decoder", network, DECODERS, width, dtype, (num_inputs,), **sizes)
    return _check_output("decoder", network, (num_inputs,), output_shape)


def coupling(network, input_shape, output_shape, width, dtype, name):
    """A network from the part that a coupling reads, `[B, *input_shape]`, to its parameters, `[B, *output_shape]`.

    `network` is a name (see `COUPLINGS`), built with the dtype policy `dtype`, or a Keras layer or its serialized form.
    Raises `InputError`.
    """
    if len(input_shape) == 1 and network in ("conv", "residual", "linear"):
        raise InputError(f"network {network!r} is for images; use 'dense' for vectors.")
    sizes = {"input_shape": tuple(input_shape), "output_shape": tuple(output_shape)}
    network = _resolve("network", network, COUPLINGS, width, dtype, input_shape, name, **sizes)
    return _check_output("network", network, input_shape, output_shape)


def backbone(network, image_shape, width, dtype):
    """A network from images `[B, *image_shape]` to features `[B, F]`.

    `network` is a name (see `BACKBONES`), built with the dtype policy `dtype`, or a Keras layer or its serialized form.
    Raises `InputError`.
    """
    network = _resolve("backbone", network, BACKBONES, width, dtype, image_shape, image_shape=image_shape)
    found = network.compute_output_shape((None, *image_shape))
    if len(found) != 2:
        raise InputError(f"backbone gives outputs of shape {tuple(found)[1:]}; a classifier needs (features,).")
    return network


def denoiser(network, image_shape, inputs, num_classes, dtype):
    """A network `(x, time, one_hot)` from images `[B, H, W, inputs]` to images like `[B, *image_shape]`; or vectors.

    `network` is a dictionary with the name of a class (see `DENOISERS`) as "class" and arguments of it, or a Keras
    layer or its serialized form. Raises `InputError`.
    """
    vectors = len(image_shape) == 1
    if _names_class(network) and network["class"] in DENOISERS and vectors != (network["class"] == "MLP"):
        raise InputError(f"network is of class {network['class']!r}; 'MLP' is for vectors and the others for images.")
    made = _by_class("network", network, DENOISERS, inputs, image_shape[-1], num_classes, dtype=dtype)
    if not made.built:
        raise InputError("network has no variables yet; call it once on images and times, or build it, before.")
    if not vectors:
        check_size(made, *image_shape[:2])
    return made


def generator(network, inputs, output_shape, num_classes, dtype):
    """A network from z `[B, inputs]`, with classes from `[z, one_hot]`, to `[B, *output_shape]`.

    `network` is a dictionary with the name of a class (see `GENERATORS`) as "class" and arguments of it, or a Keras
    layer or its serialized form. Raises `InputError`.
    """
    return _player("generator", network, GENERATORS, (inputs,), output_shape, num_classes, dtype)


def discriminator(network, input_shape, num_classes, dtype):
    """A network from `[B, *input_shape]`, with classes from `[x, one_hot]`, to logits `[B]`; see `generator`."""
    return _player("discriminator", network, DISCRIMINATORS, input_shape, (), num_classes, dtype)


def _player(role, network, builders, input_shape, output_shape, num_classes, dtype):
    if _names_class(network) and network["class"] == "Conv" and max(len(input_shape), len(output_shape)) == 1:
        raise InputError(f"a convolutional {role} is for images; use 'Dense' for vectors.")
    sizes = (*input_shape, output_shape) if role == "generator" else (input_shape,)
    made = _by_class(role, network, builders, *sizes, num_classes, name=role, dtype=dtype)
    if not _names_class(network):
        given = keras.KerasTensor((None, *input_shape))
        if num_classes is not None:
            given = [given, keras.KerasTensor((None, num_classes))]
        _check_call(role, made, given, (None, *output_shape))
    return made


def translator(network, input_shape, output_shape, dtype, name="generator"):
    """A network from images `[B, *input_shape]` in [-1, 1] to images `[B, *output_shape]` in [-1, 1].

    `network` is a dictionary with the name of a class (see `TRANSLATORS`) as "class" and arguments of it, or a Keras
    layer or its serialized form. Raises `InputError`.
    """
    made = _by_class("generator", network, TRANSLATORS, input_shape, output_shape[-1], name=name, dtype=dtype)
    if not _names_class(network):
        _check_call("generator", made, keras.KerasTensor((None, *input_shape)), (None, *output_shape))
    return made


def patch_discriminator(network, input_shape, dtype, name="discriminator"):
    """A network from images `[B, *input_shape]` in [-1, 1] to logits `[B, h, w]` of patches, or `[B]` of images.

    As `translator`, of `PATCH_DISCRIMINATORS`.
    """
    made = _by_class("discriminator", network, PATCH_DISCRIMINATORS, input_shape, name=name, dtype=dtype)
    if not _names_class(network):
        _check_call("discriminator", made, keras.KerasTensor((None, *input_shape)), (None,), (None, None, None))
    return made


def _names_class(network):
    """Whether it is a dictionary such as `{"class": "UNet", "width": 64}`."""
    return isinstance(network, dict) and "class" in network


def _by_class(role, network, builders, *sizes, **settings):
    """A layer of the class that the dictionary names; a Keras layer as it is, or from its serialized form."""
    if _names_class(network):
        arguments = {key: value for key, value in network.items() if key != "class"}
        if network["class"] not in builders:
            raise InputError(f"{role} is of class {network['class']!r}; expected one of {sorted(builders)}.")
        try:
            return builders[network["class"]](*sizes, **arguments, **settings)
        except TypeError as error:
            raise InputError(f"{role} does not fit {network['class']}: {error}") from error
    if isinstance(network, dict):
        network = keras.saving.deserialize_keras_object(network)
    if not isinstance(network, keras.layers.Layer):
        raise InputError(f"{role} is a {type(network).__name__}; expected a dictionary with a class, or a Keras layer.")
    return network


def _check_call(role, network, given, *expected):
    """Raises `InputError` unless the layer takes the given symbolic inputs and gives one of the expected shapes.

    `None` in an expected shape is any number.
    """
    try:
        found = tuple(network(given).shape)
    except ValueError as error:
        shape = given[0].shape if isinstance(given, list) else given.shape
        raise InputError(f"{role} does not take inputs of shape {shape}: {error}") from error
    for shape in expected:
        if len(found) == len(shape) and all(want in (None, have) for have, want in zip(found, shape, strict=True)):
            return
    needs = " or ".join(map(str, expected))
    raise InputError(f"{role} gives outputs of shape {found}; this model needs {needs}.")


def check_size(network, height, width):
    """Raises `InputError` for sides that one of `DENOISERS` cannot take; nothing is known of other layers."""
    if hasattr(network, "check_size"):
        network.check_size(height, width)


def serialize(network, argument):
    """The constructor argument that gives this network again: names as they are, a Keras layer in serialized form."""
    named = isinstance(argument, str) or _names_class(argument)
    return argument if named else keras.saving.serialize_keras_object(network)


__all__ = [
    "BACKBONES",
    "COUPLINGS",
    "DECODERS",
    "DENOISERS",
    "DISCRIMINATORS",
    "ENCODERS",
    "GENERATORS",
    "PATCH_DISCRIMINATORS",
    "TRANSLATORS",
    "backbone",
    "check_size",
    "coupling",
    "decoder",
    "denoiser",
    "discriminator",
    "encoder",
    "generator",
    "patch_discriminator",
    "serialize",
    "translator",
]
