"""A model of ours from a folder of diffusers, or from one file of tensors."""

from pathlib import Path

from kerasgen.checkpoints.safetensors import places
from kerasgen.importers import autoencoders, dcgan, folders, glow, unet
from kerasgen.importers.rules import Plan, convert
from kerasgen.importers.settings import Sides, read_json
from kerasgen.inputs import check_choice
from kerasgen.typing import Any, Config

FORMATS = {"dcgan": dcgan.plan, "glow": glow.plan}  # of files without a config, by name


def from_folder(folder: Path, part: str | None = None, image_size: Sides = None) -> tuple[Any, Config]:
    """The model of a network of diffusers, and arguments of `sample` that draw as its scheduler does, if it has one.

    Args:
        part: of a pipeline with several networks.
        image_size: `(height, width)` of images, where it is to be another than the config says.

    Raises `CheckpointError`: kerasgen has no such network or scheduler, or config and tensors do not go together.
    """
    source = folders.find(folder, part)
    config, where = read_json(source.config), str(source.config)
    if source.name == "UNet2DModel":
        noise = read_json(source.scheduler)
        plan: Plan = unet.plan(config, where, image_size, noise, str(source.scheduler))
    else:
        make = autoencoders.plan_kl if source.name == "AutoencoderKL" else autoencoders.plan_tiny
        plan = make(config, where, image_size)
    return convert(plan, source.tensors(), str(source.config.parent)), plan.sampling


def from_file(path: Path, format: str, image_size: Sides = None, **settings: Any) -> Any:
    """The model of a file of tensors in a format of `FORMATS`; see there for `settings`. Raises as `from_folder`."""
    stored = places(path)
    make = FORMATS[check_choice("format", format, FORMATS)]
    shapes = {name: shape for name, (_, _, shape, _) in stored.items()}
    return convert(make(shapes, str(path), image_size, **settings), stored, str(path))
