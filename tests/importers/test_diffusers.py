"""Networks, schedulers and folders of diffusers, imported: the same results from the same random weights."""

import json
import shutil

import keras
import numpy as np
import pytest

import kerasgen
from kerasgen import noise
from kerasgen.checkpoints import FILES
from kerasgen.cli import main as cli
from kerasgen.errors import CheckpointError, HubError, InputError
from tests.hub_server import Repository
from tests.model_case import assert_same

diffusers = pytest.importorskip("diffusers")
torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

pytestmark = [
    # diffusers hands its tensors to NumPy 2 by the older protocol.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn.t accept a copy:DeprecationWarning")
]
WEIGHTS = "diffusion_pytorch_model.safetensors"
DOWN, UP = ["DownBlock2D", "AttnDownBlock2D"], ["AttnUpBlock2D", "UpBlock2D"]
SMALL = {
    **{"sample_size": 8, "block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4},
    **{"down_block_types": DOWN, "up_block_types": UP, "attention_head_dim": 4},
}
# What google/ddpm-cifar10-32 and its kin say, and what else a U-Net can be.
UNETS = {
    "ddpm": {"attention_head_dim": None, "downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1}
    | {"norm_eps": 1e-6, "layers_per_block": 2},
    "scale_shift": {"resnet_time_scale_shift": "scale_shift", "mid_block_scale_factor": 2.0, "time_embedding_dim": 12},
    "normed": {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 2, "center_input_sample": True},
    "classes": {"num_class_embeds": 3, "add_attention": False, "in_channels": 1, "out_channels": 1},
    "bare": {"mid_block_type": None, "sample_size": [8, 12], "block_out_channels": [7, 14], "norm_num_groups": 7}
    | {"attention_head_dim": 7, "down_block_types": ["AttnDownBlock2D", "DownBlock2D"]},
}


def randomized(network):
    """A network in use, no weight of which is what it starts from."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        std = 0.2 if parameter.ndim == 1 else 0.7 * parameter[0].numel() ** -0.5
        parameter.data += std * torch.randn(parameter.shape, generator=generator)
    return network.eval()


def channels_first(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def channels_last(x):
    return np.moveaxis(x.detach().numpy(), 1, -1)


def make_unet(**arguments):
    torch.manual_seed(0)
    return randomized(diffusers.UNet2DModel(**SMALL | arguments))


def save(folder, network, **scheduler):
    """The folder, with a network at its root and a scheduler beside it, as google/ddpm-cifar10-32 is laid out."""
    network.save_pretrained(folder)
    diffusers.DDPMScheduler(**scheduler).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def unet():
    return make_unet()


@pytest.fixture(scope="module")
def least_unet():
    """One level and no middle: little to compile."""
    kinds = {"down_block_types": ["AttnDownBlock2D"], "up_block_types": ["UpBlock2D"], "mid_block_type": None}
    return make_unet(block_out_channels=[8], **kinds)


@pytest.fixture
def folder(unet, tmp_path):
    return save(tmp_path / "theirs", unet)


def change(folder, name="config.json", **entries):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


# Networks


@pytest.mark.parametrize("kind", UNETS)
def test_unets(kind, tmp_path):
    theirs = make_unet(**UNETS[kind])
    model = kerasgen.load(save(tmp_path, theirs, num_train_timesteps=250 if kind == "bare" else 1000))
    x = np.random.default_rng(0).standard_normal((2, *model.shape)).astype(np.float32)
    time = np.array([3.0, 211.0], np.float32)
    labels = np.array([2, 0]) if model.num_classes else None
    ours = model.network(x, time * (4.0 if kind == "bare" else 1.0), model.one_hot(labels))
    given = {} if labels is None else {"class_labels": torch.from_numpy(labels)}
    expected = channels_last(theirs(channels_first(x), torch.from_numpy(time), **given).sample)
    assert np.abs(expected).max() > 0.3
    assert_same(keras.ops.convert_to_numpy(ours), expected, 1e-4)


LEVELS = {"block_out_channels": [4, 8], "sample_size": 16, "norm_num_groups": 2}
KL = {
    "attention": {"layers_per_block": 2},
    "no attention": {"mid_block_add_attention": False, "use_quant_conv": False, "use_post_quant_conv": False}
    | {"shift_factor": 0.3, "scaling_factor": 0.5, "latent_channels": 3},
}


def make_kl(**arguments):
    types = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    torch.manual_seed(0)
    return randomized(diffusers.AutoencoderKL(**LEVELS | types | arguments))


@pytest.mark.parametrize("kind", KL)
def test_autoencoder_kl(kind, tmp_path, images_16):
    theirs = make_kl(**KL[kind])
    theirs.save_pretrained(tmp_path)
    model = kerasgen.load(tmp_path)
    posterior = theirs.encode(channels_first(2 * images_16 - 1)).latent_dist
    scale, shift = theirs.config.scaling_factor, theirs.config.shift_factor or 0.0
    mean, log_variance = model.posterior(keras.ops.convert_to_tensor(images_16), None)
    expected = channels_last((posterior.mean - shift) * scale).reshape(2, -1)
    assert_same(keras.ops.convert_to_numpy(mean), expected, 1e-4)
    expected = channels_last(posterior.logvar).reshape(2, -1) + 2 * np.log(scale)
    assert_same(keras.ops.convert_to_numpy(log_variance), expected, 1e-4)
    expected = channels_last((theirs.decode(posterior.mean).sample / 2 + 0.5).clamp(0, 1))
    assert ((expected > 0) & (expected < 1)).mean() > 0.1
    assert_same(keras.ops.convert_to_numpy(model.decode_step(mean, None)), expected, 1e-4)


@pytest.fixture(scope="module")
def images_16():
    return np.random.default_rng(0).random((2, 16, 16, 3)).astype(np.float32)


def make_tiny():
    blocks = {"num_encoder_blocks": [1, 2], "num_decoder_blocks": [2, 1]}
    channels = {"encoder_block_out_channels": [6, 6], "decoder_block_out_channels": [6, 6]}
    torch.manual_seed(0)
    return randomized(diffusers.AutoencoderTiny(**blocks, **channels, scaling_factor=0.7, shift_factor=0.2))


def test_autoencoder_tiny(tmp_path, images_16):
    theirs = make_tiny()
    theirs.save_pretrained(tmp_path / "theirs")
    model, _ = kerasgen.import_checkpoint(tmp_path / "theirs", tmp_path / "ours", image_size=(16, 16))
    model = kerasgen.load(tmp_path / "ours")
    latents = theirs.encode(channels_first(2 * images_16 - 1)).latents
    expected = channels_last((latents - 0.2) * 0.7).reshape(2, -1)
    assert_same(model.encode(images_16, verbose=0), expected, 1e-4)
    expected = channels_last((theirs.decode(latents).sample / 2 + 0.5).clamp(0, 1))
    assert ((expected > 0) & (expected < 1)).mean() > 0.1
    assert_same(model.reconstruct(images_16, verbose=0), expected, 1e-4)
    with pytest.raises(InputError, match="no density"):
        model.sample(1)


@pytest.mark.parametrize("make", [lambda: make_kl(mid_block_add_attention=False), make_tiny], ids=["KL", "tiny"])
def test_latent_diffusion_over_what_was_imported(make, tmp_path, images_16):
    make().save_pretrained(tmp_path)
    autoencoder, _ = kerasgen.import_checkpoint(tmp_path, tmp_path / "ours", image_size=(16, 16))
    network = {"class": "MLP", "width": 8}
    model = kerasgen.LatentDiffusion(autoencoder, {"class": "DiffusionModel", "network": network})
    before = [keras.ops.convert_to_numpy(v) for v in autoencoder.variables]
    model.compile()
    model.fit(np.tile(images_16, (2, 1, 1, 1)), verbose=0)
    for old, variable in zip(before, autoencoder.variables, strict=True):
        assert np.array_equal(old, variable)
    samples = model.sample(2, seed=0, steps=2, verbose=0)
    model.save(tmp_path / "latent")
    assert_same(kerasgen.load(tmp_path / "latent").sample(2, seed=0, steps=2, verbose=0), samples, 1e-5)


# Schedulers and whole trajectories

SCHEDULES = [
    {},
    {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    {"beta_schedule": "sigmoid", "num_train_timesteps": 100},
    {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "sample"},
    {"trained_betas": [0.1, 0.2, 0.25, 0.5], "num_train_timesteps": 4},
    {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
]


@pytest.mark.parametrize("given", SCHEDULES, ids=lambda given: "-".join(given) or "default")
def test_schedules(given, folder, tmp_path):
    scheduler = diffusers.DDPMScheduler(**given)
    scheduler.save_pretrained(folder)
    model, _ = kerasgen.import_checkpoint(folder, tmp_path / "ours")
    _, alpha, sigma = model.table()
    squares = scheduler.alphas_cumprod.numpy()
    assert_same(alpha**2, squares, 1e-5)
    assert_same(sigma**2, 1 - squares, 1e-5)
    # What float32 resolves of alpha.
    assert_same(alpha, np.sqrt(squares), 2e-4)


TRAJECTORIES = {
    "ancestral": ("DDPMScheduler", {"variance_type": "fixed_large"}),
    "posterior": ("DDPMScheduler", {"clip_sample": False, "prediction_type": "v_prediction"}),
    "ddim": ("DDIMScheduler", {"timestep_spacing": "trailing"}),
    "ddim unclipped": ("DDIMScheduler", {"clip_sample": False, "prediction_type": "sample"}),
}


@pytest.mark.parametrize("kind", TRAJECTORIES)
def test_trajectories(kind, least_unet, tmp_path, monkeypatch):
    """All of them from noise to image, with the same noise; those of DDPM through all levels of the chain."""
    name, config = TRAJECTORIES[kind]
    scheduler = getattr(diffusers, name)(num_train_timesteps=20, beta_end=0.4, **config)
    least_unet.save_pretrained(tmp_path / "theirs")
    scheduler.save_pretrained(tmp_path / "theirs")
    model, sampling = kerasgen.import_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    sampling["steps"] = steps = 20 if name == "DDPMScheduler" else 10
    found = model.sample(2, seed=3, intermediates=True, verbose=0, **sampling)
    keys = keras.ops.convert_to_tensor(noise.keys(0, 2, 3))
    draws = (channels_first(keras.ops.convert_to_numpy(noise.step_normal(keys, i, (8, 8, 3)))) for i in range(steps))
    module = __import__("diffusers.schedulers.scheduling_ddpm", fromlist=["randn_tensor"])
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: next(draws))
    x = channels_first(noise.normal(0, 2, (8, 8, 3), 3).astype(np.float32))
    scheduler.set_timesteps(steps)
    path = [x]
    # Ours steers by the clipped estimate throughout.
    arguments = {"use_clipped_model_output": True} if name == "DDIMScheduler" else {}
    with torch.no_grad():
        for t in scheduler.timesteps:
            path.append(scheduler.step(least_unet(path[-1], t).sample, t, path[-1], **arguments).prev_sample)
    expected = np.stack([channels_last((x / 2 + 0.5).clamp(0, 1)) for x in path], axis=1)
    assert_same(found, expected, 1e-3)
    assert np.abs(found[:, -1] - found[:, 0]).mean() > 0.1


# Layouts and names


def same_model(a, b):
    for ours, theirs in zip(a.get_weights(), b.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


LEGACY = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def test_layouts(unet, folder, tmp_path):
    """Root and sub-folders, names of attention before 2023, shards, half precision."""
    reference = kerasgen.load(folder)
    pipeline = diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler())
    pipeline.save_pretrained(tmp_path / "pipeline")
    same_model(kerasgen.load(tmp_path / "pipeline"), reference)
    (folder / "model_index.json").write_text((tmp_path / "pipeline" / "model_index.json").read_text())
    same_model(kerasgen.load(folder), reference)
    tensors = unet.state_dict()
    for new, old in LEGACY.items():
        tensors = {name.replace(f".{new}.", f".{old}."): tensor for name, tensor in tensors.items()}
    assert sum(".proj_attn." in name for name in tensors) == 2 * 4
    safetensors.save_file(tensors, folder / WEIGHTS)
    same_model(kerasgen.load(folder), reference)
    unet.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    shutil.copy(folder / "scheduler_config.json", tmp_path / "sharded")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    same_model(kerasgen.load(tmp_path / "sharded"), reference)
    for dtype in (torch.bfloat16, torch.float16):
        safetensors.save_file({name: x.to(dtype) for name, x in unet.state_dict().items()}, folder / WEIGHTS)
        kernel = kerasgen.load(folder).network.conv_in.kernel
        expected = unet.conv_in.weight.detach().to(dtype).float().numpy().transpose(2, 3, 1, 0)
        assert np.array_equal(keras.ops.convert_to_numpy(kernel), expected)


def test_it_is_a_model_like_others(least_unet, tmp_path):
    """It trains, and is saved and loaded."""
    model = kerasgen.load(save(tmp_path / "theirs", least_unet))
    before = keras.ops.convert_to_numpy(model.network.conv_in.kernel)
    model.compile()
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    model.fit(x, batch_size=4, verbose=0)
    assert np.abs(keras.ops.convert_to_numpy(model.network.conv_in.kernel) - before).max() > 1e-5
    model.save(tmp_path / "ours")
    same_model(kerasgen.load(tmp_path / "ours", compile=False), model)


# Refusals: one clear error, before anything is allocated


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda x: x.pop("conv_in.bias"), r"lacks 1 of \d+ tensors: conv_in.bias"),
        (lambda x: x.update(more=torch.zeros(8)), "has 1 tensors over.*: more"),
        (lambda x: x.update({"conv_in.bias": torch.zeros(9)}), r"conv_in.bias \(9,\), not \(8,\)"),
        (lambda x: x.update({k.replace("to_q", "query"): v.clone() for k, v in x.items()}), "two tensors for"),
        (lambda x: x.update({"conv_in.bias": torch.full((8,), torch.nan)}), "not finite"),
        (lambda x: x.clear(), r"lacks (\d+) of \1 tensors: conv_in.bias, .* and \d+ more"),
    ],
)
def test_tensors_that_do_not_fit(edit, message, folder):
    tensors = safetensors.load_file(folder / WEIGHTS)
    edit(tensors)
    safetensors.save_file(tensors, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=message):
        kerasgen.load(folder)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"time_embedding_type": "fourier"}, "time_embedding_type.*'fourier'.*'positional' only"),
        ({"down_block_types": ["DownBlock2D", "SkipDownBlock2D"]}, "down_block_types.*AttnDownBlock2D only"),
        ({"up_block_types": ["UpBlock2D"]}, "up_block_types.*one for each"),
        ({"act_fn": "gelu"}, "act_fn"),
        ({"downsample_type": "resnet"}, "downsample_type"),
        ({"downsample_padding": 2}, "downsample_padding is 2"),
        ({"class_embed_type": "timestep"}, "class_embed_type"),
        ({"out_channels": 6}, "out_channels.*no variances"),
        ({"sample_size": None}, "sample_size.*image_size"),
        ({"sample_size": 7}, "multiples of 2"),
        ({"norm_num_groups": 3}, "3 groups"),
        ({"attention_head_dim": 5}, "attention_head_dim is 5"),
        ({"layers_per_block": "2"}, "layers_per_block.*expected int"),
        ({"novelty": 1}, "novelty, which kerasgen does not know"),
        ({"block_out_channels": [8, 65536]}, "more parameters than the weights file holds"),
        ({"block_out_channels": [8, 2**40]}, "integers there are at most"),
        ({"layers_per_block": 60_000}, "more parameters than the weights file holds"),
        ({"_class_name": "UNet2DConditionModel"}, "of diffusers kerasgen reads UNet2DModel"),
    ],
)
def test_configs_that_are_refused(entries, message, folder):
    change(folder, **entries)
    with pytest.raises(CheckpointError, match=message) as error:
        kerasgen.load(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"_class_name": "PNDMScheduler"}, "PNDMScheduler.*reads DDPMScheduler and DDIMScheduler"),
        ({"thresholding": True}, "thresholding"),
        ({"clip_sample_range": 2.0}, "clip_sample_range"),
        ({"variance_type": "learned_range"}, "variance_type"),
        ({"beta_schedule": "laplace"}, "beta_schedule"),
        ({"beta_start": 2.0}, "betas between 0 and 1"),
        ({"trained_betas": [0.5] * 7}, "schedule has 7 betas.*expected 1000"),
        ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr"),
        ({"steps_offset": 1}, "steps_offset"),
        ({"prediction_type": "flow"}, "prediction_type"),
        ({"_class_name": "DDIMScheduler", "set_alpha_to_one": False, "variance_type": None}, "set_alpha_to_one"),
        ({"novelty": 1}, "novelty"),
    ],
)
def test_schedulers_that_are_refused(entries, message, folder):
    change(folder, "scheduler_config.json", **entries)
    with pytest.raises(CheckpointError, match=message):
        kerasgen.load(folder)


def test_folders_that_are_refused(folder, tmp_path):
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"no pickled weights \(.bin\)"):
        kerasgen.load(folder)
    (folder / "scheduler_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"scheduler_config.json cannot be read"):
        kerasgen.load(folder)
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    index |= {"vae": ["diffusers", "AutoencoderKL"], "scheduler": ["diffusers", "PNDMScheduler"]}
    other = tmp_path / "pipeline"
    make_kl().save_pretrained(other / "vae")
    (other / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"of unet .*, vae .*reads its vae: name it as part"):
        kerasgen.load(other)
    model, _ = kerasgen.import_checkpoint(other, tmp_path / "ours", part="vae")
    assert type(model) is kerasgen.VariationalAutoencoder
    with pytest.raises(CheckpointError, match="reads its vae"):
        kerasgen.import_checkpoint(other, tmp_path / "ours", part="unet")


def test_indices_that_are_refused(unet, folder):
    (folder / WEIGHTS).unlink()
    unet.save_pretrained(folder, max_shard_size="20KB")
    path = folder / f"{WEIGHTS}.index.json"
    index = json.loads(path.read_text())
    for value, message in (("../elsewhere.safetensors", "files other than"), ("no.safetensors", "do not agree on")):
        changed = index["weight_map"] | {"conv_in.bias": value}
        path.write_text(json.dumps({"weight_map": changed}))
        with pytest.raises(CheckpointError, match=message):
            kerasgen.load(folder)
    del index["weight_map"]["conv_in.bias"]
    path.write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"do not agree on 'conv_in.bias'"):
        kerasgen.load(folder)
    path.write_text("[]")
    with pytest.raises(CheckpointError, match="is no index"):
        kerasgen.load(folder)


# The Hub and the command line


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", ["root", "pipeline"])
def test_a_repository(layout, unet, folder, tmp_path, hub_server):
    """Downloaded and imported once; nothing but what is needed comes down."""
    hub_server.clear()
    if layout == "pipeline":
        diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(tmp_path / "theirs")
        folder = tmp_path / "theirs"
    repository = hub_server.repositories["them/ddpm"] = Repository()
    repository.commit("main", files_of(folder) | {"diffusion_pytorch_model.bin": b"pickle", "unet/flax.msgpack": b"x"})
    cache = {"cache_dir": tmp_path / "cache"}
    model = kerasgen.load("hf://them/ddpm", **cache)
    same_model(model, kerasgen.load(folder))
    assert model.origin == "them/ddpm"
    got = [path for method, path in hub_server.log if method == "GET" and "/resolve/" in path]
    assert not [path for path in got if path.endswith((".bin", ".msgpack"))]
    hub_server.restart()
    same_model(kerasgen.load("them/ddpm", **cache), model)
    assert not [path for _, path in hub_server.log if path.endswith(".safetensors")]
    same_model(kerasgen.load("them/ddpm", local_files_only=True, **cache), model)
    repository.commit("main", {"config.json": b'{"_class_name": "VQModel"}'})
    with pytest.raises(CheckpointError, match="is of a VQModel"):
        kerasgen.load("them/ddpm", **cache)
    repository.commit("main", {"config.json": b"{}"})
    with pytest.raises(HubError, match="no checkpoint of kerasgen or Keras, nor of diffusers"):
        kerasgen.load("them/ddpm", **cache)


def test_the_command(folder, tmp_path, capsys):
    ours = tmp_path / "ours"
    arguments = cli.parser().parse_args(["import", str(folder), str(ours), "--image_size", "16x8"])
    assert cli.execute(arguments) == 0
    assert {path.name for path in ours.iterdir()} == set(FILES)
    text = capsys.readouterr().out
    assert f"a DiffusionModel of 16, 8, 3 written to {ours}" in text
    drawn = text.partition("sample(16, ")[2].strip()
    assert drawn == "sampler=samplers.DDPM(variance='small'), spacing='leading', clip=True, steps=1000)"
    assert kerasgen.load(ours).shape == (16, 8, 3)
    change(folder, act_fn="gelu")
    assert cli.execute(cli.parser().parse_args(["import", str(folder), str(ours)])) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert kerasgen.load(ours).shape == (16, 8, 3)
