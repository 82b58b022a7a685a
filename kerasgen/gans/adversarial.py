"""`AdversarialModel`: a generator and a discriminator that train against each other."""

import keras
from keras import ops

from kerasgen import backend
from kerasgen.base import BaseModel
from kerasgen.errors import InputError
from kerasgen.gans.optimizer import GANOptimizer
from kerasgen.typing import Any, Callable, Logs, Tensor


class AdversarialModel(BaseModel):
    """A model whose parts "generator" and "discriminator" have a loss and an optimizer each."""

    loss_names: tuple[str, ...] = (
        *("discriminator_loss", "generator_loss", "real_logit", "fake_logit"),
        *("discriminator_gradient_norm", "generator_gradient_norm"),
    )
    discriminator_steps = 1  # to each step of the generator

    def player_variables(self, player: str) -> list:
        """The weights that the "generator" or the "discriminator" learns."""
        return getattr(self, player).trainable_variables

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """As for any model.

        Args:
            optimizer: a `kerasgen.GANOptimizer`; a Keras optimizer, of which both networks get a copy; or `None` for
                the default.

        Raises `InputError`: its layers compute in float16.
        """
        if self.dtype_policy.name == "mixed_float16":
            raise InputError(
                f"a {type(self).__name__} has two optimizers, which the loss scaling of mixed_float16 does not reach; "
                "train it with mixed_bfloat16."
            )
        optimizer = self.default_optimizer() if optimizer is None else optimizer
        if not isinstance(optimizer, GANOptimizer):
            optimizer = GANOptimizer(optimizer, optimizer)
        optimizer.build_for(*(self.player_variables(player) for player in ("generator", "discriminator")))
        super().compile(optimizer, **kwargs)

    def optimizer_from(self, make: Callable[..., keras.optimizers.Optimizer]) -> GANOptimizer:
        return GANOptimizer(make(), make("discriminator", self.discriminator_steps))

    def minimize_player(self, player: str, loss: Callable[[], tuple[Tensor, dict]]) -> Logs:
        """One optimizer step of a player on `loss() -> (scalar, logs)`: the logs, and its gradient's norm."""
        variables = self.player_variables(player)
        (_, logs), gradients = backend.value_and_grad(loss, variables)
        gradients = backend.apply_gradients(getattr(self.optimizer, player), gradients, variables)
        squares = [ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in gradients]
        return logs | {f"{player}_gradient_norm": ops.sqrt(sum(squares))}
