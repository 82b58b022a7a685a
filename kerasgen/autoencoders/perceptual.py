"""Training with a perceptual distance beside the family's own loss."""

import types

from kerasgen import inputs
from kerasgen.base import BaseModel
from kerasgen.errors import InputError
from kerasgen.typing import Any, Callable, Tensor


class PerceptualModel(BaseModel):
    """A model whose losses may have a distance in what a classifier sees, which stays sharp."""

    _perceptual = types.SimpleNamespace(distance=None, weight=0.0)  # in which Keras looks for no layers

    def compile(
        self, optimizer: Any = None, perceptual: Callable | None = None, perceptual_weight: float = 100.0, **kwargs: Any
    ) -> None:
        """As for any model.

        Args:
            perceptual: a function of x and x', images in [0, 1], to distances `[B]`, such as a `PerceptualDistance`,
                which joins the loss; it is not saved with the model.
            perceptual_weight: of that distance, beside the squared error summed over pixels.
        """
        if perceptual is not None and not callable(perceptual):
            raise InputError(f"perceptual is {perceptual!r}; expected a PerceptualDistance, or another function.")
        weight = inputs.check_number("perceptual_weight", perceptual_weight, 0.0)
        self._perceptual = types.SimpleNamespace(distance=perceptual, weight=weight)
        super().compile(optimizer, **kwargs)

    def with_perceptual(self, losses: Tensor, target: Tensor, images: Tensor) -> Tensor:
        """`losses` `[B]` and the distance of images from their targets, if there is one."""
        if self._perceptual.distance is None:
            return losses
        return losses + self._perceptual.weight * self._perceptual.distance(target, images)
