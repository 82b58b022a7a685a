"""The optimizer that a recipe asks for."""

import dataclasses

import keras

from kerasgen.gans.optimizer import Players

OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}


def learning_rate(training, num_steps):
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


def optimizer(training, num_steps):
    """A Keras optimizer from the `[training]` table of a recipe."""
    arguments = {"beta_1": training.beta_1, "beta_2": training.beta_2}
    arguments |= {"global_clipnorm": training.clip_norm, "name": "optimizer"}
    if training.ema_momentum is not None:
        arguments |= {"use_ema": True, "ema_momentum": training.ema_momentum}
    if training.weight_decay:
        arguments["weight_decay"] = training.weight_decay
    return OPTIMIZERS[training.optimizer](learning_rate(training, num_steps), **arguments)


def game_optimizer(training, num_steps, discriminator_steps):
    """The two optimizers of a GAN that takes `num_steps` steps; the generator's weights are averaged, if any."""
    rate = training.discriminator_learning_rate or training.learning_rate
    discriminator = dataclasses.replace(training, learning_rate=rate, ema_momentum=None)
    return Players(optimizer(training, num_steps), optimizer(discriminator, num_steps * discriminator_steps))
