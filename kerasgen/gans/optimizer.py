"""The optimizers of generator and discriminator as one, which Keras saves and restores."""

import keras

from kerasgen.base.averaging import warm_up
from kerasgen.typing import Any, Config, Self


@keras.saving.register_keras_serializable("kerasgen", "Players")  # the name in saved models
class GANOptimizer(keras.optimizers.MultiOptimizer):
    """A `keras.optimizers.MultiOptimizer` that tells variables apart by the network that owns them, not by their paths.

    A training step minimizes the loss of one network at a time, by that network's optimizer.

    Args:
        generator, discriminator: Keras optimizers, or names of such; each is copied.
    """

    def __init__(self, generator: Any, discriminator: Any, name: str = "optimizer"):
        super().__init__(self._owner, name=name)
        self._discriminator_ids: frozenset[int] = frozenset()  # of its variables
        self.generator, self.discriminator = (
            warm_up(type(optimizer).from_config(optimizer.get_config() | {"name": player}))
            for player, optimizer in (
                ("generator", keras.optimizers.get(generator)),
                ("discriminator", keras.optimizers.get(discriminator)),
            )
        )

    def _owner(self, variable):
        return self.discriminator if id(variable) in self._discriminator_ids else self.generator

    def build_for(self, generator: list, discriminator: list) -> None:
        """Says whose the variables are, and builds both optimizers on them."""
        self._discriminator_ids = frozenset(id(variable) for variable in discriminator)
        self.build([*generator, *discriminator])

    def load_own_variables(self, store: Any) -> None:
        """Its own alone: the players load theirs."""
        for index, variable in enumerate(self._variables):
            variable.assign(store[f"{index}"])

    def get_config(self) -> Config:
        return {
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: Any = None) -> Self:
        parts = {key: keras.saving.deserialize_keras_object(config[key]) for key in ("generator", "discriminator")}
        return cls(**config | parts)
