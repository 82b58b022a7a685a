"""Lossless coding by a VAE: bits-back with asymmetric numeral systems (Townsend et al. 2019, "BB-ANS").

To code x, draw z from q(z | x) with bits that are on the stack already, push x by p(x | z), then z by p(z). To decode,
pop z and x, and push the bits back with which z was drawn. An image leaves -log2 p(x | z) p(z) / q(z | x) bits on the
stack: in the mean the negative evidence lower bound. Each value of z is one of 2^LATENT_BITS intervals that are equally
likely under p(z) = N(0, 1). All probabilities are whole numbers, made in NumPy by `fixed_point`, so that every machine
and every backend finds the same.
"""

import itertools
import statistics
from collections.abc import Iterator

import numpy as np

from kerasgen.autoencoders.coders import Stack
from kerasgen.autoencoders.fixed_network import FixedNetwork
from kerasgen.autoencoders.fixed_point import BITS, FINER, differences, exponential, fixed, normal_cdf
from kerasgen.base import with_progress
from kerasgen.errors import InputError
from kerasgen.typing import Any, Array, Verbose

LATENT_BITS = 10
BLOCK = 64  # images whose z are drawn at once, and decoded in one batch
LOG_VARIANCE = (-20, 10)  # as of the model's posterior


class BitsBackCoder:
    """Images uint8 `[N, H, W, C]` of a `VariationalAutoencoder` to bytes and back.

    Raises `InputError`: the model has classes, or probabilities of another kind than of 8-bit pixels.
    """

    def __init__(self, model: Any):
        pixels = model.distribution
        if model.num_classes is not None or not hasattr(pixels, "fixed_weights"):
            told = f"{model.num_classes or 'no'} classes and decoder_distribution {model.decoder_distribution!r}"
            raise InputError(f"this model has {told}; lossless coding is for discretized distributions, no classes.")
        self.shape, self.latent_dim, self.pixels = model.shape, model.latent_dim, pixels
        self.encoder, self.decoder = FixedNetwork(model.encoder), FixedNetwork(model.decoder)
        num = 2**LATENT_BITS
        normal = statistics.NormalDist()
        edges = np.array([normal.inv_cdf(k / num) for k in range(1, num)])
        self.edges = np.rint(edges * 2.0 ** (BITS + FINER))
        self.centres = fixed([normal.inv_cdf((k + 0.5) / num) for k in range(num)])

    def posterior(self, images: Array) -> Array:
        """Whole numbers in proportion to q(z | x): `[N, latent_dim, 2^LATENT_BITS]`."""
        x = np.floor((2 * 2**BITS * images.astype(np.float64) + 127) / 255) - 2**BITS  # [-1, 1]
        mean, log_variance = np.split(self.encoder(x), 2, axis=-1)
        half = np.floor(-0.5 * np.clip(log_variance, *(bound * 2**BITS for bound in LOG_VARIANCE)))
        distance = self.edges - mean[..., None] * 2.0**FINER
        inside = normal_cdf(np.floor(distance * exponential(half)[..., None] * 2.0 ** -(BITS + FINER)))
        return differences(inside)

    def likelihood(self, z: Array) -> Iterator[Array]:
        """Whole numbers in proportion to p(x | z), `[H W C, 256]` of each row of intervals z `[N, latent_dim]`."""
        for outputs in self.decoder(self.centres[z]):
            yield self.pixels.fixed_weights(outputs[None]).reshape(-1, 256)

    def encode(self, images: Array, verbose: Verbose = 0) -> bytes:
        stack = Stack()
        for start, stop in with_progress(blocks(len(images)), verbose, size, "images"):
            block = images[start:stop]
            q = self.posterior(block)
            # Nothing is on the stack of which the first image's z could be drawn.
            z = q.argmax(axis=-1) if start == 0 else np.stack([stack.pop(row) for row in q])
            for x, p in zip(block.reshape(len(block), -1), self.likelihood(z), strict=True):
                stack.push(x, p)
            stack.push_uniform(z.ravel(), LATENT_BITS)
        return stack.bytes()

    def decode(self, payload: bytes, num: int, verbose: Verbose = 0) -> Array:
        """Images uint8 `[num, H, W, C]` of what `encode` gave."""
        stack, found = Stack(payload), np.empty((num, *self.shape), np.uint8)
        for start, stop in with_progress(blocks(num)[::-1], verbose, size, "images"):
            z = stack.pop_uniform((stop - start) * self.latent_dim, LATENT_BITS).reshape(stop - start, -1)
            for index, p in zip(reversed(range(start, stop)), self.likelihood(z[::-1]), strict=True):
                found[index] = stack.pop(p).reshape(self.shape)
            if start > 0:
                for row, q in reversed(list(zip(z, self.posterior(found[start:stop]), strict=True))):
                    stack.push(row, q)
        return found


def size(block: tuple[int, int]) -> int:
    """Images in a range of them."""
    return block[1] - block[0]


def blocks(num: int) -> list[tuple[int, int]]:
    """Ranges of images that are coded together: 1, 1, 2, 4, ..., so that there are bits to draw z of."""
    edges = [0, 1]
    while edges[-1] < num:
        edges.append(edges[-1] + min(BLOCK, edges[-1]))
    return [(start, min(stop, num)) for start, stop in itertools.pairwise(edges)]
