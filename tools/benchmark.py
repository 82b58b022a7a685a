"""Measures speed against peers in one run, as ratios.

- import: what `import kerasgen` adds to `import keras`.
- flows: training steps and sampling of `kerasgen.Glow` and of normflows' Glow (extra `peers`), in images a second, on
  the CPU. Both have the same levels, steps of flow, affine couplings by convolutions of 3 x 3, 1 x 1 and 3 x 3 and
  hidden channels (64, 128, 256, as ours doubles them), batches of 32 images 32 x 32 x 3, float32 and Adam. Ours runs by
  `train_on_batch` and `sample` on the backend of KERAS_BACKEND; normflows as in its example of Glow, in eager PyTorch:
  `MultiscaleFlow` of `GlowBlock`, `Squeeze` and `Merge` over `DiagGaussian`. Ours has a bias for each position and
  convolutions for the priors of its splits besides; both numbers of parameters are reported. The two take turns in
  every round, so that other load on the machine meets both.
- diffusion: training steps, and sampling by 20 steps of DDIM, of `kerasgen.DiffusionModel` and of diffusers'
  `UNet2DModel` and `DDIMPipeline` (extra `peers`): the same images, batches and turns as for flows; two levels of 32
  and 64 channels with two residual blocks each, attention at the lower one, Adam.
- gan: training steps (both players) and sampling of `kerasgen.GAN` and of a DCGAN in eager PyTorch (extra `torch`) of
  the same layers: three levels of 32, 64 and 128 channels, enlargement and convolution, batch normalization in the
  generator, non-saturating loss, Adam for each player.
- gate: what the checks of `fit` cost: seconds of an epoch of `fit`, over those of `keras.Model.fit` without them, of a
  VAE and a diffusion model on a `tf.data.Dataset` and on an array; the two take turns.
- slider: seconds of each of 20 temperatures of `ddpm-mnist`, 4 images, after the first, and what memory grows by.

python tools/benchmark.py --benchmarks=import,flows --repeats=7 --output=benchmark.json
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from absl import app, flags

BENCHMARKS = flags.DEFINE_list("benchmarks", ["import"], "which to run: import, flows, diffusion, gan, gate, slider")
REPEATS = flags.DEFINE_integer("repeats", 7, "measurements; the median counts", lower_bound=1)
OUTPUT = flags.DEFINE_string("output", None, "also write the figures to this JSON file")


IMPORTS = """
import time
start = time.perf_counter()
import keras
middle = time.perf_counter()
import kerasgen
print(middle - start, time.perf_counter() - middle)
"""

LEVELS, STEPS, WIDTHS = 3, 4, (64, 128, 256)
BATCH, IMAGE_SIZE = 32, 32
TRAINING_STEPS = 8  # in one measurement
SAMPLES = 256  # in one measurement, in batches of BATCH
UNET = (32, 64)  # channels of the two levels
SAMPLER_STEPS = 20
GAN_WIDTH, GAN_LATENTS = 32, 64


def import_time(repeats):
    """Seconds of `import keras`, and of `import kerasgen` after it, each the median over fresh interpreters."""
    runs = [
        subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(repeats)
    ]
    keras, added = (statistics.median(float(run[part]) for run in runs) for part in (0, 1))
    return {
        "import keras, seconds": round(keras, 3),
        "added by import kerasgen, seconds": round(added, 3),
        "ratio": round((keras + added) / keras, 4),
    }


def our_glow(images):
    """`(parameters, train, sample)` of kerasgen's Glow: a step on `images`, and SAMPLES images."""
    import keras

    import kerasgen

    model = kerasgen.Glow((IMAGE_SIZE, IMAGE_SIZE, 3), levels=LEVELS, steps=STEPS, width=WIDTHS[0])
    model.compile(keras.optimizers.Adam(1e-3))
    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return (
        parameters,
        lambda: model.train_on_batch(images),
        lambda: model.sample(SAMPLES, seed=0, batch_size=BATCH, verbose=0),
    )


