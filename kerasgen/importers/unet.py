"""diffusers' `UNet2DModel` as a `DiffusionModel`."""

from collections.abc import Iterator

from kerasgen.diffusion.diffusion_model import DiffusionModel
from kerasgen.importers import scheduler
from kerasgen.importers.rules import Plan, Rule, by_path
from kerasgen.importers.settings import Settings, Sides
from kerasgen.networks.diffusers.unet import DOWN, UP
from kerasgen.typing import Any, Config

ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # names before and since 2023


def plan(config: Config, where: str, image_size: Sides, noise: Config, noise_where: str) -> Plan:
    """The `Plan` of a U-Net's config and its scheduler's. Raises `CheckpointError`: we have no such network."""
    told = Settings(config, where)
    channels = told.sizes("block_out_channels", [224, 448, 672, 896])
    levels = len(channels)
    network: dict[str, Any] = {"class": "DiffusersUNet", "block_out_channels": channels}
    for key, known, attention in (("down_block_types", DOWN, slice(1, 4)), ("up_block_types", UP, slice(0, 3))):
        plain, attentive = known
        default = [plain] * 4
        default[attention] = [attentive] * 3
        types = [str(kind).removeprefix("UNetRes") for kind in told.take(key, default, list, tuple)]
        if len(types) != levels or not set(types) <= set(known):
            raise told.wrong(key, f"kerasgen has {' and '.join(known)} only, one for each of block_out_channels")
        network[key] = types
    numbers = {"layers_per_block": 2, "downsample_padding": 1, "norm_num_groups": 32}
    network |= {key: told.take(key, default, int) for key, default in numbers.items()}
    for key in ("attention_head_dim", "attn_norm_num_groups", "time_embedding_dim"):
        network[key] = told.take(key, 8 if key == "attention_head_dim" else None, int, type(None))
    floats = {"freq_shift": 0.0, "mid_block_scale_factor": 1.0, "norm_eps": 1e-5, "dropout": 0.0}
    network |= {key: float(told.take(key, default, float)) for key, default in floats.items()}
    flags = {"flip_sin_to_cos": True, "center_input_sample": False, "add_attention": True}
    network |= {key: told.take(key, default, bool) for key, default in flags.items()}
    told.only("resnet_time_scale_shift", "default", "scale_shift")
    network["resnet_time_scale_shift"] = config.get("resnet_time_scale_shift", "default")
    told.only("mid_block_type", "UNetMidBlock2D", None)
    network["mid_block"] = config.get("mid_block_type", "UNetMidBlock2D") is not None
    told.only("time_embedding_type", "positional")
    for key in ("downsample_type", "upsample_type"):
        told.only(key, "conv")
    told.only("act_fn", "silu", "swish")
    told.only("class_embed_type", None)
    told.unused("num_train_timesteps")  # of learned embeddings
    inputs, outputs = told.take("in_channels", 3, int), told.take("out_channels", 3, int)
    if inputs != outputs:
        raise told.wrong("out_channels", f"expected {inputs}, those of x: kerasgen's networks give no variances")
    height, width = told.sides(image_size, None)
    classes = told.take("num_class_embeds", None, int, type(None))
    told.done()
    arguments, sampling = scheduler.read(noise, noise_where)
    network["num_train_timesteps"] = arguments["num_steps"]
    arguments |= {"shape": [height, width, inputs], "num_classes": classes, "network": network}
    return Plan(DiffusionModel, arguments, rules, modern, sampling=sampling)


def modern(name: str) -> str:
    """The name of a tensor, of an attention's by those in use since 2023."""
    *path, module, kind = ["", *name.split(".")]
    return ".".join([*path, ATTENTION.get(module, module), kind]).removeprefix(".")


def rules(model: Any) -> Iterator[Rule]:
    for rule in by_path(model):
        (name,) = rule.sources
        if name == "class_embedding.weight":  # a table of rows there, a dense layer of one-hot labels here
            rule = Rule(rule.variable, {name: tuple(rule.variable.shape)}, lambda x: x)
        yield rule
