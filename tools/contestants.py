"""The models that `tools/benchmark.py` compares, each in a process of its own: `python tools/contestants.py PAIR NAME`.

A pair has one of ours and a peer of the same layers, built from the same sizes below:

- vae: `VariationalAutoencoder` with its convolutional networks and a Bernoulli decoder, and the same layers in PyTorch;
  training steps and reconstruction.
- gan: `GAN` and the same networks in PyTorch, trained as in its example of DCGAN: three levels of 32, 64 and 128
  channels, enlargement and convolution, batch normalization in the generator, non-saturating loss, Adam for each
  player; training steps (both players) and sampling.
- glow: `Glow` and normflows' (extra `peers`), by `MultiscaleFlow` of `GlowBlock`, `Squeeze` and `Merge` over
  `DiagGaussian` as in its example: the same levels, steps of flow, affine couplings by convolutions of 3 x 3, 1 x 1 and
  3 x 3 and hidden channels (64, 128, 256, as ours doubles them). Ours has a bias for each position and convolutions for
  the priors of its splits besides. Training steps and sampling.
- unet: `DiffusionModel` and diffusers' `UNet2DModel` with `DDPMScheduler` and `DDIMPipeline` (extra `peers`): two
  levels of 32 and 64 channels with two residual blocks each, attention at the lower one; training steps, and sampling
  by 20 steps of DDIM.
- gpt: `AutoregressiveTransformer` of `gpt-shakespeare` (6 blocks, width 192, 6 heads, 256 characters of 65) and one as
  nanoGPT's of that size in PyTorch: layer norms without bias, learned places, causal `scaled_dot_product_attention`,
  GELU, tied weights. AdamW on batches of 16 texts; training steps, and sampling of the last 64 characters of 4 texts:
  ours keeps keys and values, the peer, as nanoGPT's `generate`, makes them anew for each character.
- gpt-dropout: the same with the entry's dropout of 0.15.

The others train by Adam on batches of 32 images 32 x 32 x 3, all in float32. Ours runs by `train_on_batch`, `sample`
and `reconstruct` on the backend of KERAS_BACKEND, with default settings. A peer runs in PyTorch, eager or, as
`compiled`, with `torch.compile` of its networks; as `kept`, eager with an allocator that keeps freed memory, as ours
does (see kerasgen/backend/memory.py): PyTorch's own gives large blocks back to the system, and gets them anew, page by
page, in each step.

A process says what it has (JSON: parameters) when all of it has run once, and then reads the names of work from stdin,
answers each with images (texts) a second, and at the end with its peak memory in MiB.
"""

import functools
import json
import math
import resource
import sys
import time
from pathlib import Path

BATCH, SIDE, CHANNELS = 32, 32, 3
TRAINING_STEPS = 8  # in one measurement
SAMPLES = 256  # in one measurement, in batches of BATCH
LEVELS, STEPS, WIDTHS = 3, 4, (64, 128, 256)  # of the Glows
UNET, SAMPLER_STEPS = (32, 64), 20
GAN_WIDTH, VAE_WIDTH, LATENTS = 32, 32, 64
TEXTS, LENGTH, CHARACTERS = 16, 256, 65
DRAWN_TEXTS, DRAWN = 4, 64
DEPTH, WIDTH, HEADS = 6, 192, 6  # of the transformers


def some_images():
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, CHANNELS), dtype=np.uint8)


# Ours


def our_work(model, sample, size, kind="sampling"):
    """`(parameters, {work: (function, calls, images a call)})`."""
    images = some_images()
    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return parameters, {
        "training": (lambda: model.train_on_batch(images), TRAINING_STEPS, BATCH),
        kind: (lambda: sample(model), 1, size),
    }


