"""Image-to-image translation learnt without pairs (Zhu et al. 2017, "CycleGAN")."""

import keras
from keras import ops

from kerasgen import backend, inputs, networks
from kerasgen.errors import InputError
from kerasgen.gans.translator import Translator, distance, of_patches

DIRECTIONS = ("a_to_b", "b_to_a")
EMPTY = 2.0  # in every place of a pool that holds no image yet; images are in [-1, 1]


class ImagePool:
    """Fake images of earlier steps, for the discriminator to see with new ones (Shrivastava et al. 2017, section 2.3).

    The images are variables of the optimizer: they belong to the training, are saved and resumed with it, and are no
    part of the model. Under a TensorFlow strategy they are those of the first replica.

    Args:
        optimizer: that keeps them.
        size: number of images.
        image_shape: `(height, width, channels)`.
        name: of the variable.
    """

    def __init__(self, optimizer, size, image_shape, name):
        self.size = size
        self.images = optimizer.add_variable(
            (size, *image_shape),
            initializer=keras.initializers.Constant(EMPTY),
            dtype="float32",
            aggregation="only_first_replica",
            name=name,
        )

    def mixed(self, fake, start, coins):
        """What the discriminator is to see for `fake` `[B, H, W, C]`, of the same shape; the pool changes.

        Each image meets one place of the pool, the first one place `start`, and so on around. Is that empty, the image
        is kept there and returned. Else, where its coin falls below 1/2, the one in the place is returned and the
        new one kept instead; images beyond the size of the pool are returned as they are.

        Args:
            fake: new images in [-1, 1].
            start: an integer in [0, size).
            coins: `[B]` in [0, 1).
        """
        num = ops.shape(fake)[0]
        pool = ops.convert_to_tensor(self.images)
        index = ops.arange(num)
        place = (start + index) % self.size  # of each image
        met = ops.take(pool, place, axis=0)
        empty = met[:, 0, 0, 0] == EMPTY
        swap = ops.logical_and(coins < 0.5, ops.logical_not(empty))
        inside = index < self.size
        shown = ops.where(ops.logical_and(swap, inside)[:, None, None, None], met, fake)
        kept = ops.logical_or(swap, empty)
        image = (ops.arange(self.size) - start) % self.size  # that each place meets, if there are so many
        there = image < num
        image = ops.minimum(image, num - 1)
        replaced = ops.logical_and(there, ops.take(kept, image))
        self.images.assign(ops.where(replaced[:, None, None, None], ops.take(fake, image, axis=0), pool))
        return shown


