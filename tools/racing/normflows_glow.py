"""normflows' example of Glow: VincentStimper/normalizing-flows, examples/glow.ipynb, on CIFAR-10.

Three levels of 16 blocks with 256 hidden channels, affine couplings of halves of the channels, a diagonal Gaussian for
each class at each level, Adamax of learning rate 1e-3 and weight decay 1e-5, batches of 128, pixels dequantized
uniformly to [0, 1), steps whose loss is not finite left out. It has no schedule and no averages.
"""

import normflows
import numpy as np
import torch

from .contest import Trained, batches, in_batches

LEVELS, BLOCKS, HIDDEN, BATCH_SIZE = 3, 16, 256, 128
NUM_CLASSES = 10
DRAWN = 100  # images at once


def make(side, channels):
    """The model, which counts its levels from the coarsest."""
    bases, flows, merges = [], [], []
    for level in reversed(range(LEVELS)):
        wide, small = channels * 4 * 2**level, side // 2 ** (level + 1)
        blocks = [normflows.flows.GlowBlock(wide, HIDDEN, split_mode="channel", scale=True) for _ in range(BLOCKS)]
        flows.append([*blocks, normflows.flows.Squeeze()])
        last = level == LEVELS - 1
        shape = (wide if last else wide // 2, small, small)
        bases.append(normflows.distributions.ClassCondDiagGaussian(shape, NUM_CLASSES))
        if not last:
            merges.append(normflows.flows.Merge())
    return normflows.MultiscaleFlow(bases, flows, merges)


def train(race, given, clock, seed, bfloat16):
    torch.manual_seed(seed)
    model = make(given.images.shape[1], given.images.shape[3])
    optimizer = torch.optim.Adamax(model.parameters(), lr=1e-3, weight_decay=1e-5)
    pixels = torch.from_numpy(given.images).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(given.labels).long()
    left_out = 0
    clock.start()
    for index in map(torch.from_numpy, batches(len(pixels), BATCH_SIZE, seed)):
        x = pixels[index]
        optimizer.zero_grad()
        loss = model.forward_kld((x + torch.rand(x.shape)) / 256.0, labels[index])
        if torch.isfinite(loss):
            loss.backward()
            optimizer.step()
        else:
            left_out += 1
        if not clock.step():
            break

    @torch.no_grad()
    def log_density(x, labels):
        x = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        return model.log_prob(x, torch.from_numpy(labels).long()).numpy()

    @torch.no_grad()
    def draw(labels):
        x = model.sample(len(labels), torch.from_numpy(labels))[0].permute(0, 2, 3, 1).numpy()
        return np.clip(np.floor(x * 256.0), 0, 255).astype(np.uint8)

    def sample(num, seed):
        torch.manual_seed(seed)
        return in_batches(draw, DRAWN, np.arange(num) % NUM_CLASSES)

    parameters = sum(parameter.numel() for parameter in model.parameters())
    settings = {"levels": LEVELS, "blocks": BLOCKS, "hidden channels": HIDDEN, "optimizer": "Adamax, 1e-3, decay 1e-5"}
    settings |= {"steps left out": left_out}
    return Trained(clock.steps, BATCH_SIZE, parameters, settings, sample, log_density=log_density)