def peer_glow(images):
    """`(parameters, train, sample)` of normflows' Glow, which counts its levels from the coarsest."""
    import normflows
    import torch

    bases, flows, merges = [], [], []
    for level in reversed(range(LEVELS)):
        channels, side = 12 * 2**level, IMAGE_SIZE // 2 ** (level + 1)
        blocks = [normflows.flows.GlowBlock(channels, WIDTHS[level]) for _ in range(STEPS)]
        flows.append([*blocks, normflows.flows.Squeeze()])
        last = level == LEVELS - 1
        bases.append(normflows.distributions.DiagGaussian((channels if last else channels // 2, side, side)))
        if not last:
            merges.append(normflows.flows.Merge())
    model = normflows.MultiscaleFlow(bases, flows, merges, class_cond=False)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def train():
        x = (pixels + torch.rand(pixels.shape)) / 256.0
        optimizer.zero_grad()
        loss = model.forward_kld(x)
        loss.backward()
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def sample():
        for _ in range(SAMPLES // BATCH):
            model.sample(BATCH)

    return sum(parameter.numel() for parameter in model.parameters()), train, sample


def images_per_second(function, calls, images):
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return calls * images / (time.perf_counter() - start)


def our_diffusion(images):
    """`(parameters, train, sample)` of a kerasgen.DiffusionModel that predicts the noise."""
    import keras

    import kerasgen

    network = {"class": "UNet", "width": UNET[0], "multipliers": [1, 2], "blocks": 2, "attention": [1]}
    model = kerasgen.DiffusionModel(images.shape[1:], network=network, schedule="linear", prediction="epsilon")
    model.compile(keras.optimizers.Adam(1e-3))
    return (
        model.network.count_params(),
        lambda: model.train_on_batch(images),
        lambda: model.sample(len(images), seed=0, sampler="ddim", steps=SAMPLER_STEPS, verbose=0),
    )


def peer_diffusion(images):
    """`(parameters, train, sample)` of diffusers' U-Net, trained as in its example, and its DDIM pipeline."""
    import diffusers
    import torch

    side, channels = images.shape[1], images.shape[3]
    network = diffusers.UNet2DModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=2,
        block_out_channels=UNET,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
    )
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    pipeline = diffusers.DDIMPipeline(network, diffusers.DDIMScheduler(num_train_timesteps=1000))
    pipeline.set_progress_bar_config(disable=True)

    def train():
        x = pixels / 127.5 - 1.0
        noise, times = torch.randn(x.shape), torch.randint(0, 1000, (len(x),))
        optimizer.zero_grad()
        output = network(scheduler.add_noise(x, noise, times), times).sample
        loss = torch.nn.functional.mse_loss(output, noise)
        loss.backward()
        optimizer.step()
        return loss.item()

    return (
        network.num_parameters(),
        train,
        lambda: pipeline(batch_size=len(images), num_inference_steps=SAMPLER_STEPS, output_type="np"),
    )


def our_gan(images):
    """`(parameters, train, sample)` of a kerasgen.GAN; the parameters are those of both players."""
    import keras

    import kerasgen

    network = {"class": "conv", "width": GAN_WIDTH}
    model = kerasgen.GAN(images.shape[1:], GAN_LATENTS, network, network)
    model.compile(kerasgen.GANOptimizer(*(keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2))))
    return (
        sum(math.prod(variable.shape) for variable in model.trainable_variables),
        lambda: model.train_on_batch(images),
        lambda: model.sample(SAMPLES, seed=0, batch_size=BATCH, verbose=0),
    )


def peer_gan(images):
    """`(parameters, train, sample)` of the same networks in PyTorch, trained as in its example of DCGAN."""
    import torch
    from torch import nn

    side, channels = images.shape[1], images.shape[3]
    levels = int(math.log2(side // 4))
    widths = [GAN_WIDTH * 2**level for level in range(levels + 1)]
    blocks = [nn.Linear(GAN_LATENTS, 16 * widths[-1]), nn.Unflatten(1, (widths[-1], 4, 4))]
    for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True):
        blocks += [nn.BatchNorm2d(wide), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(wide, narrow, 3, padding=1)]
    last = [nn.BatchNorm2d(widths[0]), nn.ReLU(), nn.Conv2d(widths[0], channels, 3, padding=1), nn.Tanh()]
    generator = nn.Sequential(*blocks, *last)
    blocks = []
    for inputs, outputs in zip([channels, *widths[:-2]], widths[:-1], strict=True):
        blocks += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
    last = [nn.Conv2d(widths[-2], widths[-1], 3, padding=1), nn.LeakyReLU(0.2)]
    last += [nn.Flatten(), nn.Linear(16 * widths[-1], 1)]
    discriminator = nn.Sequential(*blocks, *last)
    optimizers = [torch.optim.Adam(player.parameters(), 2e-4, (0.5, 0.999)) for player in (generator, discriminator)]
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def train():
        real = pixels / 127.5 - 1.0
        fake = generator(torch.randn(len(real), GAN_LATENTS))
        optimizers[1].zero_grad()
        softplus = nn.functional.softplus
        loss = softplus(-discriminator(real)).mean() + softplus(discriminator(fake.detach())).mean()
        loss.backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        loss = softplus(-discriminator(generator(torch.randn(len(real), GAN_LATENTS)))).mean()
        loss.backward()
        optimizers[0].step()
        return loss.item()

    @torch.no_grad()
    def sample():
        for _ in range(SAMPLES // BATCH):
            generator(torch.randn(BATCH, GAN_LATENTS))

    parameters = sum(p.numel() for player in (generator, discriminator) for p in player.parameters())
    return parameters, train, sample


def flow_speed(repeats):
    """Of both Glows."""
    images = some_images(BATCH, IMAGE_SIZE, 3)
    work = {"training": (1, TRAINING_STEPS, BATCH), "sampling": (2, 1, SAMPLES)}
    return speed({"kerasgen": our_glow(images), "normflows": peer_glow(images)}, work, repeats)


def diffusion_speed(repeats):
    """Of both diffusion models."""
    images = some_images(BATCH, IMAGE_SIZE, 3)
    work = {"training": (1, TRAINING_STEPS, BATCH), "sampling": (2, 1, BATCH)}
    return speed({"kerasgen": our_diffusion(images), "diffusers": peer_diffusion(images)}, work, repeats)


def gan_speed(repeats):
    """Of both GANs."""
    images = some_images(BATCH, IMAGE_SIZE, 3)
    work = {"training": (1, TRAINING_STEPS, BATCH), "sampling": (2, 1, SAMPLES)}
    return speed({"kerasgen": our_gan(images), "PyTorch": peer_gan(images)}, work, repeats)


def some_images(num, side, channels):
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (num, side, side, channels), dtype=np.uint8)


def speed(models, work, repeats):
    """Images a second of both models, medians over rounds; the ratio, ours to theirs, is the median of the rounds'.

    Args:
        models: `{name: (parameters, train, sample)}`, ours first.
        work: `{kind: (index of the function, calls, images a call)}`.
    """
    for model in models.values():
        for index, calls, _ in work.values():
            images_per_second(model[index], calls, 0)  # warm-up
    rounds = {(kind, name): [] for kind in work for name in models}
    for number in range(repeats):
        for kind, (index, calls, size) in work.items():
            for name in list(models)[:: 1 if number % 2 else -1]:
                rounds[kind, name].append(images_per_second(models[name][index], calls, size))
    report = {f"parameters of {name}": model[0] for name, model in models.items()}
    for kind in work:
        ours, theirs = (rounds[kind, name] for name in models)
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        report[kind] = {
            "kerasgen, images a second": round(statistics.median(ours), 1),
            f"{list(models)[1]}, images a second": round(statistics.median(theirs), 1),
            "ratio": round(statistics.median(ratios), 3),
            "lowest and highest ratio of a round": [round(min(ratios), 3), round(max(ratios), 3)],
        }
    return report


def gate_cost(repeats):
    """Of `fit` with its checks over `fit` without them."""
    import keras
    import tensorflow as tf

    import kerasgen

    images = some_images(2048, 28, 1)
    families = {
        "VariationalAutoencoder": kerasgen.VariationalAutoencoder((28, 28, 1)),
        "DiffusionModel": kerasgen.DiffusionModel((28, 28, 1), network={"class": "UNet", "width": 16}),
    }
    report = {}
    for name, model in families.items():
        model.compile()
        for kind, data in {"data set": tf.data.Dataset.from_tensor_slices(images).batch(64), "array": images}.items():
            num = 1024 if name == "DiffusionModel" else 2048
            data = data.take(num // 64) if kind == "data set" else data[:num]
            settings = {"verbose": 0, "shuffle": False} | ({"batch_size": 64} if kind == "array" else {})

            def seconds(fit, data=data, settings=settings):
                start = time.perf_counter()
                fit(data, **settings)
                return time.perf_counter() - start

            fits = [model.fit, lambda data, model=model, **settings: keras.Model.fit(model, data, **settings)]
            for fit in fits:
                seconds(fit)  # warm-up
            rounds = [
                [seconds(fit) for fit in fits[:: 1 if turn % 2 else -1]][:: 1 if turn % 2 else -1]
                for turn in range(repeats)
            ]
            ratios = sorted(ours / plain for ours, plain in rounds)
            report[f"{name}, {kind}"] = {
                "milliseconds a step": round(1000.0 * statistics.median(plain for _, plain in rounds) / (num // 64), 2),
                "ratio": round(statistics.median(ratios), 4),
                "lowest and highest ratio of a round": [round(ratios[0], 4), round(ratios[-1], 4)],
            }
    return report


def slider(_):
    """Of temperatures that a user moves through."""
    import resource

    import kerasgen

    def memory():
        """MiB that this process holds, now or, where that is not told, at most so far."""
        if Path("/proc/self/statm").exists():
            return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    model = kerasgen.load("ddpm-mnist")
    report = {}
    for name, values in {
        "temperature": [0.5 + 0.025 * index for index in range(21)],
        "guidance": [1.5 + 0.1 * index for index in range(21)],
    }.items():
        times, held = [], []
        for value in values:
            start = time.perf_counter()
            model.sample(4, seed=0, verbose=0, **{name: value})
            times.append(time.perf_counter() - start)
            held.append(memory())
        report[name] = {
            "first, seconds": round(times[0], 3),
            "others, median and most, seconds": [round(statistics.median(times[1:]), 3), round(max(times[1:]), 3)],
            "memory grows by, MiB": round(held[-1] - held[0], 1),
        }
    return report


RUNS = {
    **{"import": import_time, "flows": flow_speed, "diffusion": diffusion_speed, "gan": gan_speed},
    **{"gate": gate_cost, "slider": slider},
}
flags.register_validator(
    BENCHMARKS, lambda names: set(names) <= set(RUNS), message=f"--benchmarks takes any of {', '.join(RUNS)}"
)


def main(_):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the CPU for all of them
    from kerasgen.training.hardware import describe

    report = describe() | {name: RUNS[name](REPEATS.value) for name in BENCHMARKS.value}
    text = json.dumps(report, indent=2)
    if OUTPUT.value:
        Path(OUTPUT.value).write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    app.run(main)