@keras.saving.register_keras_serializable("kerasgen")
class CycleGAN(Translator):
    """Two generators between kinds of images, a and b, with a discriminator for each kind.

    The generators minimise what the loss says for both, plus `cycle_weight` times |F(G(a)) - a| + |G(F(b)) - b|
    (equations 2 and 3) and `identity_weight` times |G(b) - b| + |F(a) - a| (section 5.2), G from a to b and F from b to
    a, images in [-1, 1]; discriminators see their fakes by way of a pool of earlier ones, and have half the loss.

    Args:
        image_shape: `(height, width, channels)` of both kinds.
        generator: a dictionary with the name of a class in `kerasgen.networks.TRANSLATORS` as "class" and arguments of
            it, for both; or a pair of such or of Keras layers from images to images, in [-1, 1], the first from a to b.
        discriminator: likewise, in `kerasgen.networks.PATCH_DISCRIMINATORS`, to logits `[B, h, w]` or `[B]`; of a pair
            the first is that of a.
        loss: "non_saturating", "least_squares", "hinge" or "wasserstein", or a `kerasgen.gans.losses.GameLoss`.
        cycle_weight, identity_weight: of these distances.
        pool_size: earlier fakes kept for each discriminator; 0 for none.
        seed: of the noise drawn in training.
    """

    loss_names = (
        "discriminator_loss",
        "generator_loss",
        "cycle_distance",
        "identity_distance",
        "real_logit",
        "fake_logit",
        "discriminator_gradient_norm",
        "generator_gradient_norm",
    )

    def __init__(
        self,
        image_shape=(64, 64, 3),
        generator=None,
        discriminator=None,
        loss="least_squares",
        cycle_weight=10.0,
        identity_weight=5.0,
        pool_size=50,
        seed=0,
        **kwargs,
    ):
        super().__init__(image_shape, None, loss, seed, **kwargs)
        self.cycle_weight = inputs.check_number("cycle_weight", cycle_weight, 0.0)
        self.identity_weight = inputs.check_number("identity_weight", identity_weight, 0.0)
        self.pool_size = inputs.check_integer("pool_size", pool_size, 0)
        self._pools = None
        self._network_arguments = [generator or {"class": "Residual"}, discriminator or {"class": "Patch"}]
        generators, discriminators = (
            argument if isinstance(argument, (list, tuple)) else [argument] * 2 for argument in self._network_arguments
        )
        for role, pair in (("generator", generators), ("discriminator", discriminators)):
            if len(pair) != 2 or (pair[0] is pair[1] and not isinstance(pair[0], dict)):
                raise InputError(f"{role} is for one kind alone; expected a dictionary with a class, or a pair.")
        shape, dtype = self.image_shape, self.dtype_policy
        self.generator_a_to_b, self.generator_b_to_a = (
            networks.translator(argument, shape, shape, dtype, name=f"generator_{direction}")
            for argument, direction in zip(generators, DIRECTIONS, strict=True)
        )
        self.discriminator_a, self.discriminator_b = (
            networks.patch_discriminator(argument, shape, dtype, name=f"discriminator_{kind}")
            for argument, kind in zip(discriminators, "ab", strict=True)
        )

    def get_config(self):
        made = (
            (self.generator_a_to_b, self.generator_b_to_a),
            (self.discriminator_a, self.discriminator_b),
        )
        generator, discriminator = (
            [networks.serialize(*both) for both in zip(pair, argument, strict=True)]
            if isinstance(argument, (list, tuple))
            else argument
            for pair, argument in zip(made, self._network_arguments, strict=True)
        )
        return super().get_config() | {
            "generator": generator,
            "discriminator": discriminator,
            "cycle_weight": self.cycle_weight,
            "identity_weight": self.identity_weight,
            "pool_size": self.pool_size,
        }

    # Training

    def player_variables(self, player):
        pair = {
            "generator": (self.generator_a_to_b, self.generator_b_to_a),
            "discriminator": (self.discriminator_a, self.discriminator_b),
        }[player]
        return [variable for network in pair for variable in network.trainable_variables]

    def compile(self, optimizer=None, **kwargs):
        super().compile(optimizer, **kwargs)
        if self.pool_size:
            self._pools = tuple(
                ImagePool(self.optimizer, self.pool_size, self.image_shape, f"pool_{kind}") for kind in "ab"
            )

    def images_of(self, generator, x, training=False):
        return ops.cast(generator(x, training=training), "float32")

    def logits_of(self, discriminator, x, training=False):
        return ops.cast(discriminator(x, training=training), "float32")

    def generator_losses(self, a, b, training=False):
        """`[B]`, the logs, and the fakes of both kinds."""
        forth, back = self.generator_a_to_b, self.generator_b_to_a
        fake_b, fake_a = self.images_of(forth, a, training), self.images_of(back, b, training)
        losses = sum(
            of_patches(self.loss_function.generator(self.logits_of(network, fake, training)))
            for network, fake in ((self.discriminator_a, fake_a), (self.discriminator_b, fake_b))
        )
        cycle = distance(a, self.images_of(back, fake_b, training))
        cycle = cycle + distance(b, self.images_of(forth, fake_a, training))
        losses = losses + self.cycle_weight * cycle
        logs = {"cycle_distance": cycle}
        if self.identity_weight:
            identity = distance(a, self.images_of(back, a, training))
            identity = identity + distance(b, self.images_of(forth, b, training))
            losses = losses + self.identity_weight * identity
            logs["identity_distance"] = identity
        return losses, logs | {"generator_loss": losses}, (fake_a, fake_b)

    def discriminator_losses(self, real, fakes, training=False):
        """`[B]`, of both kinds together, and the logs."""
        logits = [
            tuple(self.logits_of(network, x, training) for x in pair)
            for network, *pair in zip((self.discriminator_a, self.discriminator_b), real, fakes, strict=True)
        ]
        losses = sum(0.5 * of_patches(self.loss_function.discriminator(*pair)) for pair in logits)
        real_logit, fake_logit = (0.5 * (of_patches(a) + of_patches(b)) for a, b in zip(*logits, strict=True))
        return losses, {"discriminator_loss": losses, "real_logit": real_logit, "fake_logit": fake_logit}

    def pooled(self, fakes):
        """The fakes of both kinds that discriminators see."""
        if self._pools is None:
            return fakes
        draws = [
            (
                keras.random.randint((), 0, self.pool_size, seed=self.seed_generator),
                keras.random.uniform((ops.shape(fake)[0],), seed=self.seed_generator),
            )
            for fake in fakes
        ]
        return tuple(pool.mixed(fake, *drawn) for pool, fake, drawn in zip(self._pools, fakes, draws, strict=True))

    @backend.train_step
    def train_step(self, data):
        a, b = self.unpack(data)

        def generator_loss():
            losses, logs, fakes = self.generator_losses(a, b, training=True)
            return ops.mean(losses), logs | {"fakes": fakes}

        logs = self.move("generator", generator_loss)
        fakes = self.pooled(tuple(ops.stop_gradient(fake) for fake in logs.pop("fakes")))

        def discriminator_loss():
            losses, logs = self.discriminator_losses((a, b), fakes, training=True)
            return ops.mean(losses), logs

        logs |= self.move("discriminator", discriminator_loss)
        self.optimizer.iterations.assign_add(1)
        return self.update_metrics(**logs)

    @backend.test_step
    def test_step(self, data):
        a, b = self.unpack(data)
        _, logs, fakes = self.generator_losses(a, b)
        return self.update_metrics(**logs | self.discriminator_losses((a, b), fakes)[1])

    # Translation

    def a_to_b_step(self, images):
        return self.translated(self.generator_a_to_b, images)

    def b_to_a_step(self, images):
        return self.translated(self.generator_b_to_a, images)

    def translate(self, x, direction="a_to_b", batch_size=64, verbose="auto"):
        """Images `[N, H, W, C]` of one kind as those of the other: float32 in [0, 1].

        Args:
            x: images.
            direction: "a_to_b" or "b_to_a", a being the first argument of `fit`.
            batch_size: images at once.
            verbose: "auto", 0 or 1, for a progress bar.
        """
        inputs.check_choice("direction", direction, DIRECTIONS)
        return self.run_on(getattr(self, f"{direction}_step"), x, self.image_shape, batch_size, verbose)
