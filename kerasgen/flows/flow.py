"""`Flow`: what normalizing flows share. Densities by the change of variables, and so bounds of P of images.

With f the flow from data x to latents z ~ N(0, I), log p(x) = log N(f(x); 0, I) + log |det df/dx|
(Dinh et al. 2017, "Density estimation using Real NVP", eq. 2). That is exact for vectors. An image has a probability,
not a density, which dequantization bounds: see bijectors/dequantization.py.
"""

import dataclasses
import math

import keras
import numpy as np
from keras import ops

from kerasgen import inputs, noise
from kerasgen.base import LatentModel, LikelihoodModel, rows
from kerasgen.errors import InputError
from kerasgen.export import Part
from kerasgen.flows.bijectors import (
    COUPLINGS,
    Bijector,
    HistogramEqualization,
    Logit,
    UniformDequantization,
    VariationalDequantization,
)
from kerasgen.flows.bijectors.base import in_parts
from kerasgen.modalities import Images, Modality, Vectors
from kerasgen.typing import Any, ArrayLike, Config, Labels, Logs, Seed, Shape, Tensor, Verbose

DEQUANTIZATIONS = ("uniform", "variational")
EQUALIZED_ALPHA = 1e-4


class Flow(LikelihoodModel, LatentModel):
    """A subclass gives `make_flow()`, a bijector from `[B, *shape]` to latents `[B, num_dims]`.

    Images are taken as n-bit pixels: an 8-bit value k is cut to its upper `num_bits` bits and dequantized (see
    bijectors/dequantization.py); sampled images are such pixels again, as k / (2^n - 1). Vectors have a density as they
    are.

    Args:
        shape: `(height, width, channels)`, or `(features,)` for vectors.
        network: of the couplings: a name from `kerasgen.networks.COUPLINGS`, a dictionary with it as "class" and
            arguments, or a list of Keras layers, one for each coupling, the first next to the data.
        width: of networks given by name, at the first level; it doubles at each further one, up to four times.
        coupling: "affine", "additive", "sigmoid" or "spline".
        num_bits: bits of a pixel, 1 to 8.
        dequantization: "uniform" or "variational".
        equalize: whether pixels are first brought to a uniform distribution by the histogram of some examples
            (`kerasgen.flows.bijectors.HistogramEqualization`): for images with a ground of one value.
        remat: whether training keeps less in memory and computes more (`kerasgen.flows.bijectors.Invertible`).
        seed: of fixed permutations, initial rotations and the noise drawn in training.
    """

    modalities: tuple[type[Modality], ...] = (Images, Vectors)
    lossless = True

    def __init__(
        self,
        shape: Shape,
        network: Any,
        width: int,
        coupling: str,
        num_bits: int,
        dequantization: str,
        equalize: bool,
        num_classes: int | None,
        remat: bool,
        seed: int,
        **kwargs: Any,
    ):
        super().__init__(shape, num_classes, seed, **kwargs)
        inputs.check_choice("dequantization", dequantization, DEQUANTIZATIONS)
        self.width = inputs.check_integer("width", width, 1)
        self.coupling = inputs.check_choice("coupling", coupling, COUPLINGS)
        self.num_bits = inputs.check_integer("num_bits", num_bits, 1)
        if self.num_bits > 8:
            raise InputError(f"num_bits is {num_bits}; images have 8-bit pixels, so expected 1 to 8.")
        self.dequantization = dequantization
        self.equalize = bool(equalize)
        self.remat = bool(remat)
        self.latent_dim = self.num_dims
        self._network_argument = network
        self.couplings: list[Bijector] = []
        if isinstance(network, (list, tuple)):
            self._remaining = list(network)
        self.flow = self.make_flow()
        if isinstance(network, (list, tuple)) and self._remaining:
            raise InputError(
                f"network has {len(network)} layers; this model has {len(self.couplings)} couplings, one for each."
            )
        self.keep(network=[c.network for c in self.couplings] if isinstance(network, (list, tuple)) else network)
        self.dequantizer = None
        if not self.vectors and dequantization == "variational":
            self.dequantizer = VariationalDequantization(
                self.shape, self.num_bits, self.width, network_dtype=self.dtype_policy
            )
        elif not self.vectors:
            self.dequantizer = UniformDequantization(self.num_bits)

    def make_flow(self) -> Bijector:
        raise NotImplementedError

    def make_equalization(self) -> list[Bijector]:
        """What `equalize` puts next to the data: the histogram's map to [0, 1], and a logit to the line."""
        if not self.equalize:
            return []
        return [HistogramEqualization(self.shape, self.num_bits), Logit(self.shape, EQUALIZED_ALPHA)]

    def make_coupling(self, shape: tuple, name: str, width: int | None = None, **arguments: Any) -> Bijector:
        """The next coupling of the flow, with its network."""
        network = self._network_argument
        if isinstance(network, (list, tuple)):
            if not self._remaining:
                raise InputError(f"network has {len(network)} layers; this model has more couplings than that.")
            network = self._remaining.pop(0)
        self.couplings.append(
            COUPLINGS[self.coupling](
                shape, network, width or self.width, network_dtype=self.dtype_policy, name=name, **arguments
            )
        )
        return self.couplings[-1]

    @property
    def likelihood(self) -> str:
        """ "exact" for the density of vectors, "bound" for the probability of images, which are dequantized."""
        return "exact" if self.vectors else "bound"

    @property
    def num_levels(self) -> int:
        return 2**self.num_bits

    @property
    def log_volume(self) -> float:
        """log of the volume of an image's bin in [0, 1]^D, -D num_bits log 2; 0 for vectors."""
        return 0.0 if self.vectors else -self.num_dims * self.num_bits * math.log(2.0)

    # The density

    def pixels(self, images: Tensor) -> Tensor:
        """Images in [0, 1] as pixels k in 0..2^n - 1, float32."""
        return ops.floor(ops.round(255.0 * images) / 2.0 ** (8 - self.num_bits))

    def log_density(self, x: Tensor, u: Tensor | None, one_hot: Tensor | None = None, training: bool = False) -> Tensor:
        """log p(x) in nats `[B]`; images x in [0, 1] are dequantized by uniform noise u.

        For images it is log p(v) - log q(u | k), a density over [0, 1] per value.
        """
        log_q = 0.0
        if not self.vectors:
            x, log_q = self.dequantizer.dequantize(self.pixels(x), u, training)
        z, log_det = self.flow.forward_and_log_det(x, one_hot, training)
        log_normal = -0.5 * ops.sum(ops.square(z) + math.log(2.0 * math.pi), axis=-1)  # [B]
        return log_normal + log_det - log_q

    @property
    def needs_initialization(self) -> bool:
        return not self.flow.initialized

    def initialize(self, x: Tensor, one_hot: Tensor | None) -> None:
        def dequantized(x, rows):
            u = noise.uniform(rows[0], rows[-1] + 1, self.shape, self.seed)
            return self.dequantizer.dequantize(self.pixels(x), ops.cast(u, "float32"))[0]

        if not self.vectors:
            x = in_parts(dequantized, x, np.arange(len(x)))
        self.flow.initialize(x, one_hot)

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0)

    def losses(self, x: Tensor, one_hot: Tensor | None, training: bool) -> tuple[Tensor, Logs]:
        """Bits per dimension `[B]`."""
        log_density = self.log_density(x, self.uniform(ops.shape(x)), one_hot, training)
        bits = -(log_density + self.log_volume) / (self.num_dims * math.log(2.0))
        return bits, {"loss": bits}

    # Sampling and coding

    def encode_step(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Latents; an image is taken at the middle of each pixel's bin."""
        bins = 2.0**self.num_bits
        x = self.modality.scale(x)
        x = x if self.vectors else (self.pixels(x) + 0.5) / bins
        return self.flow.forward_and_log_det(x, self.one_hot(labels))[0]

    def decode_step(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Vectors, or images of n-bit pixels, k / (2^n - 1)."""
        x, _ = self.flow.inverse_and_log_det(z, self.one_hot(labels))
        if self.vectors:
            return x
        return ops.clip(ops.floor(x * 2.0**self.num_bits) / (2.0**self.num_bits - 1.0), 0.0, 1.0)

    def decoding(self, z: str) -> Part:
        return dataclasses.replace(super().decoding(z), levels=None if self.vectors else self.num_levels)

    def log_prob_step(self, x: Tensor, labels: Tensor | None, u: Tensor | None) -> Tensor:
        x = self.modality.scale(x)
        return self.log_density(x, u, self.one_hot(labels)) + self.log_volume

    def log_prob(
        self, x: ArrayLike, labels: Labels = None, seed: Seed = 0, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """log P(x) in nats, float32 `[N]`, by the change of variables.

        Vectors have their exact density. For images P is the probability of their pixels of `num_bits` bits: bounded,
        in expectation over the noise of dequantization, which the seed fixes. Floats in [0, 1] are taken as the nearest
        8-bit pixels.
        """
        x = self.modality.check(x)
        labels = self.check_labels(labels, len(x))
        seed = noise.check_seed(seed)

        def batch(start, stop):
            u = None if self.vectors else noise.uniform(start, stop, self.shape, seed).astype(np.float32)
            return [*rows(x, labels)(start, stop), u]

        return self.run(self.log_prob_step, len(x), batch, batch_size, verbose)

    def likelihood_protocol(self, settings: Any) -> tuple[Config, Config]:
        return {}, {"dequantization": self.dequantization}
