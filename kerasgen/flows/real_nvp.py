"""RealNVP (Dinh et al. 2017, "Density estimation using Real NVP")."""

from kerasgen import inputs
from kerasgen.base import RowSettings, register_family
from kerasgen.errors import InputError
from kerasgen.flows.bijectors import ActNorm, Bijector, GaussianPrior, Invertible, Logit, MultiScale, Split, Squeeze
from kerasgen.flows.flow import Flow
from kerasgen.modalities import Vectors, modality_of
from kerasgen.typing import Any, Shape


@register_family
class RealNVP(Flow):
    """Coupling layers with alternating masks, at several scales for images; one chain for vectors.

    A scale of images is `steps` couplings with checkerboard masks, a squeeze, `steps` couplings with channel masks, and
    a split; the last scale is `steps + 1` checkerboard couplings (section 3.6). Images go through a logit first
    (section 4.1). Vectors go through `steps` couplings that change every other feature in turn. ActNorm stands after
    each coupling where the paper has batch normalization: it does the same for training, and the density of an image
    does not depend on others.

    Args:
        shape: `(height, width, channels)`, both sides divisible by 2^(scales - 1), or `(features,)`.
        scales: of images.
        steps: couplings, see above.
        network: "conv" for images and "dense" for vectors if `None`; else, as width, coupling, num_bits,
            dequantization, equalize, remat and seed, see `Flow`.
    """

    def __init__(
        self,
        shape: Shape = (28, 28, 1),
        scales: int = 2,
        steps: int = 3,
        network: Any = None,
        width: int = 32,
        coupling: str = "affine",
        num_bits: int = 8,
        dequantization: str = "uniform",
        equalize: bool = False,
        remat: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ):
        self.scales = inputs.check_integer("scales", scales, 1)
        self.steps = inputs.check_integer("steps", steps, 1)
        if network is None:
            network = "dense" if isinstance(modality_of(shape, self.modalities), Vectors) else "conv"
        shared = (network, width, coupling, num_bits, dequantization, equalize, None, remat, seed)
        super().__init__(shape, *shared, **kwargs)

    @classmethod
    def for_rows(cls, num_columns: int) -> RowSettings:
        return RowSettings({"steps": 4, "width": 64}, "likelihood", 0.5, preferred=True)

    def make_flow(self) -> Bijector:
        if self.vectors:
            if self.equalize:
                raise InputError("equalize=True is for images: vectors have no histogram of pixel values.")
            chain = self.make_couplings(self.shape, "steps", self.steps, "checkerboard", 1)
            return Invertible([ActNorm(self.shape, name="input_act_norm"), *chain], self.remat, name="flow")
        height, width, _ = shape = self.shape
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

    def make_couplings(self, shape: tuple, name: str, number: int, mask: str, level: int) -> list[Bijector]:
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
