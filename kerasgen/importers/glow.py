"""A Glow in the layout of rosinality's glow-pytorch, as a `Glow` (docs/importing.md has the names).

There channels of a squeeze are in another order, images are in [-0.5, 0.5), and convolutions that start at zero have a
learned scale: all of this goes into the weights.
"""

import re
from collections.abc import Iterator

import numpy as np

from kerasgen.errors import CheckpointError, InputError
from kerasgen.flows.bijectors.invertible_conv import lu
from kerasgen.flows.glow import Glow
from kerasgen.importers.rules import Plan, Rule, from_torch
from kerasgen.importers.settings import Sides
from kerasgen.typing import Any, Array

FLOW = re.compile(r"blocks\.(\d{1,3})\.flows\.(\d{1,3})\.")
OURS = re.compile(r"(?P<level>level_(?P<block>\d+)_(?:step_(?P<step>\d+)|split)|prior)_?(?P<part>.*)/(?P<name>\w+)")
GAIN = 3.0  # of the logarithm of learned scales
LU = ("w_p", "w_l", "w_u", "l_mask", "u_mask", "l_eye")  # matrices, beside the vectors s_sign and w_s


def plan(shapes: dict[str, tuple[int, ...]], where: str, image_size: Sides, num_bits: int = 5) -> Plan:
    """The `Plan` of the shapes of all tensors.

    Args:
        image_size: `(height, width)` of images, which no tensor tells.
        num_bits: bits of a pixel in training.

    Raises:
        CheckpointError: the tensors are not of such a Glow.
        InputError: there is no image size.
    """
    shapes = {rename(name): shape for name, shape in shapes.items()}
    found = [tuple(map(int, match.groups())) for match in map(FLOW.match, shapes) if match]
    try:
        levels, steps = (1 + max(numbers) for numbers in zip(*found, strict=True))
        flow = "blocks.0.flows.0."
        channels = shapes[f"{flow}actnorm.loc"][1] // 4
        width = shapes[f"{flow}coupling.net.0.weight"][0]
        affine = shapes[f"{flow}coupling.net.4.scale"][1] == 4 * channels
    except (ValueError, KeyError, IndexError) as error:
        raise CheckpointError(f"{where} lacks blocks.0.flows.0.actnorm.loc and others: it is no such Glow.") from error
    if image_size is None:
        raise InputError("no tensor of a Glow tells the size of its images: give image_size.")
    factored = f"{flow}invconv.weight" not in shapes
    arguments = {
        **{"shape": [*image_size, channels], "levels": levels, "steps": steps, "num_bits": num_bits},
        **{"coupling": "sigmoid" if affine else "additive", "split": "padded_linear"},
        "network": {"class": "padded", "width": width},
    }
    return Plan(Glow, arguments, lambda model: rules(model, levels, affine, factored), rename)


def rename(name: str) -> str:
    """Without what several devices put before."""
    return name.removeprefix("module.")


def squeezed(channels: int) -> Array:
    """The place behind their squeeze, (channel, row, column), of each channel behind ours, (row, column, channel)."""
    return np.arange(channels).reshape(-1, 2, 2).transpose(1, 2, 0).ravel()


def rules(model: Any, levels: int, affine: bool, factored: bool) -> Iterator[Rule]:
    """The rules of all variables but those of training."""
    for variable in model.variables:
        match = OURS.fullmatch(variable.path)
        if match is None:
            continue
        shape, part, name = tuple(variable.shape), match["part"], match["name"]
        block = f"blocks.{levels - 1 if match['block'] is None else int(match['block']) - 1}."
        flow = f"{block}flows.{int(match['step'] or 1) - 1}."
        first = match["step"] == "1"
        if part == "act_norm":
            yield act_norm(variable, name, f"{flow}actnorm.", first, block == "blocks.0.")
        elif part == "invertible_conv":
            yield invertible_conv(variable, name, f"{flow}invconv.", first, factored)
        elif part.startswith("coupling_network"):
            index = {"conv_1": 0, "conv_2": 2}.get(part.rpartition("/")[2])
            if index is None:
                yield zero_conv(variable, name, f"{flow}coupling.net.4.", swapped=affine)
            elif name == "kernel":
                yield Rule(variable, {f"{flow}coupling.net.{index}.weight": from_torch(shape)[0]}, from_torch(shape)[1])
            else:
                yield Rule(variable, {f"{flow}coupling.net.{index}.bias": shape}, lambda x: x)
        elif part.startswith("network"):
            yield zero_conv(variable, name, f"{block}prior.", swapped=False)
        else:
            yield of_zeros(variable, name, f"{block}prior.")


