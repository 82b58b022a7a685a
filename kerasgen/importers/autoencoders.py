"""diffusers' `AutoencoderKL` as a `VariationalAutoencoder`, and its `AutoencoderTiny` as an `Autoencoder`."""

from kerasgen.autoencoders.autoencoder import Autoencoder
from kerasgen.autoencoders.variational_autoencoder import VariationalAutoencoder
from kerasgen.importers.rules import Plan, by_path
from kerasgen.importers.settings import Settings, Sides
from kerasgen.importers.unet import modern
from kerasgen.typing import Config

TINY_SIZE = 512  # of images, where nobody says: a tiny autoencoder's config does not


def _latents(told, size, levels):
    """Channels of images and number of latents, of images of these sides."""
    channels = told.take("in_channels", 3, int)
    if told.take("out_channels", 3, int) != channels:
        raise told.wrong("out_channels", f"expected {channels}, as in_channels")
    height, width = size
    factor = 2 ** (levels - 1)
    number = (height // factor) * (width // factor) * told.take("latent_channels", 4, int)
    return [height, width, channels], number


def _scale(told, default):
    """The scale and the shift of latents."""
    scale = told.take("scaling_factor", default, float)
    if scale <= 0.0:
        raise told.wrong("scaling_factor", "expected a positive number")
    shift = told.take("shift_factor", None, float, type(None))
    told.unused("force_upcast")  # float32 it is
    return {"scaling_factor": float(scale), "shift_factor": float(shift or 0.0)}


def plan_kl(config: Config, where: str, image_size: Sides) -> Plan:
    """The `Plan` of an `AutoencoderKL`'s config. Raises `CheckpointError`: we have no such network."""
    told = Settings(config, where)
    channels = told.sizes("block_out_channels", [64])
    for key, known in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")):
        if list(told.take(key, [known], list, tuple)) != [known] * len(channels):
            raise told.wrong(key, f"kerasgen has {known} only, one for each of block_out_channels")
    told.only("act_fn", "silu", "swish")
    for key in ("latents_mean", "latents_std"):
        told.only(key, None)
    shape, latents = _latents(told, told.sides(image_size, 32), len(channels))
    shared = {"class": "AutoencoderKL", "block_out_channels": channels, **_scale(told, 0.18215)}
    for key, default in (("layers_per_block", 1), ("norm_num_groups", 32)):
        shared[key] = told.take(key, default, int)
    shared["mid_block_add_attention"] = told.take("mid_block_add_attention", True, bool)
    encoder = shared | {"use_quant_conv": told.take("use_quant_conv", True, bool)}
    decoder = shared | {"use_post_quant_conv": told.take("use_post_quant_conv", True, bool)}
    told.done()
    arguments = {"shape": shape, "latent_dim": latents, "encoder": encoder, "decoder": decoder}
    return Plan(VariationalAutoencoder, arguments | {"decoder_distribution": "gaussian"}, by_path, modern)


def plan_tiny(config: Config, where: str, image_size: Sides) -> Plan:
    """The `Plan` of an `AutoencoderTiny`'s config. Raises `CheckpointError`: we have no such network."""
    told = Settings(config, where)
    told.only("act_fn", "relu")
    told.only("upsample_fn", "nearest")
    told.only("upsampling_scaling_factor", 2)
    told.unused("latent_magnitude", "latent_shift")  # of latents stored in 8 bits
    parts, widths = {}, set()
    for part, blocks in (("encoder", [1, 3, 3, 3]), ("decoder", [3, 3, 3, 1])):
        parts[part] = told.sizes(f"num_{part}_blocks", blocks)
        channels = told.sizes(f"{part}_block_out_channels", [64] * 4)
        if len(channels) != len(parts[part]) or len(set(channels)) != 1:
            raise told.wrong(f"{part}_block_out_channels", f"expected one number, for each of num_{part}_blocks")
        widths |= set(channels)
    told.unused("block_out_channels")  # those of the decoder, once more
    if len(widths) != 1 or len(parts["encoder"]) != len(parts["decoder"]):
        raise told.wrong("decoder_block_out_channels", "kerasgen has those of the encoder only")
    shape, latents = _latents(told, image_size or (TINY_SIZE, TINY_SIZE), len(parts["encoder"]))
    scale = _scale(told, 1.0)
    told.done()
    networks = {part: {"class": "AutoencoderTiny", "num_blocks": blocks, **scale} for part, blocks in parts.items()}
    arguments = {"shape": shape, "latent_dim": latents, "width": widths.pop(), "num_components": None}
    return Plan(Autoencoder, arguments | networks, by_path)