def our_vae():
    import keras
    import numpy as np

    import kerasgen

    model = kerasgen.VariationalAutoencoder((SIDE, SIDE, CHANNELS), latent_dim=LATENTS, width=VAE_WIDTH)
    model.compile(keras.optimizers.Adam(1e-3))
    images = np.concatenate([some_images()] * (SAMPLES // BATCH))
    return our_work(model, lambda m: m.reconstruct(images, batch_size=BATCH, verbose=0), SAMPLES, "reconstruction")


def our_gan():
    import keras

    import kerasgen

    network = {"class": "conv", "width": GAN_WIDTH}
    model = kerasgen.GAN((SIDE, SIDE, CHANNELS), LATENTS, network, network)
    model.compile(kerasgen.GANOptimizer(*(keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2))))
    return our_work(model, lambda m: m.sample(SAMPLES, seed=0, batch_size=BATCH, verbose=0), SAMPLES)


def our_glow():
    import keras

    import kerasgen

    model = kerasgen.Glow((SIDE, SIDE, CHANNELS), levels=LEVELS, steps=STEPS, width=WIDTHS[0])
    model.compile(keras.optimizers.Adam(1e-3))
    return our_work(model, lambda m: m.sample(SAMPLES, seed=0, batch_size=BATCH, verbose=0), SAMPLES)


def our_unet():
    import keras

    import kerasgen

    network = {"class": "UNet", "width": UNET[0], "multipliers": [1, 2], "blocks": 2, "attention": [1]}
    model = kerasgen.DiffusionModel((SIDE, SIDE, CHANNELS), network=network, schedule="linear", prediction="epsilon")
    model.compile(keras.optimizers.Adam(1e-3))
    settings = {"sampler": "ddim", "steps": SAMPLER_STEPS, "verbose": 0}
    return our_work(model, lambda m: m.sample(BATCH, seed=0, **settings), BATCH)


def some_texts():
    import numpy as np

    return np.random.default_rng(0).integers(0, CHARACTERS, (TEXTS, LENGTH), dtype=np.int32)


def our_gpt(dropout=0.0):
    import keras
    import numpy as np

    import kerasgen

    network = {"class": "Transformer", "width": WIDTH, "depth": DEPTH, "heads": HEADS, "dropout": dropout}
    # A vocabulary without an end, so that all have the same length.
    model = kerasgen.AutoregressiveTransformer((LENGTH,), CHARACTERS, network)
    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.1))
    prompts = np.zeros((1, LENGTH - DRAWN), np.int32)
    settings = {"prompt": prompts, "seed": 0, "batch_size": DRAWN_TEXTS, "verbose": 0}
    texts = some_texts()
    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return parameters, {
        "training": (lambda: model.train_on_batch(texts), TRAINING_STEPS, TEXTS),
        "sampling": (lambda: model.sample(DRAWN_TEXTS, **settings), 1, DRAWN_TEXTS),
    }


# Peers, in PyTorch. `compiled(module or function)` is what runs.


def pixels():
    import torch

    return torch.from_numpy(some_images()).permute(0, 3, 1, 2).contiguous()


def steps_on(modules, loss_of):
    """A step of Adam on the loss of all the modules."""
    import torch

    optimizer = torch.optim.Adam([p for module in modules for p in module.parameters()], 1e-3)

    def train():
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.item()

    return train


def peer_work(modules, train, sample, size, kind="sampling"):
    """As `our_work`."""
    import torch

    parameters = sum(p.numel() for module in modules for p in module.parameters())
    return parameters, {"training": (train, TRAINING_STEPS, BATCH), kind: (torch.no_grad()(sample), 1, size)}


