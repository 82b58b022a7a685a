"""Image-to-image translation learnt without pairs (Zhu et al. 2017, "CycleGAN")."""

import functools

import keras
import numpy as np
from keras import ops

from kerasgen import backend, inputs
from kerasgen.base import SAMPLED, Exhibit, register_family
from kerasgen.errors import InputError
from kerasgen.export import Part
from kerasgen.gans.translator import Translator, distance, mean_over_patches
from kerasgen.networks import resolve
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, ArrayLike, Callable, Logs, Shape, Tensor, Verbose

DIRECTIONS = ("a_to_b", "b_to_a")
SHOWN = 12  # images of each kind in an exhibit
EMPTY = 2.0  # in every place of a pool that holds no image yet; images are in [-1, 1]


class ImagePool:
    """Keeps fakes of earlier steps, which the discriminator sees with new ones (Shrivastava et al. 2017, section 2.3).

    The images are variables of the optimizer: it saves and resumes them, and the model's checkpoint leaves them out.
    Under a TensorFlow strategy each replica keeps the same ones, of the global batch.

    Args:
        optimizer: keeps the images.
        size: number of images.
        shape: `(height, width, channels)`.
        name: of the variable.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, size: int, shape: tuple[int, ...], name: str):
        self.size = size
        self.images = optimizer.add_variable(
            (size, *shape),
            initializer=keras.initializers.Constant(EMPTY),
            dtype="float32",
            aggregation="only_first_replica",
            name=name,
        )

    def exchange(self, fake: Tensor, start: Tensor, coins: Tensor) -> Tensor:
        """Returns what the discriminator sees in place of `fake` `[B, H, W, C]`, and changes the pool.

        Each image meets one place of the pool: the first image the place `start`, the next one the place after it, and
        so on around. An empty place keeps the image, which is also returned. At a full place a coin below 1/2 returns
        the old image and keeps the new one. Images beyond the size of the pool are returned as they are.

        Args:
            fake: new images in [-1, 1].
            start: an integer in [0, size).
            coins: `[B]` in [0, 1).
        """
        num = ops.shape(fake)[0]
        pool = ops.convert_to_tensor(self.images)
        index = ops.arange(num, dtype="int32")
        place = (start + index) % self.size  # of each image
        met = ops.take(pool, place, axis=0)
        empty = met[:, 0, 0, 0] == EMPTY
        swap = ops.logical_and(coins < 0.5, ops.logical_not(empty))
        inside = index < self.size
        shown = ops.where(ops.logical_and(swap, inside)[:, None, None, None], met, fake)
        kept = ops.logical_or(swap, empty)
        image = (ops.arange(self.size, dtype="int32") - start) % self.size  # that each place meets, if so many
        there = image < num
        image = ops.minimum(image, num - 1)
        replaced = ops.logical_and(there, ops.take(kept, image))
        self.images.assign(ops.where(replaced[:, None, None, None], ops.take(fake, image, axis=0), pool))
        return shown


@register_family
class CycleGAN(Translator):
    """G translates images of kind a to kind b, F those of kind b to kind a; each kind has a discriminator.

    G and F minimize both adversarial losses plus `cycle_weight` (|F(G(a)) - a| + |G(F(b)) - b|) (equations 2 and 3)
    plus `identity_weight` (|G(b) - b| + |F(a) - a|) (section 5.2), with images in [-1, 1]. The loss of the
    discriminators is halved; a pool of earlier fakes feeds them.

    Args:
        shape, seed: see `BaseModel`; both kinds have the shape.
        generator: a name in `kerasgen.networks.TRANSLATORS` or a dictionary with it as "class" and arguments, for both;
            or a pair of such or of Keras layers from images to images, in [-1, 1], the first one from a to b.
        discriminator: likewise, in `kerasgen.networks.PATCH_DISCRIMINATORS`, to logits `[B, h, w]` or `[B]`; the first
            of a pair is that of a.
        loss: "non_saturating", "least_squares", "hinge" or "wasserstein", or an `AdversarialLoss`.
        cycle_weight, identity_weight: of these distances.
        pool_size: earlier fakes kept for each discriminator; 0 for none.
    """

    loss_names = (*Translator.loss_names, "cycle_distance", "identity_distance")
    trains_on = "domains"

    def __init__(
        self,
        shape: Shape = (64, 64, 3),
        generator: Any = None,
        discriminator: Any = None,
        loss: Any = "least_squares",
        cycle_weight: float = 10.0,
        identity_weight: float = 5.0,
        pool_size: int = 50,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(shape, None, loss, seed, **kwargs)
        self.cycle_weight = inputs.check_number("cycle_weight", cycle_weight, 0.0)
        self.identity_weight = inputs.check_number("identity_weight", identity_weight, 0.0)
        self.pool_size = inputs.check_integer("pool_size", pool_size, 0)
        self._pools: Any = None
        shapes = (self.shape, self.shape)
        self.generator_a_to_b, self.generator_b_to_a = self._pair(
            "generator", generator or "residual", DIRECTIONS, resolve.translator, *shapes
        )
        self.discriminator_a, self.discriminator_b = self._pair(
            "discriminator", discriminator or "patch", "ab", resolve.patch_discriminator, self.shape
        )

    def _pair(self, role, argument, kinds, make, *shapes):
        """The two networks of a role, from one argument for both or one for each."""
        both = argument if isinstance(argument, (list, tuple)) else [argument] * 2
        if len(both) != 2 or (both[0] is both[1] and not resolve.named(both[0])):
            raise InputError(f"{role} is for one kind alone; expected a name, a dictionary with a class, or a pair.")
        made = [
            make(one, *shapes, self.dtype_policy, name=f"{role}_{kind}") for one, kind in zip(both, kinds, strict=True)
        ]
        given = [one if resolve.named(one) else network for one, network in zip(both, made, strict=True)]
        self.keep(**{role: argument if resolve.named(argument) else given})
        return made

    # Training

    def player_variables(self, player: str) -> list:
        pair = {
            "generator": (self.generator_a_to_b, self.generator_b_to_a),
            "discriminator": (self.discriminator_a, self.discriminator_b),
        }[player]
        return [variable for network in pair for variable in network.trainable_variables]

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        super().compile(optimizer, **kwargs)
        if self.pool_size:
            self._pools = tuple(ImagePool(self.optimizer, self.pool_size, self.shape, f"pool_{kind}") for kind in "ab")

    def generate(self, generator: Callable, x: Tensor, training: bool = False) -> Tensor:
        return ops.cast(generator(x, training=training), "float32")

    def logits(self, discriminator: Callable, x: Tensor, training: bool = False) -> Tensor:
        return ops.cast(discriminator(x, training=training), "float32")

    def generator_losses(self, a: Tensor, b: Tensor, training: bool = False) -> tuple:
        """`[B]`, the logs, and the fakes of both kinds."""
        forth, back = self.generator_a_to_b, self.generator_b_to_a
        fake_b, fake_a = self.generate(forth, a, training), self.generate(back, b, training)
        losses = sum(
            mean_over_patches(self.loss_function.generator(self.logits(network, fake, training)))
            for network, fake in ((self.discriminator_a, fake_a), (self.discriminator_b, fake_b))
        )
        cycle = distance(a, self.generate(back, fake_b, training))
        cycle = cycle + distance(b, self.generate(forth, fake_a, training))
        losses = losses + self.cycle_weight * cycle
        logs = {"cycle_distance": cycle}
        if self.identity_weight:
            identity = distance(a, self.generate(back, a, training))
            identity = identity + distance(b, self.generate(forth, b, training))
            losses = losses + self.identity_weight * identity
            logs["identity_distance"] = identity
        return losses, logs | {"generator_loss": losses}, (fake_a, fake_b)

    def discriminator_losses(self, real: tuple, fakes: tuple, training: bool = False) -> tuple[Tensor, dict]:
        """The sum over both kinds, `[B]`, and the logs."""
        logits = [
            tuple(self.logits(network, x, training) for x in pair)
            for network, *pair in zip((self.discriminator_a, self.discriminator_b), real, fakes, strict=True)
        ]
        losses = sum(0.5 * mean_over_patches(self.loss_function.discriminator(*pair)) for pair in logits)
        real_logit, fake_logit = (
            0.5 * (mean_over_patches(a) + mean_over_patches(b)) for a, b in zip(*logits, strict=True)
        )
        return losses, {"discriminator_loss": losses, "real_logit": real_logit, "fake_logit": fake_logit}

    def exchange_fakes(self, fakes: tuple) -> tuple:
        """The fakes of both kinds that the discriminators see."""
        if self._pools is None:
            return fakes

        def exchange(pool, fake):
            start = keras.random.randint((), 0, self.pool_size, seed=self.seed_generator)
            coins = keras.random.uniform((ops.shape(fake)[0],), seed=self.seed_generator, dtype="float32")
            return pool.exchange(fake, start, coins)

        return tuple(
            self.on_global_batch(functools.partial(exchange, pool), fake)
            for pool, fake in zip(self._pools, fakes, strict=True)
        )

    @backend.train_step
    def train_step(self, data: Any) -> Logs:
        a, b, weights = self.unpack(data)

        def generator_loss():
            losses, logs, fakes = self.generator_losses(a, b, training=True)
            return self.mean(losses, weights), logs | {"fakes": fakes}

        logs = self.minimize_player("generator", generator_loss)
        fakes = self.exchange_fakes(tuple(ops.stop_gradient(fake) for fake in logs.pop("fakes")))

        def discriminator_loss():
            losses, logs = self.discriminator_losses((a, b), fakes, training=True)
            return self.mean(losses, weights), logs

        logs |= self.minimize_player("discriminator", discriminator_loss)
        self.optimizer.iterations.assign_add(1)
        return self.update_metrics(weights, **logs)

    @backend.test_step
    def test_step(self, data: Any) -> Logs:
        a, b, weights = self.unpack(data)
        _, logs, fakes = self.generator_losses(a, b)
        return self.update_metrics(weights, **logs | self.discriminator_losses((a, b), fakes)[1])

    def translate_step(self, images: Tensor) -> Tensor:
        """From a to b."""
        return self.a_to_b_step(images)

    def a_to_b_step(self, images: Tensor) -> Tensor:
        return self.run_generator(self.generator_a_to_b, images)

    def b_to_a_step(self, images: Tensor) -> Tensor:
        return self.run_generator(self.generator_b_to_a, images)

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        """The translations, by their directions; "whole" is that from a to b."""
        steps = {"a_to_b": self.a_to_b_step, "b_to_a": self.b_to_a_step}
        return super().export_parts() | {
            name: functools.partial(lambda step: self.translation(step), step) for name, step in steps.items()
        }

    def translate(
        self, x: ArrayLike, direction: str = "a_to_b", batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """Images `[N, H, W, C]` of one kind as those of the other: float32 in [0, 1].

        Args:
            x: images.
            direction: "a_to_b" or "b_to_a"; a is the first argument of `fit`.
        """
        inputs.check_choice("direction", direction, DIRECTIONS)
        return self.run_on(getattr(self, f"{direction}_step"), x, self.modality, batch_size, verbose)

    def measures(self) -> tuple[str, ...]:
        return ("cycle_error", "translation", "identity", *SAMPLED)

    def exhibit(self, examples: np.ndarray | None, labels: np.ndarray | None, settings: Evaluation) -> list[Exhibit]:
        """Four rows: images of one kind over their translations, images of the other over theirs.

        `examples` are images of kind a, `labels` those of kind b.
        """

        def translations():
            found = []
            for images, direction in zip((examples, labels), DIRECTIONS, strict=True):
                shown = self.modality.to_float(images[:SHOWN])
                found += [shown, self.translate(shown, direction, verbose=0)]
            return np.concatenate(found)

        columns = SHOWN if examples is None else min(SHOWN, len(examples))
        caption = "The first images of both kinds, not picked, and below each its translation into the other kind."
        return [Exhibit(translations, columns, caption)]
