"""The optimizer that a recipe asks for."""

import dataclasses
from typing import Any

import keras

from kerasgen.recipes import Training

OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}


def learning_rate(training: Training, num_steps: int) -> Any:
    """A constant or cosine schedule over `num_steps`, after a linear warm-up from zero."""
    if training.schedule == "constant" and not training.warmup_steps:
        return training.learning_rate
    warmup = training.warmup_steps
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else training.learning_rate,
        decay_steps=max(num_steps - warmup, 1),
        alpha=1.0 if training.schedule == "constant" else 0.0,
        warmup_target=training.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def optimizer(training: Training, num_steps: int) -> keras.optimizers.Optimizer:
    """A Keras optimizer from the `[training]` table of a recipe."""
    arguments: dict[str, Any] = {"beta_1": training.beta_1, "beta_2": training.beta_2}
    arguments |= {"global_clipnorm": training.clip_norm, "name": "optimizer"}
    if training.ema_momentum is not None:
        arguments |= {"use_ema": True, "ema_momentum": training.ema_momentum}
    if training.weight_decay:
        arguments["weight_decay"] = training.weight_decay
    return OPTIMIZERS[training.optimizer](learning_rate(training, num_steps), **arguments)


def optimizer_of(model: Any, training: Training, num_steps: int) -> keras.optimizers.Optimizer:
    """The optimizer for a model: that of the recipe, or several if the family has several networks that take turns.

    A discriminator takes more steps, has a learning rate of its own, if the recipe says so, and is not averaged.
    """

    def make(player: str | None = None, steps: int = 1) -> keras.optimizers.Optimizer:
        if player is None:
            return optimizer(training, num_steps)
        rate = training.discriminator_learning_rate or training.learning_rate
        return optimizer(dataclasses.replace(training, learning_rate=rate, ema_momentum=None), num_steps * steps)

    return model.optimizer_from(make)