def peer_vae(compiled):
    import torch
    from torch import nn

    levels = int(math.log2(SIDE // 4))
    widths = [VAE_WIDTH * min(2**level, 4) for level in range(levels)]  # 32, 64, 128
    blocks = []
    for inputs, outputs in zip([CHANNELS, *widths], widths, strict=False):
        blocks += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.SiLU()]
    blocks += [nn.Conv2d(widths[-1], widths[-1], 3, padding=1), nn.SiLU(), nn.Flatten()]
    blocks += [nn.Linear(16 * widths[-1], 4 * VAE_WIDTH), nn.SiLU(), nn.Linear(4 * VAE_WIDTH, 2 * LATENTS)]
    encoder = nn.Sequential(*blocks)
    blocks = [nn.Linear(LATENTS, 4 * VAE_WIDTH), nn.SiLU(), nn.Linear(4 * VAE_WIDTH, 16 * widths[-1]), nn.SiLU()]
    blocks += [nn.Unflatten(1, (widths[-1], 4, 4)), nn.Conv2d(widths[-1], widths[-1], 3, padding=1), nn.SiLU()]
    for inputs, outputs in zip(widths[::-1], [*widths[-2::-1], VAE_WIDTH // 2], strict=True):
        blocks += [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1), nn.SiLU()]
    blocks += [nn.Conv2d(VAE_WIDTH // 2, CHANNELS, 3, padding=1)]
    decoder = nn.Sequential(*blocks)
    encode, decode = compiled(encoder), compiled(decoder)
    raw = pixels()

    def loss():
        x = raw / 255.0
        mean, log_variance = encode(2.0 * x - 1.0).chunk(2, dim=1)
        logits = decode(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
        reconstruction = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)
        return (reconstruction + kl).mean()

    def reconstruct():
        for _ in range(SAMPLES // BATCH):
            mean, _ = encode(2.0 * (raw / 255.0) - 1.0).chunk(2, dim=1)
            torch.sigmoid(decode(mean)).permute(0, 2, 3, 1).numpy()

    modules = [encoder, decoder]
    return peer_work(modules, steps_on(modules, loss), reconstruct, SAMPLES, "reconstruction")


def peer_gan(compiled):
    import torch
    from torch import nn

    levels = int(math.log2(SIDE // 4))
    widths = [GAN_WIDTH * 2**level for level in range(levels + 1)]
    blocks = [nn.Linear(LATENTS, 16 * widths[-1]), nn.Unflatten(1, (widths[-1], 4, 4))]
    for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True):
        blocks += [nn.BatchNorm2d(wide), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(wide, narrow, 3, padding=1)]
    last = [nn.BatchNorm2d(widths[0]), nn.ReLU(), nn.Conv2d(widths[0], CHANNELS, 3, padding=1), nn.Tanh()]
    generator = nn.Sequential(*blocks, *last)
    blocks = []
    for inputs, outputs in zip([CHANNELS, *widths[:-2]], widths[:-1], strict=True):
        blocks += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
    last = [nn.Conv2d(widths[-2], widths[-1], 3, padding=1), nn.LeakyReLU(0.2)]
    last += [nn.Flatten(), nn.Linear(16 * widths[-1], 1)]
    discriminator = nn.Sequential(*blocks, *last)
    optimizers = [torch.optim.Adam(player.parameters(), 2e-4, (0.5, 0.999)) for player in (generator, discriminator)]
    generate, judge, raw = compiled(generator), compiled(discriminator), pixels()
    softplus = nn.functional.softplus

    def train():
        real = raw / 127.5 - 1.0
        fake = generate(torch.randn(len(real), LATENTS))
        optimizers[1].zero_grad()
        loss = softplus(-judge(real)).mean() + softplus(judge(fake.detach())).mean()
        loss.backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        loss = softplus(-judge(generate(torch.randn(len(real), LATENTS)))).mean()
        loss.backward()
        optimizers[0].step()
        return loss.item()

    def sample():
        for _ in range(SAMPLES // BATCH):
            (0.5 * generate(torch.randn(BATCH, LATENTS)) + 0.5).permute(0, 2, 3, 1).numpy()

    return peer_work([generator, discriminator], train, sample, SAMPLES)


def peer_glow(compiled):
    import normflows
    import torch

    bases, flows, merges = [], [], []
    for level in reversed(range(LEVELS)):  # it counts its levels from the coarsest
        channels, side = 4 * CHANNELS * 2**level, SIDE // 2 ** (level + 1)
        blocks = [normflows.flows.GlowBlock(channels, WIDTHS[level]) for _ in range(STEPS)]
        flows.append([*blocks, normflows.flows.Squeeze()])
        last = level == LEVELS - 1
        bases.append(normflows.distributions.DiagGaussian((channels if last else channels // 2, side, side)))
        if not last:
            merges.append(normflows.flows.Merge())
    model = normflows.MultiscaleFlow(bases, flows, merges, class_cond=False)
    raw, forward_kld, draw = pixels(), compiled(model.forward_kld), compiled(model.sample)

    def sample():
        for _ in range(SAMPLES // BATCH):
            draw(BATCH)[0].permute(0, 2, 3, 1).numpy()

    train = steps_on([model], lambda: forward_kld((raw + torch.rand(raw.shape)) / 256.0))
    return peer_work([model], train, sample, SAMPLES)


def peer_unet(compiled):
    import diffusers
    import torch

    network = diffusers.UNet2DModel(
        sample_size=SIDE,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        layers_per_block=2,
        block_out_channels=UNET,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
    )
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=1000)
    network.forward = compiled(network.forward)
    pipeline = diffusers.DDIMPipeline(network, diffusers.DDIMScheduler(num_train_timesteps=1000))
    pipeline.set_progress_bar_config(disable=True)
    raw = pixels()

    def loss():
        x = raw / 127.5 - 1.0
        noise, times = torch.randn(x.shape), torch.randint(0, 1000, (len(x),))
        output = network(scheduler.add_noise(x, noise, times), times).sample
        return torch.nn.functional.mse_loss(output, noise)

    def sample():
        pipeline(batch_size=BATCH, num_inference_steps=SAMPLER_STEPS, output_type="np")

    return peer_work([network], steps_on([network], loss), sample, BATCH)


def peer_gpt(compiled, dropout=0.0):
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norms = nn.ModuleList(nn.LayerNorm(WIDTH, bias=False) for _ in range(2))
            self.qkv, self.joined = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
            hidden, out = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)
            self.dense = nn.Sequential(hidden, nn.GELU(), out, nn.Dropout(dropout))
            self.drop = nn.Dropout(dropout)

        def forward(self, x):
            parts = self.qkv(self.norms[0](x)).chunk(3, dim=2)
            q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in parts)
            rate = dropout if self.training else 0.0
            mixed = nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=True)
            x = x + self.drop(self.joined(mixed.transpose(1, 2).flatten(2)))
            return x + self.dense(self.norms[1](x))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(CHARACTERS, WIDTH), nn.Embedding(LENGTH, WIDTH)
            self.blocks = nn.Sequential(nn.Dropout(dropout), *(Block() for _ in range(DEPTH)))
            self.norm = nn.LayerNorm(WIDTH, bias=False)

        def forward(self, tokens):
            x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
            return self.norm(self.blocks(x)) @ self.tokens.weight.T

    network, texts = Network(), torch.from_numpy(some_texts()).long()
    run = compiled(network)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.1)

    def train():
        network.train()
        optimizer.zero_grad()
        logits = run(texts[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), texts[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    def sample():
        network.eval()
        drawn = torch.zeros((DRAWN_TEXTS, LENGTH - DRAWN), dtype=torch.long)
        for _ in range(DRAWN):
            chances = run(drawn)[:, -1].softmax(1)
            drawn = torch.cat([drawn, torch.multinomial(chances, 1)], dim=1)

    parameters = sum(p.numel() for p in network.parameters())
    return parameters, {
        "training": (train, TRAINING_STEPS, TEXTS),
        "sampling": (torch.no_grad()(sample), 1, DRAWN_TEXTS),
    }


OURS = {"vae": our_vae, "gan": our_gan, "glow": our_glow, "unet": our_unet, "gpt": our_gpt}
OURS["gpt-dropout"] = functools.partial(our_gpt, dropout=0.15)
PEERS = {"vae": peer_vae, "gan": peer_gan, "glow": peer_glow, "unet": peer_unet, "gpt": peer_gpt}
PEERS["gpt-dropout"] = functools.partial(peer_gpt, dropout=0.15)
PEER_MODES = ("eager", "compiled", "kept")


def peak_memory():
    """MiB that this process has held at most; not `ru_maxrss`, which begins with what its parent held."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return next(int(line.split()[1]) / 2**10 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def main(pair, name):
    if name == "kerasgen":
        parameters, work = OURS[pair]()
    else:
        import torch

        if name == "kept":
            import ctypes

            for option, value in ((-1, 2**31 - 1), (-3, 2**30), (-8, 1)):  # as kerasgen/backend/memory.py
                ctypes.CDLL(None).mallopt(option, value)
        parameters, work = PEERS[pair](torch.compile if name == "compiled" else lambda function: function)

    def images_per_second(function, calls, images):
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return calls * images / (time.perf_counter() - start)

    for part in work.values():
        images_per_second(*part)  # compiles
        images_per_second(*part)
    print(json.dumps({"parameters": parameters}), flush=True)
    for line in sys.stdin:
        print(images_per_second(*work[line.strip()]), flush=True)
    print(peak_memory(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
