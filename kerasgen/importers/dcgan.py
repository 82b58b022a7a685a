"""The generator of PyTorch's DCGAN example, in a `GAN`."""

from collections.abc import Iterator

from kerasgen.errors import CheckpointError
from kerasgen.gans.gan import GAN
from kerasgen.importers.rules import Plan, Rule, by_path
from kerasgen.importers.settings import Sides
from kerasgen.typing import Any

DISCRIMINATOR = 2**22  # weights that it has at most, which nothing is imported for


def plan(shapes: dict[str, tuple[int, ...]], where: str, image_size: Sides) -> Plan:
    """The `Plan` of the shapes of all tensors. Raises `CheckpointError`: they are not of such a generator."""
    shapes = {new: shape for name, shape in shapes.items() if (new := rename(name)) is not None}
    convs = sorted((int(name.split(".")[1]), shape) for name, shape in shapes.items() if _is_conv(name, shape))
    if len(convs) < 2:
        raise CheckpointError(f"{where} has no main.0.weight, main.3.weight, ...: it is no DCGAN generator's.")
    side, first, last = 4 * 2 ** (len(convs) - 1), convs[0][1], convs[-1][1]
    if image_size not in (None, (side, side)):
        raise CheckpointError(f"{where} is a generator of images of {side} x {side}, not {image_size}.")
    generator = {"class": "DCGAN", "width": last[0]}
    arguments = {"shape": [side, side, last[1]], "latent_dim": first[0], "generator": generator}
    return Plan(GAN, arguments, rules, rename, DISCRIMINATOR)


def _is_conv(name, shape):
    head, _, tail = name.partition(".")
    return head == "main" and tail.endswith(".weight") and tail.split(".")[0].isdecimal() and len(shape) == 4


def rename(name: str) -> str | None:
    """Without what PyTorch counts, and what several devices put before."""
    return None if name.endswith(".num_batches_tracked") else name.removeprefix("module.")


def rules(model: Any) -> Iterator[Rule]:
    for rule in by_path(model, "generator/"):
        (name,) = rule.sources
        if name == "main.0.weight":  # from one place to 4 x 4: a dense layer here
            latents, units = rule.variable.shape
            rule = Rule(rule.variable, {name: (latents, units // 16, 4, 4)}, lambda x: x.transpose(0, 2, 3, 1))
        yield rule
