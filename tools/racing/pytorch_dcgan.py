"""PyTorch's example of a DCGAN: pytorch/examples, dcgan/main.py.

100 latents, 64 filters, transposed convolutions of 4 x 4 and batch normalization, weights from N(0, 0.02), binary
cross-entropy, Adam of learning rate 2e-4 and beta_1 0.5 for both players, batches of 64, the same fakes for both. Its
generator is never put in evaluation mode: images are drawn in batches of 64, normalized by their own statistics.

The example is of 64 x 64. Here images of 28 x 28 have a black border of two pixels, which is taken off the samples, and
both players have one level less: the largest image and the widest layer of 64 x 64 are gone.
"""

import numpy as np
import torch
from torch import nn

from .contest import Trained, batches, to_uint8

LATENTS, WIDTH, BATCH_SIZE, SIDE = 100, 64, 64, 32


def initialize(module):
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def make(channels):
    """Generator, from `[B, LATENTS, 1, 1]`, and discriminator, to logits `[B, 1, 1, 1]`, of images 32 x 32."""
    layers = [nn.ConvTranspose2d(LATENTS, 4 * WIDTH, 4, 1, 0, bias=False)]
    for wide, narrow in ((4 * WIDTH, 2 * WIDTH), (2 * WIDTH, WIDTH), (WIDTH, channels)):
        layers += [nn.BatchNorm2d(wide), nn.ReLU(), nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False)]
    generator = nn.Sequential(*layers, nn.Tanh())
    layers = [nn.Conv2d(channels, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for narrow, wide in ((WIDTH, 2 * WIDTH), (2 * WIDTH, 4 * WIDTH)):
        layers += [nn.Conv2d(narrow, wide, 4, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
    discriminator = nn.Sequential(*layers, nn.Conv2d(4 * WIDTH, 1, 4, 1, 0, bias=False))
    return generator.apply(initialize), discriminator.apply(initialize)


def train(race, given, clock, seed, bfloat16):
    torch.manual_seed(seed)
    border = (SIDE - given.images.shape[1]) // 2
    padded = np.pad(given.images, ((0, 0), (border, border), (border, border), (0, 0)))
    pixels = torch.from_numpy(padded).permute(0, 3, 1, 2).contiguous()
    generator, discriminator = make(pixels.shape[1])
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    optimizers = [torch.optim.Adam(player.parameters(), **adam) for player in (generator, discriminator)]
    entropy = nn.functional.binary_cross_entropy_with_logits
    ones, zeros = torch.ones(BATCH_SIZE), torch.zeros(BATCH_SIZE)
    clock.start()
    for index in batches(len(pixels), BATCH_SIZE, seed):
        real = pixels[torch.from_numpy(index)].float() / 127.5 - 1.0
        fake = generator(torch.randn(BATCH_SIZE, LATENTS, 1, 1))
        optimizers[1].zero_grad()
        entropy(discriminator(real).flatten(), ones).backward()
        entropy(discriminator(fake.detach()).flatten(), zeros).backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        entropy(discriminator(fake).flatten(), ones).backward()
        optimizers[0].step()
        if not clock.step():
            break

    @torch.no_grad()
    def sample(num, seed):
        noise = torch.Generator().manual_seed(seed)
        z = (torch.randn(BATCH_SIZE, LATENTS, 1, 1, generator=noise) for _ in range(0, num, BATCH_SIZE))
        images = torch.cat([generator(some) for some in z])[:num, :, border:-border, border:-border]
        return to_uint8(images.permute(0, 2, 3, 1).numpy() / 2.0 + 0.5)

    parameters = sum(p.numel() for player in (generator, discriminator) for p in player.parameters())
    settings = {"latents": LATENTS, "filters": WIDTH, "side": SIDE, "adam": adam}
    return Trained(clock.steps, BATCH_SIZE, parameters, settings, sample)
