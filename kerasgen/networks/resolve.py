"""A network, or any other object with a config, from its name, a dictionary with its name, its config, or itself.

In all families `"conv"` means `{"class": "conv"}`, and `{"class": "UNet", "width": 64}` adds arguments of the class.
"""

import math
from collections.abc import Mapping

import keras
from keras.layers import Layer

from kerasgen import inputs
from kerasgen.errors import InputError
from kerasgen.networks.classifiers import lenet, resnet
from kerasgen.networks.conv import conv_decoder, conv_encoder
from kerasgen.networks.coupling import PaddedCoupling, PaddedLinear, conv_coupling, linear_coupling, residual_coupling
from kerasgen.networks.dcgan import DCGANGenerator
from kerasgen.networks.denoising import DenoisingUNet
from kerasgen.networks.dense import dense_coupling, dense_decoder, dense_encoder
from kerasgen.networks.diffusers.autoencoder_kl import KLDecoder, KLEncoder
from kerasgen.networks.diffusers.autoencoder_tiny import TinyDecoder, TinyEncoder
from kerasgen.networks.diffusers.unet import DiffusersUNet
from kerasgen.networks.discriminators import ConvDiscriminator, DenseDiscriminator
from kerasgen.networks.dit import DiT, VideoDiT
from kerasgen.networks.frames import FrameDecoder, FrameEncoder
from kerasgen.networks.generators import ConvGenerator, DenseGenerator
from kerasgen.networks.grid import Grid
from kerasgen.networks.mlp import MLP
from kerasgen.networks.spatial import SpatialDecoder, SpatialEncoder
from kerasgen.networks.transformer import Transformer
from kerasgen.networks.translation import PatchDiscriminator, ResidualGenerator, UNetGenerator
from kerasgen.networks.unet import UNet, VideoUNet
from kerasgen.typing import Any, Callable, Sequence

Shape = tuple[int | None, ...]


