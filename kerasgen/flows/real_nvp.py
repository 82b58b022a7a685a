"""RealNVP (Dinh et al. 2017, "Density estimation using Real NVP")."""

import keras

from kerasgen import inputs
from kerasgen.flows.bijectors import ActNorm, GaussianPrior, Invertible, Logit, MultiScale, Split, Squeeze
from kerasgen.errors import InputError
from kerasgen.flows.flow import Flow


@keras.saving.register_keras_serializable("kerasgen")
class RealNVP(Flow):
    """Coupling layers with alternating masks, at several scales for images; one chain for vectors.

    A scale of images is `steps` couplings with checkerboard masks, a squeeze, `steps` couplings with channel masks, and
    a split; the last scale is `steps + 1` checkerboard couplings (section 3.6). Images go through a logit first
    (section 4.1). Vectors go through `steps` couplings that change every other feature in turn. ActNorm stands after
    each coupling where the paper has batch normalization: it does the same for training, and the density of an image
    does not depend on others.

    Args:
        image_shape: `(height, width, channels)`, both sides divisible by 2^(scales - 1), or `(features,)`.
        scales: of images.
        steps: couplings, see above.
        network: "conv" for images and "dense" for vectors if `None`; else, as width, coupling, num_bits,
            dequantization, equalize, remat and seed, see `Flow`.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        scales=2,
        steps=3,
        network=None,
        width=32,
        coupling="affine",
        num_bits=8,
        dequantization="uniform",
        equalize=False,
        remat=False,
        seed=0,
        **kwargs,
    ):
        self.scales = inputs.check_integer("scales", scales, 1)
        self.steps = inputs.check_integer("steps", steps, 1)
        if network is None:
            network = "dense" if len(inputs.check_event_shape(image_shape)) == 1 else "conv"
        super().__init__(
            image_shape, network, width, coupling, num_bits, dequantization, equalize, None, remat, seed, **kwargs
        )

    def make_flow(self):
        if self.vectors:
            if self.equalize:
                raise InputError("equalize=True is for images: vectors have no histogram of pixel values.")
            chain = self.make_couplings(self.image_shape, "steps", self.steps, "checkerboard", 1)
            return Invertible([ActNorm(self.image_shape, name="input_act_norm"), *chain], self.remat, name="flow")
        height, width, _ = shape = self.image_shape
        if height % 2 ** (self.scales - 1) or width % 2 ** (self.scales - 1):
            raise InputError(
                f"images of {height} x {width} cannot be squeezed {self.scales - 1} times: both sides must be "
                f"divisible by {2 ** (self.scales - 1)}. Use fewer scales, or pad or resize the images."
            )
        levels = []
        for scale in range(1, self.scales + 1):
            last = scale == self.scales
            chain = []
            if scale == 1:
                start = self.make_equalization() or [Logit(shape, name="logit")]
                chain = [*start, ActNorm(shape, name="input_act_norm")]
            name = f"scale_{scale}"
            chain += self.make_couplings(shape, f"{name}_checkerboard", self.steps + last, "checkerboard", scale)
            if last:
                chain.append(GaussianPrior(shape, name="prior"))
            else:
                chain.append(Squeeze(shape, name=f"{name}_squeeze"))
                shape = chain[-1].latent_shape
                chain += self.make_couplings(shape, f"{name}_channel", self.steps, "channel", scale + 1)
                chain.append(Split(shape, network_dtype=self.dtype_policy, name=f"{name}_split"))
                shape = chain[-1].kept_shape
            levels.append(Invertible(chain, self.remat, name=name))
        return MultiScale(levels, name="flow")

    def make_couplings(self, shape, name, number, mask, level):
        """Couplings that change one part and the other in turn, each with an ActNorm after it."""
        chain = []
        for index in range(1, number + 1):
            width = self.width * min(2 ** (level - 1), 4)
            arguments = {"width": width, "mask": mask, "swap": index % 2 == 0}
            chain += [
                self.make_coupling(shape, f"{name}_{index}", **arguments),
                ActNorm(shape, name=f"{name}_{index}_act_norm"),
            ]
        return chain

    def get_config(self):
        config = super().get_config() | {"scales": self.scales, "steps": self.steps}
        del config["num_classes"]
        return config
