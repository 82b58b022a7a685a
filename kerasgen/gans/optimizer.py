"""The optimizers of the two players of a game as one, which Keras saves and restores."""

import keras
from keras import ops

from kerasgen import backend
from kerasgen.errors import InputError


@keras.saving.register_keras_serializable("kerasgen")
class Players(keras.optimizers.MultiOptimizer):
    """A `keras.optimizers.MultiOptimizer` that tells variables apart by the player that owns them, not by their paths.

    `GAN` steps one player at a time, by that player's optimizer.

    Args:
        generator, discriminator: Keras optimizers.
    """

    def __init__(self, generator, discriminator, name="optimizer"):
        super().__init__(self._owner, name=name)
        self._theirs = frozenset()  # ids of the discriminator's variables
        self.generator, self.discriminator = (
            type(optimizer).from_config(optimizer.get_config() | {"name": player})
            for player, optimizer in (("generator", generator), ("discriminator", discriminator))
        )

    def _owner(self, variable):
        return self.discriminator if id(variable) in self._theirs else self.generator

    def seat(self, generator, discriminator):
        """Says whose the variables are, and builds both optimizers on them."""
        self._theirs = frozenset(id(variable) for variable in discriminator)
        self.build([*generator, *discriminator])

    def get_config(self):
        return {
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {key: keras.saving.deserialize_keras_object(config[key]) for key in ("generator", "discriminator")}
        return cls(**config | parts)


class Game:
    """Mixed into a model whose parts, named "generator" and "discriminator", play against each other."""

    discriminator_steps = 1  # to each step of the generator

    def check_precision(self):
        """Raises `InputError` for mixed_float16."""
        if self.dtype_policy.name == "mixed_float16":
            raise InputError(
                f"a {type(self).__name__} has two optimizers, which the loss scaling of mixed_float16 does not reach; "
                "use mixed_bfloat16."
            )

    def player_variables(self, player):
        """The weights that a player moves."""
        return getattr(self, player).trainable_variables

    def compile(self, optimizer=None, **kwargs):
        """As for any model; `optimizer` is a `kerasgen.models.Players`, or `None` for the default."""
        if optimizer is not None and not isinstance(optimizer, Players):
            raise InputError(
                f"optimizer is a {type(optimizer).__name__}; the players have one each: "
                "give kerasgen.models.Players(generator=..., discriminator=...)."
            )
        optimizer = self.default_optimizer() if optimizer is None else optimizer
        optimizer.seat(*(self.player_variables(player) for player in ("generator", "discriminator")))
        super().compile(optimizer, **kwargs)

    def move(self, player, loss):
        """One optimizer step of a player on `loss() -> (scalar, logs)`: the logs, and its gradient's norm."""
        variables = self.player_variables(player)
        (_, logs), gradients = backend.value_and_grad(loss, variables)
        backend.apply_gradients(getattr(self.optimizer, player), gradients, variables)
        squares = [ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in gradients]
        return logs | {f"{player}_gradient_norm": ops.sqrt(sum(squares))}