def grid(
    inputs: int,
    outputs: int,
    num_classes: int | None,
    sides: Sequence[int],
    network: Any,
    name: str = "network",
    dtype: Any = None,
) -> Grid:
    """A `Grid` of `sides`, by one of `DENOISERS`. Raises `InputError`: they do not fit.

    The sides are (height, width), and the network one for images; or (frames, height, width), and one for videos.
    """
    if len(sides) not in (2, 3) or min(sides) < 1 or outputs % math.prod(sides):
        places = " x ".join(map(str, sides))
        raise InputError(f"vectors of {outputs} values do not divide over {places} places.")
    shape, parts = (*sides, outputs // math.prod(sides)), inputs // outputs
    return Grid(denoiser(network, shape, parts * shape[-1], num_classes, dtype), shape, parts, name, dtype)


def frame_encoder(
    shape: Shape,
    outputs: int,
    width: int,
    network: Any = "conv",
    features: int = 64,
    name: str = "encoder",
    dtype: Any = None,
) -> FrameEncoder:
    """A `FrameEncoder`, by one of `ENCODERS` for images, of `width` unless it has its own."""
    features = inputs.check_integer("features", features, 1)
    return FrameEncoder(shape[0], outputs, encoder(network, shape[1:], features, width, dtype), features, name, dtype)


def frame_decoder(
    inputs: int,
    output_shape: Shape,
    width: int,
    network: Any = "conv",
    features: int = 64,
    name: str = "decoder",
    dtype: Any = None,
) -> FrameDecoder:
    """A `FrameDecoder`, by one of `DECODERS` for images, of `width` unless it has its own."""
    frame = decoder(network, features, output_shape[1:], width, dtype)
    return FrameDecoder(inputs, output_shape, frame, features, name, dtype)


BACKBONES = {"lenet": lenet, "resnet": resnet}
ENCODERS = {
    **{"conv": conv_encoder, "dense": dense_encoder, "spatial": SpatialEncoder},
    **{"AutoencoderKL": KLEncoder, "AutoencoderTiny": TinyEncoder},
    "frames": frame_encoder,
}
DECODERS = {
    **{"conv": conv_decoder, "dense": dense_decoder, "spatial": SpatialDecoder},
    **{"AutoencoderKL": KLDecoder, "AutoencoderTiny": TinyDecoder},
    "frames": frame_decoder,
}
CODERS = {1: "dense", 3: "conv", 4: "frames"}  # encoders and decoders for examples of so many axes, by default
DENOISERS: dict[str, Callable] = {
    **{"DiT": DiT, "DiffusersUNet": DiffusersUNet, "UNet": UNet},
    **{"MLP": MLP, "grid": grid},
    **{"VideoDiT": VideoDiT, "VideoUNet": VideoUNet},
}
FOR_VECTORS, FOR_VIDEOS = ("MLP", "grid"), ("VideoDiT", "VideoUNet")  # the others are for images
GENERATORS = {"conv": ConvGenerator, "DCGAN": DCGANGenerator, "dense": DenseGenerator}
DISCRIMINATORS = {"conv": ConvDiscriminator, "dense": DenseDiscriminator}
NOISE_ESTIMATORS = {"UNet": DenoisingUNet}
TRANSLATORS = {"residual": ResidualGenerator, "UNet": UNetGenerator}
PATCH_DISCRIMINATORS = {"patch": PatchDiscriminator}
COUPLINGS = {
    **{"conv": conv_coupling, "dense": dense_coupling, "linear": linear_coupling, "residual": residual_coupling},
    **{"padded": PaddedCoupling, "padded_linear": PaddedLinear},
}
SEQUENCE_NETWORKS = {"Transformer": Transformer}
FOR_IMAGES = ("conv", "residual", "linear", "padded", "padded_linear")


def named(value: Any) -> dict[str, Any] | None:
    """`{"class": name, ...}` of a name or such a dictionary; `None` of anything else."""
    if isinstance(value, str):
        return {"class": value}
    return value if isinstance(value, dict) and "class" in value else None


def resolve(role: str, value: Any, known: Mapping[str, Callable], kind: type, **settings: Any) -> Any:
    """An object of `kind` from what a user or a config says.

    Args:
        role: what it is for, in errors.
        value: a name in `known`, a dictionary with it as "class" and arguments, a serialized object, or an object.
        settings: arguments for what is named; those of a dictionary come before `width`.

    Raises:
        InputError: it is none of these, or the arguments do not fit.
    """
    noun = "Keras layer" if kind is Layer else kind.__name__
    if description := named(value):
        name, arguments = description["class"], {k: v for k, v in description.items() if k != "class"}
        if name not in known:
            raise InputError(f"{role} is {name!r}; expected one of {sorted(known)}, or a {noun}.")
        if "width" in settings | arguments:
            settings["width"] = inputs.check_integer("width", arguments.pop("width", settings.get("width")), 1)
        try:
            return known[name](**settings, **arguments)
        except (TypeError, ValueError) as error:  # Keras has either for an argument that there is not
            raise InputError(f"{role} does not fit {name!r}: {error}") from error
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if not isinstance(value, kind):
        raise InputError(
            f"{role} is a {type(value).__name__}; expected one of {sorted(known)}, a dictionary with one of them as "
            f'"class", or a {noun}.'
        )
    return value


def _network(role, argument, known, input_shapes, *expected, **settings):
    """A layer from inputs `[B, *shape]` of each of the shapes to one of the expected shapes, `None` being any number.

    Those of the user's are built and checked by a symbolic call.
    """
    network = resolve(role, argument, known, Layer, **{"name": role, **settings})
    if named(argument):
        return network
    given = [keras.KerasTensor((None, *shape)) for shape in input_shapes]
    try:
        found = tuple(network(given[0] if len(given) == 1 else given).shape)[1:]
    except (ValueError, TypeError) as error:
        raise InputError(f"{role} does not take inputs of shape {given[0].shape}: {error}") from error
    for shape in expected:
        if len(found) == len(shape) and all(want in (None, have) for have, want in zip(found, shape, strict=True)):
            return network
    raise InputError(
        f"{role} gives outputs of shape {found} for inputs of shape {tuple(input_shapes[0])}; this model needs "
        f"{' or '.join(map(str, expected))}."
    )


def encoder(argument: Any, shape: Shape, num_outputs: int, width: int, dtype: Any) -> Layer:
    """A network of `ENCODERS` from examples `[B, *shape]` to `[B, num_outputs]`. Raises `InputError`, as all below."""
    _check_kind("encoder", argument, shape, ENCODERS)
    sizes = {"shape": shape, "outputs": num_outputs, "width": width}
    return _network("encoder", argument, ENCODERS, [shape], (num_outputs,), **sizes, dtype=dtype)


def _check_kind(role, argument, shape, known):
    """Raises `InputError` for one of `known` that is for examples of another rank; 'dense' is for all."""
    name = (named(argument) or {}).get("class")
    if name not in known or name == "dense":
        return
    if len(shape) == 1:
        raise InputError(f"{role} {name!r} is for images; use 'dense' for vectors.")
    if (len(shape) == 4) != (name == "frames"):
        raise InputError(
            f"{role} is {name!r} for examples of shape {shape}; 'frames' is for videos, others for images."
        )


def decoder(argument: Any, num_inputs: int, output_shape: Shape, width: int, dtype: Any) -> Layer:
    """A network of `DECODERS` from latents `[B, num_inputs]` to `[B, *output_shape]`."""
    _check_kind("decoder", argument, output_shape, DECODERS)
    sizes = {"inputs": num_inputs, "output_shape": output_shape, "width": width}
    return _network("decoder", argument, DECODERS, [(num_inputs,)], tuple(output_shape), **sizes, dtype=dtype)


def coupling(argument: Any, input_shape: Shape, output_shape: Shape, width: int, dtype: Any, name: str) -> Layer:
    """A network of `COUPLINGS` from what a coupling reads, `[B, *input_shape]`, to parameters `[B, *output_shape]`."""
    if len(input_shape) == 1 and (named(argument) or {}).get("class") in FOR_IMAGES:
        raise InputError(f"network {named(argument)['class']!r} is for images; use 'dense' for vectors.")
    settings = {"input_shape": input_shape, "output_shape": output_shape, "width": width, "name": name, "dtype": dtype}
    return _network("network", argument, COUPLINGS, [input_shape], output_shape, **settings)


def backbone(argument: Any, shape: Shape, width: int, dtype: Any) -> Layer:
    """A network of `BACKBONES` from images `[B, *shape]` to features `[B, F]`."""
    return _network("backbone", argument, BACKBONES, [shape], (None,), shape=shape, width=width, dtype=dtype)


def denoiser(argument: Any, shape: Shape, num_inputs: int, num_classes: int | None, dtype: Any) -> Layer:
    """A network of `DENOISERS`, `(x, time, one_hot)`, from `[B, *places, num_inputs]` to `[B, *shape]`; or vectors."""
    name = (named(argument) or {}).get("class")
    rank = 1 if name in FOR_VECTORS else 4 if name in FOR_VIDEOS else 3
    if name in DENOISERS and rank != len(shape):
        told = f"{', '.join(FOR_VECTORS)} are for vectors, {', '.join(FOR_VIDEOS)} for videos, others for images"
        raise InputError(f"network is of class {name!r}; {told}.")
    sizes = {"inputs": num_inputs, "outputs": shape[-1], "num_classes": num_classes, "name": "network", "dtype": dtype}
    network = resolve("network", argument, DENOISERS, Layer, **sizes)
    if not network.built:
        raise InputError("network has no variables yet; call it once on images and times, or build it, before.")
    if len(shape) > 1:
        check_size(network, *shape[:-1])
    return network


def check_size(network: Layer, *sides: int) -> None:
    """Raises `InputError` for sides that one of `DENOISERS` cannot take; nothing is known of other layers."""
    if hasattr(network, "check_size"):
        network.check_size(*sides)


def factor_of(network: Layer) -> int:
    """What the sides of images must be multiples of; 1 where nothing is known."""
    return getattr(network, "factor", 1)


def generator(argument: Any, num_inputs: int, output_shape: Shape, num_classes: int | None, dtype: Any) -> Layer:
    """A network of `GENERATORS` from z `[B, num_inputs]`, with classes from `[z, one_hot]`, to `[B, *output_shape]`."""
    sizes = {"inputs": num_inputs, "output_shape": output_shape}
    return _player("generator", argument, GENERATORS, (num_inputs,), tuple(output_shape), num_classes, dtype, sizes)


def discriminator(argument: Any, input_shape: Shape, num_classes: int | None, dtype: Any) -> Layer:
    """A network of `DISCRIMINATORS` from `[B, *input_shape]`, with classes from `[x, one_hot]`, to logits `[B]`."""
    sizes = {"input_shape": input_shape}
    return _player("discriminator", argument, DISCRIMINATORS, input_shape, (), num_classes, dtype, sizes)


def _player(role, argument, known, input_shape, output_shape, num_classes, dtype, sizes):
    if (named(argument) or {}).get("class") == "conv" and max(len(input_shape), len(output_shape)) == 1:
        raise InputError(f"a convolutional {role} is for images; use 'dense' for vectors.")
    shapes = [input_shape] if num_classes is None else [input_shape, (num_classes,)]
    return _network(role, argument, known, shapes, output_shape, **sizes, num_classes=num_classes, dtype=dtype)


def translator(argument: Any, input_shape: Shape, output_shape: Shape, dtype: Any, name: str = "generator") -> Layer:
    """A network of `TRANSLATORS` from images `[B, *input_shape]` to images `[B, *output_shape]`, both in [-1, 1]."""
    settings = {"input_shape": input_shape, "outputs": output_shape[-1], "name": name, "dtype": dtype}
    return _network("generator", argument, TRANSLATORS, [input_shape], tuple(output_shape), **settings)


def patch_discriminator(argument: Any, input_shape: Shape, dtype: Any, name: str = "discriminator") -> Layer:
    """A network of `PATCH_DISCRIMINATORS` from images in [-1, 1] to logits `[B, h, w]` of patches, or `[B]`."""
    settings = {"input_shape": input_shape, "name": name, "dtype": dtype}
    return _network("discriminator", argument, PATCH_DISCRIMINATORS, [input_shape], (), (None, None), **settings)


def noise_estimator(argument: Any, channels: int, dtype: Any) -> Layer:
    """A network of `NOISE_ESTIMATORS` from x `[B, H, W, channels]` and a map of levels `[B, H, W, 1]` to the noise."""
    settings = {"channels": channels, "name": "network", "dtype": dtype}
    places = [(None, None, channels), (None, None, 1)]
    return _network("network", argument, NOISE_ESTIMATORS, places, (None, None, channels), **settings)


def sequence_network(
    argument: Any,
    inputs: int,
    outputs: int,
    length: int,
    num_conditions: int | None,
    causal: bool,
    dtype: Any,
    name: str = "network",
) -> Transformer:
    """A network of `SEQUENCE_NETWORKS` from tokens `[B, L]`, below `inputs`, to logits `[B, L, outputs]`."""
    sizes = {"inputs": inputs, "outputs": outputs, "length": length, "num_conditions": num_conditions}
    settings = {"causal": causal, "name": name, "dtype": dtype}
    network = resolve("network", argument, SEQUENCE_NETWORKS, Transformer, **sizes, **settings)
    form = (inputs, outputs, length, num_conditions, causal)
    if network.form != form:
        told = "inputs, outputs, length, num_conditions and causal"
        raise InputError(f"network has {told} of {network.form}; this model needs {form}.")
    return network
