"""Glow (Kingma and Dhariwal 2018, "Glow: generative flow with invertible 1x1 convolutions")."""

from kerasgen import inputs
from kerasgen.base import register_family
from kerasgen.errors import InputError
from kerasgen.flows.bijectors import (
    ActNorm,
    Bijector,
    ConditionalSplit,
    GaussianPrior,
    Haar,
    Invertible,
    InvertibleConv1x1,
    MultiScale,
    Split,
    Squeeze,
)
from kerasgen.flows.flow import Flow
from kerasgen.modalities import Images
from kerasgen.typing import Any, Sequence, Shape

SQUEEZES = ("blocks", "haar")


@register_family
class Glow(Flow):
    """Levels of squeeze, steps of flow and split; a step is ActNorm, an invertible 1x1 convolution and a coupling.

    Half of the channels leave at each level but the last, with a learned prior (`Split`); what is left has one too
    (`GaussianPrior`). With classes both priors depend on the label.

    Args:
        shape: `(height, width, channels)`; height and width must be divisible by 2^levels.
        levels: L of the paper.
        steps: K of the paper, steps of flow at each level; or a list of `levels` integers, the finest level first.
        squeeze: "blocks", as above, or "haar" (Yu et al. 2020, "Wavelet flow"), which splits 2 x 2 blocks into averages
            and differences. The differences leave at once, through steps of flow that read the averages; the averages,
            an image of half the size, go on. The last level models both. The coarse levels learn independently of the
            details, and faster.
        network, width, coupling, num_bits, dequantization, equalize, num_classes, remat, seed: see `Flow`.
        split: the convolution of the prior of what leaves: "linear", or "padded_linear" (`bijectors.Split`).
    """

    modalities = (Images,)

    def __init__(
        self,
        shape: Shape = (32, 32, 3),
        levels: int = 3,
        steps: int | Sequence[int] = 8,
        squeeze: str = "blocks",
        network: Any = "conv",
        width: int = 64,
        coupling: str = "affine",
        num_bits: int = 8,
        dequantization: str = "uniform",
        equalize: bool = False,
        num_classes: int | None = None,
        remat: bool = False,
        seed: int = 0,
        split: str = "linear",
        **kwargs: Any,
    ):
        self.levels = inputs.check_integer("levels", levels, 1)
        steps = [steps] * self.levels if isinstance(steps, int) else list(steps)
        if len(steps) != self.levels:
            raise InputError(f"steps has {len(steps)} entries; expected an integer or one for each of {levels} levels.")
        self.squeeze = inputs.check_choice("squeeze", squeeze, SQUEEZES)
        if equalize and squeeze == "haar":
            raise InputError("equalize=True is for squeeze='blocks': averages of equalized pixels are no image.")
        self.split = split
        if squeeze == "haar" and split != "linear":
            raise InputError(f"split={split!r} is for squeeze='blocks': wavelets leave by steps of flow.")
        self.steps = [inputs.check_integer("steps", number, 1) for number in steps]
        shared = (network, width, coupling, num_bits, dequantization, equalize, num_classes, remat, seed)
        super().__init__(shape, *shared, **kwargs)

    def make_flow(self) -> Bijector:
        height, width, _ = shape = self.shape
        if height % 2**self.levels or width % 2**self.levels:
            raise InputError(
                f"images of {height} x {width} cannot be squeezed {self.levels} times: both sides must be divisible by "
                f"{2**self.levels}. Use fewer levels, or pad or resize the images."
            )
        make_level = self.make_haar_level if self.squeeze == "haar" else self.make_level
        levels = []
        for level in range(1, self.levels + 1):
            levels.append(make_level(shape, level))
            shape = levels[-1].latent_shape[0]
        return MultiScale(levels, name="flow")

    def make_level(self, shape: tuple, level: int) -> Bijector:
        """Squeeze, steps of flow, and a split or, at the last level, the prior (section 3, figure 2b)."""
        name = f"level_{level}"
        start = [*(self.make_equalization() if level == 1 else []), Squeeze(shape, name=f"{name}_squeeze")]
        shape = start[-1].latent_shape
        if level == self.levels:
            end = GaussianPrior(shape, self.num_classes, name="prior")
        else:
            settings = {"network": self.split, "network_dtype": self.dtype_policy}
            end = Split(shape, self.num_classes, **settings, name=f"{name}_split")
        return Invertible([*start, *self.make_steps(shape, level), end], self.remat, name=name)

    def make_haar_level(self, shape: tuple, level: int) -> Bijector:
        """Averages and details; the details leave through steps of flow that read the averages."""
        name = f"level_{level}"
        haar, channels = Haar(shape, name=f"{name}_haar"), shape[-1]
        if level == self.levels:
            prior = GaussianPrior(haar.latent_shape, self.num_classes, name="prior")
            return Invertible([haar, *self.make_steps(haar.latent_shape, level), prior], self.remat, name=name)
        details = (*haar.latent_shape[:2], 3 * channels)
        steps = self.make_steps(details, level, context_channels=channels + (self.num_classes or 0))
        prior = GaussianPrior(details, name=f"{name}_prior")
        flow = Invertible([*steps, prior], self.remat, name=f"{name}_details")
        split = ConditionalSplit(haar.latent_shape, channels, flow, self.num_classes, name=f"{name}_split")
        return Invertible([haar, split], name=name)

    def make_steps(self, shape: tuple, level: int, context_channels: int = 0) -> list[Bijector]:
        """Steps of flow: ActNorm, invertible 1x1 convolution, coupling (section 3, figure 2a)."""
        steps = []
        for step in range(1, self.steps[level - 1] + 1):
            name = f"level_{level}_step_{step}"
            width = self.width * min(2 ** (level - 1), 4)
            bijectors = [
                ActNorm(shape, name=f"{name}_act_norm"),
                InvertibleConv1x1(shape, seed=(self.seed, level, step), name=f"{name}_invertible_conv"),
                self.make_coupling(shape, f"{name}_coupling", width=width, context_channels=context_channels),
            ]
            steps.append(Invertible(bijectors, name=name))
        return steps
