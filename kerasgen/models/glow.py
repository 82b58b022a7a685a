"""Glow (Kingma and Dhariwal 2018, "Glow: generative flow with invertible 1x1 convolutions")."""

import keras

from kerasgen import inputs
from kerasgen.bijectors import ActNorm, GaussianPrior, Invertible, InvertibleConv1x1, MultiScale, Split, Squeeze
from kerasgen.errors import InputError
from kerasgen.models.flow import Flow


@keras.saving.register_keras_serializable("kerasgen")
class Glow(Flow):
    """Levels of squeeze, steps of flow and split; a step is ActNorm, an invertible 1x1 convolution and a coupling.

    Half of the channels leave at each level but the last, with a learned prior (`Split`); what is left has one too
    (`GaussianPrior`). With classes both priors depend on the label.

    Args:
        image_shape: `(height, width, channels)`; height and width must be divisible by 2^levels.
        levels: L of the paper.
        steps: K of the paper, steps of flow at each level; or a list of `levels` integers, the finest level first.
        network, width, coupling, num_bits, dequantization, num_classes, remat, seed: see `Flow`.
    """

    takes_vectors = False

    def __init__(
        self,
        image_shape=(32, 32, 3),
        levels=3,
        steps=8,
        network="conv",
        width=64,
        coupling="affine",
        num_bits=8,
        dequantization="uniform",
        num_classes=None,
        remat=False,
        seed=0,
        **kwargs,
    ):
        self.levels = inputs.check_integer("levels", levels, 1)
        steps = [steps] * self.levels if isinstance(steps, int) else list(steps)
        if len(steps) != self.levels:
            raise InputError(f"steps has {len(steps)} entries; expected an integer or one for each of {levels} levels.")
        self.steps = [inputs.check_integer("steps", number, 1) for number in steps]
        super().__init__(
            image_shape, network, width, coupling, num_bits, dequantization, num_classes, remat, seed, **kwargs
        )

    def make_flow(self):
        height, width, _ = shape = self.image_shape
        if height % 2**self.levels or width % 2**self.levels:
            raise InputError(
                f"images of {height} x {width} cannot be squeezed {self.levels} times: both sides must be divisible by "
                f"{2**self.levels}. Use fewer levels, or pad or resize the images."
            )
        levels, splits = [], []
        for level in range(1, self.levels + 1):
            chain = [Squeeze(shape, name=f"level_{level}_squeeze")]
            shape = chain[0].latent_shape
            for step in range(1, self.steps[level - 1] + 1):
                chain.append(self.make_step(shape, level, step))
            if level == self.levels:
                chain.append(GaussianPrior(shape, self.num_classes, name="prior"))
            else:
                splits.append(
                    Split(shape, self.num_classes, network_dtype=self.dtype_policy, name=f"level_{level}_split")
                )
                shape = splits[-1].kept_shape
            levels.append(Invertible(chain, self.remat, name=f"level_{level}"))
        return MultiScale(levels, splits, name="flow")

    def make_step(self, shape, level, step):
        """One step of flow (section 3, figure 2a)."""
        name = f"level_{level}_step_{step}"
        bijectors = [
            ActNorm(shape, name=f"{name}_act_norm"),
            InvertibleConv1x1(shape, seed=(self.seed, level, step), name=f"{name}_invertible_conv"),
            self.make_coupling(shape, f"{name}_coupling", width=self.width * min(2 ** (level - 1), 4)),
        ]
        return Invertible(bijectors, name=name)

    def get_config(self):
        return super().get_config() | {"levels": self.levels, "steps": self.steps}