def act_norm(variable: Any, name: str, there: str, first: bool, entry: bool) -> Rule:
    """Of an ActNorm, the `first` of a level, or the one at the `entry` of images."""
    if name == "initialized":
        return Rule(variable, {f"{there}initialized": ()}, lambda x: x)
    channels = variable.shape[0]
    order = squeezed(channels) if first else np.arange(channels)

    def bias(loc):
        return loc.ravel()[order] - (0.5 if first and entry else 0.0)

    def log_scale(scale):
        if not np.all(scale > 0.0):
            raise CheckpointError(f"{there}scale has values that are not positive, for which kerasgen has no ActNorm.")
        return np.log(scale.ravel()[order])

    source, make = ("loc", bias) if name == "bias" else ("scale", log_scale)
    return Rule(variable, {f"{there}{source}": (1, channels, 1, 1)}, make)


def invertible_conv(variable: Any, name: str, there: str, first: bool, factored: bool) -> Rule:
    """Of a 1 x 1 convolution, which has its matrix there whole or in factors."""
    channels = variable.shape[0]
    if factored:
        sources: dict = dict.fromkeys((f"{there}{factor}" for factor in LU), (channels, channels))
        sources |= dict.fromkeys((f"{there}s_sign", f"{there}w_s"), (channels,))
    else:
        sources = {f"{there}weight": (channels, channels, 1, 1)}

    def part(*arrays):
        arrays = [x.astype(np.float64) for x in arrays]
        if factored:
            w_p, w_l, w_u, l_mask, u_mask, l_eye, s_sign, w_s = arrays
            weight = w_p @ (w_l * l_mask + l_eye) @ (w_u * u_mask + np.diag(s_sign * np.exp(w_s)))
        else:
            weight = arrays[0][:, :, 0, 0]
        permutation, lower, upper = lu(weight[:, squeezed(channels)] if first else weight)
        diagonal = np.diag(upper)
        if not np.all(np.abs(diagonal) > 0.0):
            raise CheckpointError(f"{there}weight cannot be inverted.")
        parts = {"lower": np.tril(lower, -1), "upper": np.triu(upper, 1), "permutation": permutation}
        return (parts | {"log_diagonal": np.log(np.abs(diagonal)), "sign": np.sign(diagonal)})[name]

    return Rule(variable, sources, part)


def scaled(weight: Array, scale: Array) -> Array:
    """The weights of a convolution that starts at zero, with its learned scale."""
    return weight * np.exp(GAIN * scale.ravel()).reshape(-1, *[1] * (weight.ndim - 1))


def zero_conv(variable: Any, name: str, there: str, swapped: bool) -> Rule:
    """Of a convolution that starts at zero; `swapped` where scales come before shifts there."""
    shape = tuple(variable.shape)
    source, (sizes, make) = ("weight" if name == "kernel" else "bias"), from_torch(shape)

    def value(array, scale):
        array = scaled(array, scale)
        return make(np.concatenate(np.split(array, 2)[::-1]) if swapped else array)

    return Rule(variable, {f"{there}conv.{source}": sizes, f"{there}scale": (1, shape[-1], 1, 1)}, value)


def of_zeros(variable: Any, name: str, there: str) -> Rule:
    """Of the last prior, `[1, h, w, C]`: what a convolution says of zeros with ones around."""
    _, height, width, channels = variable.shape
    around = np.pad(np.zeros((height, width)), 1, constant_values=1.0)

    def value(weight, bias, scale):
        of_place = scaled(weight.sum(axis=1), scale)  # [2C, 3, 3]
        windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3))  # [h, w, 3, 3]
        given = np.einsum("hwij,cij->hwc", windows, of_place) + scaled(bias, scale)
        return given[..., :channels] if name == "mean" else given[..., channels:]

    sizes = {"conv.weight": (2 * channels, channels, 3, 3), "conv.bias": (2 * channels,)}
    sources = {f"{there}{key}": size for key, size in sizes.items()}
    return Rule(variable, sources | {f"{there}scale": (1, 2 * channels, 1, 1)}, value)
