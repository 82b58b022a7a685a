"""`Denoiser`: what diffusion and flow matching share. A network that removes noise, and samplers that use it."""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from kerasgen import backend, inputs, networks, noise, pictures
from kerasgen.errors import InputError
from kerasgen.base.model import rows
from kerasgen.diffusion.likelihood import DenoiserLikelihood
from kerasgen.base.latent import LatentModel, slerp
from kerasgen.diffusion.sampling import Options
from kerasgen.diffusion.samplers import DDIM, SAMPLERS, Levels, Sampler

REPLACED = 1 << 20  # noise of what an inpainting keeps is that of steps from here on


class Condition(NamedTuple):
    """What a network is told of the images besides x and the time."""

    one_hot: Any = None  # `[B, num_classes]`, zeros where no class is told, or `None`
    enlarged: Any = None  # small images, enlarged, on the scale of x_0 `[B, H, W, C]`, or `None`


class Denoiser(DenoiserLikelihood, LatentModel):
    """x_0, an image scaled to [-1, 1] / sigma_data, is seen as x = alpha x_0 + sigma e with e ~ N(0, I).

    A subclass gives `levels(steps, spacing)`, `estimate(x, output, alpha, sigma)`, x_0 from what the network says, and
    a loss.

    Args:
        image_shape: `(height, width, channels)`; or `(features,)` of float vectors of any range, which are neither
            scaled, clipped nor rounded. They should have about unit variance.
        num_classes: number of classes if class-conditional, else `None`.
        network: a dictionary such as `{"class": "UNet", "width": 64}` with arguments of a class in
            `kerasgen.networks.DENOISERS`, or a Keras layer called as `network(x, time, one_hot)` that gives an image
            like x; `one_hot` is `None` without classes, and zeros where no class is told. Vectors have "MLP".
        label_dropout: share of labels that are not told in training, for guidance.
        self_conditioning: whether the network also reads its last estimate of x_0, as further channels (Chen et al.
            2023).
        super_resolution: the factor by which the model enlarges images (`upscale`), or `None`. The network then reads
            the small image too, enlarged, as further channels.
        sigma_data: standard deviation that images are taken to have; they are divided by it.
        seed: of the noise drawn in training.
    """

    loss_names = ("loss",)
    lossless = True  # the ODE leads back to the image, but for what its steps leave unresolved
    coding_steps = 50  # of encode and decode
    takes_vectors = True

    def __init__(
        self,
        image_shape=(28, 28, 1),
        num_classes=None,
        network=None,
        label_dropout=0.1,
        self_conditioning=False,
        super_resolution=None,
        sigma_data=1.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(image_shape, num_classes, seed, **kwargs)
        self.label_dropout = inputs.check_number("label_dropout", label_dropout, 0.0)
        if self.label_dropout >= 1.0:
            raise InputError(f"label_dropout is {label_dropout}; expected less than 1.")
        self.self_conditioning = bool(self_conditioning)
        self.sigma_data = inputs.check_number("sigma_data", sigma_data, 0.0)
        if self.sigma_data == 0.0:
            raise InputError("sigma_data is 0; expected a positive number.")
        self.super_resolution = super_resolution
        if super_resolution is not None:
            factor = inputs.check_integer("super_resolution", super_resolution, 2)
            if self.vectors or any(side % factor for side in self.image_shape[:2]):
                raise InputError(f"super_resolution is {factor}, which does not divide the sides {self.image_shape}.")
        self.latent_dim = self.num_dims
        self._network_argument = network if network is not None else {"class": "MLP" if self.vectors else "UNet"}
        self.network = networks.denoiser(
            self._network_argument,
            self.image_shape,
            self.image_shape[-1] * (1 + self.self_conditioning + (super_resolution is not None)),
            self.num_classes,
            self.dtype_policy,
        )

    def get_config(self):
        argument = self._network_argument
        return super().get_config() | {
            "network": networks.serialize(self.network, argument),
            "label_dropout": self.label_dropout,
            "self_conditioning": self.self_conditioning,
            "super_resolution": self.super_resolution,
            "sigma_data": self.sigma_data,
        }

    def default_optimizer(self):
        """Adam with the averaged weights that samples are drawn with."""
        return keras.optimizers.Adam(5e-4, global_clipnorm=1.0, use_ema=True, ema_momentum=0.999)

    # What is modelled

    def levels(self, steps, spacing):
        """The `Levels` of a sampler with so many steps."""
        raise NotImplementedError

    s_range = None  # of s = sigma / alpha, the least and the greatest that the network knows

    def at(self, s):
        """alpha, sigma and time where sigma / alpha is s, NumPy arrays."""
        raise NotImplementedError

    def levels_at(self, s):
        """`Levels` at s = sigma / alpha `[steps]`, and then data."""
        return Levels(*(np.append(table, last) for table, last in zip(self.at(s), (1.0, 0.0, 0.0), strict=True)))

    def estimate(self, x, output, alpha, sigma):
        """x_0 from x and what the network says."""
        raise NotImplementedError

    @property
    def vectors(self):
        return len(self.image_shape) == 1

    def to_data(self, images):
        """Images in [0, 1] to x_0."""
        return (images if self.vectors else 2.0 * images - 1.0) / self.sigma_data

    def to_images(self, x):
        """x_0 to images in [0, 1]."""
        if self.vectors:
            return self.sigma_data * x
        return ops.clip(0.5 * (self.sigma_data * x + 1.0), 0.0, 1.0)

    def clipped(self, x):
        """x_0 with pixels brought back to where images can be."""
        return x if self.vectors else ops.clip(x, -1.0 / self.sigma_data, 1.0 / self.sigma_data)

    def wide(self, values):
        """`[B]` as `[B, 1, ...]`, to go with x."""
        return ops.reshape(values, (-1, *[1] * len(self.image_shape)))

    def mean(self, x):
        """Over all but the batch: `[B]`."""
        return ops.mean(x, axis=tuple(range(1, 1 + len(self.image_shape))))

    def total(self, x):
        """The sum over all but the batch: `[B]`."""
        return ops.sum(x, axis=tuple(range(1, 1 + len(self.image_shape))))

    def small(self, images):
        """With `super_resolution`, 8-bit images of means over squares: `[B, h, w, C]` in [0, 1]; or `None`."""
        factor = self.super_resolution
        if factor is None:
            return None
        return ops.round(255.0 * ops.average_pool(images, factor, factor, padding="valid")) / 255.0

    def condition(self, one_hot, small):
        """The `Condition` of one-hot labels and of small images in [0, 1], or `None`."""
        if self.super_resolution is not None:
            if small is None:
                raise InputError("this model enlarges images: call upscale(x), or log_prob of images of full size.")
            factor = self.super_resolution
            small = self.to_data(ops.repeat(ops.repeat(small, factor, axis=1), factor, axis=2))
        return Condition(one_hot, small)

    def asked(self, labels, small=None):
        """The `Condition` of labels `[B]` and of small images in [0, 1], or `None`."""
        return self.condition(None if labels is None else self.one_hot(labels), small)

    def outputs(self, x, time, condition, last=None, training=False):
        """What the network says, float32 like x; `time` `[B]`, `last` the estimate of x_0 before, if it reads one."""
        parts = [x]
        if self.self_conditioning:
            parts.append(ops.zeros_like(x) if last is None else last)
        if condition.enlarged is not None:
            parts.append(condition.enlarged)
        x = ops.concatenate(parts, axis=-1) if len(parts) > 1 else x
        return ops.cast(self.network(x, time, condition.one_hot, training=training), "float32")

    def told(self, one_hot):
        """Labels in training: `label_dropout` of them are zeros."""
        if one_hot is None or not self.label_dropout:
            return one_hot
        kept = keras.random.uniform((ops.shape(one_hot)[0], 1), seed=self.seed_generator) >= self.label_dropout
        return one_hot * ops.cast(kept, "float32")

    def normal(self, shape):
        """The noise of a training step."""
        return keras.random.normal(shape, seed=self.seed_generator)

    def first_guess(self, x, alpha, sigma, time, condition):
        """For self-conditioning in training: in half the steps an estimate without gradient, else `None`'s zeros."""
        guess = self.estimate(x, self.outputs(x, time, condition), alpha, sigma)
        coin = keras.random.uniform((), seed=self.seed_generator) < 0.5
        return ops.where(coin, ops.stop_gradient(self.clipped(guess)), ops.zeros_like(x))

    # Training

    def image_losses(self, images, condition, training):
        """The loss of each image, `[B]`."""
        raise NotImplementedError

    @backend.train_step
    def train_step(self, data):
        images, one_hot = self.unpack(data)
        condition = self.condition(self.told(one_hot), self.small(images))

        def loss():
            losses = self.image_losses(images, condition, training=True)
            return ops.mean(losses), {"loss": losses}

        return self.update_metrics(**self.minimize(loss, self.trainable_variables))

    @backend.test_step
    def test_step(self, data):
        images, one_hot = self.unpack(data)
        condition = self.condition(one_hot, self.small(images))
        return self.update_metrics(loss=self.image_losses(images, condition, training=False))

    # Sampling

    def denoised(self, x, alpha, sigma, time, condition, guidance, clip, last):
        """The estimate of x_0, with classifier-free guidance (Ho and Salimans 2022, eq. 6, in terms of x_0)."""
        time = ops.zeros((ops.shape(x)[0],)) + time
        if guidance == 1.0:
            x0 = self.estimate(x, self.outputs(x, time, condition, last), alpha, sigma)
        else:
            twice, times = ops.concatenate([x, x]), ops.concatenate([time, time])
            last = None if last is None else ops.concatenate([last, last])
            one_hot, enlarged = condition
            one_hot = ops.concatenate([one_hot, ops.zeros_like(one_hot)])
            enlarged = None if enlarged is None else ops.concatenate([enlarged, enlarged])
            output = self.outputs(twice, times, Condition(one_hot, enlarged), last)
            told, not_told = ops.split(self.estimate(twice, output, alpha, sigma), 2)
            x0 = not_told + guidance * (told - not_told)
        return self.clipped(x0) if clip else x0

    def solve(self, x, key, condition, sampler, levels, options, known=None, mask=None):
        """x at the last level from x at the first; `[B, H, W, C]`, or all levels `[steps + 1, B, H, W, C]` if kept.

        Args:
            x: `[B, H, W, C]`.
            condition: a `Condition`.
            key: of the noise that the sampler draws, int32 `[B, 2]`.
            options: `Options`.
            known, mask: an image to keep where the mask is 0 (`inpaint`), or `None`.
        """
        shape = tuple(x.shape[1:])
        constant = {name: ops.convert_to_tensor(v, "float32") for name, v in sampler.coefficients(levels).items()}
        alpha, sigma, time = (ops.convert_to_tensor(v, "float32") for v in (levels.alpha, levels.sigma, levels.time))

        def body(carry, index):
            x, last, path, *memory = carry
            estimates = [last]

            def denoise(x, next=False):
                at = index + 1 if next else index
                level = (ops.take(table, at) for table in (alpha, sigma, time))
                given = estimates[-1] if self.self_conditioning else None
                x0 = self.denoised(x, *level, condition, options.guidance, options.clip, given)
                estimates.append(x0)
                return x0

            drawn = options.temperature * noise.step_normal(key, index, shape) if sampler.stochastic else None
            c = {name: ops.take(table, index) for name, table in constant.items()}
            x, memory = sampler.step(denoise, x, c, tuple(memory), drawn)
            if known is not None:
                kept = ops.take(alpha, index + 1) * known
                kept = kept + ops.take(sigma, index + 1) * noise.step_normal(key, index + REPLACED, shape)
                x = mask * x + (1.0 - mask) * kept
            if options.callback is not None:
                backend.notify(options.callback, index + 1)
            if options.keep:
                path = ops.slice_update(path, (index + 1, *[0] * len(x.shape)), x[None])
            return (x, estimates[-1], path, *memory), None

        path = ops.stack([x] * (levels.steps + 1 if options.keep else 1))
        carry = (x, ops.zeros_like(x), path, *sampler.start(x))
        (x, _, path, *_), _ = ops.scan(body, carry, ops.arange(levels.steps, dtype="int32"), length=levels.steps)
        return path if options.keep else x

    def sample_step(self, key, z, labels, small, options):
        condition = self.asked(labels, None if small is None else self.scale(small))
        sampler, levels = self._plan(options)
        x = self.solve(options.temperature * z, key, condition, sampler, levels, options)
        if options.keep:
            x = ops.swapaxes(x, 0, 1)  # [B, steps + 1, H, W, C]
        return self.to_images(x)

    def _plan(self, options):
        return options.make_sampler(), self.levels(options.steps, options.spacing)

    def options(
        self, sampler="dpm++", steps=20, guidance=1.0, spacing="trailing", clip=True, temperature=1.0, **others
    ):
        """The checked settings of a sampling run.

        Raises:
            InputError: one is not possible for this model.
        """
        steps = inputs.check_integer("steps", steps, 1)
        guidance = inputs.check_number("guidance", guidance, 0.0)
        if guidance != 1.0 and self.num_classes is None:
            raise InputError(f"guidance is {guidance:g}, but this model has no classes to guide to.")
        if isinstance(sampler, str):
            if sampler not in SAMPLERS:
                raise InputError(f"there is no sampler {sampler!r}; expected one of {sorted(SAMPLERS)}, or a Sampler.")
            sampler = SAMPLERS[sampler]()
        elif not isinstance(sampler, Sampler):
            raise InputError(
                f"sampler is a {type(sampler).__name__}; expected one of {sorted(SAMPLERS)}, or a Sampler."
            )
        sampler.coefficients(self.levels(steps, spacing))  # refuses what it cannot do, before anything is drawn
        config = tuple(sorted(sampler.get_config().items()))
        temperature = inputs.check_number("temperature", temperature, 0.0)
        return Options(type(sampler), config, steps, spacing, guidance, bool(clip), temperature, **others)

    def how_drawn(self, temperature=1.0, **settings):
        options = self.options(**settings)
        names = ("steps", "spacing", "guidance", "clip")
        chosen = {name: getattr(options, name) for name in names}
        return {"name": options.sampler.__name__, **dict(options.config), **chosen, "temperature": temperature}

    def sample(
        self,
        num_samples,
        labels=None,
        seed=None,
        temperature=1.0,
        batch_size=64,
        verbose="auto",
        *,
        sampler="dpm++",
        steps=20,
        guidance=1.0,
        spacing="trailing",
        clip=True,
        image_size=None,
        intermediates=False,
        callback=None,
    ):
        """Images drawn by a sampler, float32 `[num_samples, H, W, C]` in [0, 1].

        The i-th image depends on the seed, i, its label and the sampler's settings alone.

        Args:
            num_samples: number of images.
            labels: of classes; the classes in turn unless given.
            temperature: scales the noise.
            sampler: a name from `kerasgen.diffusion.samplers.SAMPLERS`, or a `Sampler`.
            steps: of the sampler.
            guidance: weight of classifier-free guidance: 1 is none, 0 takes no notice of the labels.
            spacing: of the levels: "trailing", "leading", "linspace" or "karras".
            clip: whether estimates are clipped to where images can be.
            image_size: `(height, width)` other than the model's, if its network takes it.
            intermediates: whether to give x at all levels, `[num_samples, steps + 1, H, W, C]`.
            callback: called with the number of steps done, after each step of each batch.
        """
        num_samples = inputs.check_integer("num_samples", num_samples, 1)
        labels = self.sample_labels(labels, num_samples)
        shape = self.image_shape
        if image_size is not None:
            if self.vectors:
                raise InputError("image_size is for models of images.")
            height, width = (inputs.check_integer("image_size", side, 1) for side in image_size)
            shape = (height, width, shape[2])
            networks.check_size(self.network, height, width)
        others = {"keep": bool(intermediates), "callback": callback}
        options = self.options(sampler, steps, guidance, spacing, clip, temperature, **others)
        return self._draw(num_samples, shape, labels, None, seed, batch_size, verbose, options)

    def _draw(self, num, shape, labels, small, seed, batch_size, verbose, options):
        seed = noise.check_seed(seed)

        def batch(start, stop):
            z = noise.normal(start, stop, shape, seed)
            return [noise.keys(start, stop, seed), z, *rows(labels, small)(start, stop)]

        return self.run(self.sample_step, num, batch, batch_size, verbose, static=(options,))

    @property
    def small_shape(self):
        """Of the images that `upscale` enlarges: `(height, width, channels)`."""
        if self.super_resolution is None:
            raise InputError("this model has no super_resolution: it does not enlarge images.")
        height, width, channels = self.image_shape
        return (height // self.super_resolution, width // self.super_resolution, channels)

    def downscale_step(self, images):
        return self.small(self.scale(images))

    def downscale(self, x, batch_size=64):
        """Images `[N, H, W, C]` made small as those that the model learns to enlarge: uint8 `[N, *small_shape]`."""
        x = self.check_images(x)
        _ = self.small_shape  # refuses models that do not enlarge
        return pictures.to_uint8(self.run(self.downscale_step, len(x), rows(x), batch_size, verbose=0))

    def upscale(self, x, labels=None, seed=None, batch_size=64, verbose="auto", **options):
        """Images drawn for small ones: float32 `[N, H, W, C]` in [0, 1], for models with `super_resolution`.

        Args:
            x: images of `small_shape`, as `downscale` makes them.
            options: `sampler`, `steps`, `guidance`, `spacing`, `clip`, `temperature` as in `sample`.
        """
        x = inputs.check_images(x, self.small_shape)
        labels = self.check_labels(labels, len(x))
        options = self.options(**options)
        return self._draw(len(x), self.image_shape, labels, x, seed, batch_size, verbose, options)

    # Latents: the noise that the probability-flow ODE leads to

    def draw_latents(self, start, stop, seed, temperature):
        """z ~ N(0, temperature^2 I), float32 `[stop - start, num_dims]`."""
        return temperature * noise.normal(start, stop, self.image_shape, seed).reshape(stop - start, -1)

    def encode_step(self, images, labels):
        """x at the noisiest level, by DDIM's steps the other way round (Song et al. 2021, section 4.3)."""
        images = self.scale(images)
        condition = self.asked(labels, self.small(images))
        forth = self.levels(self.coding_steps, "trailing")
        # The image is taken to be at the least noisy level.
        back = Levels(*(table[-2::-1] for table in (forth.alpha, forth.sigma, forth.time)))
        x = self.to_data(images)
        x = self.solve(x, None, condition, DDIM(), back, Options(clip=False))
        return ops.reshape(x, (-1, self.latent_dim))

    def decode_step(self, z, labels):
        """Images from latents, by DDIM."""
        condition = self.asked(labels)
        x = ops.reshape(z, (-1, *self.image_shape))
        x = self.solve(x, None, condition, DDIM(), self.levels(self.coding_steps, "trailing"), Options(clip=False))
        return self.to_images(x)

    def between(self, start, stop, t):
        return slerp(start, stop, t)

    # Editing

    def inpaint_step(self, key, z, images, mask, labels, options):
        condition = self.asked(labels)
        sampler, levels = self._plan(options)
        known, mask = self.to_data(self.scale(images)), ops.cast(mask, "float32")
        x = self.solve(options.temperature * z, key, condition, sampler, levels, options, known, mask)
        return self.to_images(x)

    def inpaint(self, x, mask, labels=None, seed=None, batch_size=64, verbose="auto", **options):
        """Images with the pixels drawn anew where the mask is 1, and kept where it is 0.

        At every level what is kept is the image with that level's noise (Song et al. 2021b, appendix I.2).

        Args:
            x: images `[N, H, W, C]`.
            mask: of 0 and 1 or bool, `[N, H, W, 1]`, `[H, W, 1]` or `[H, W]`; of vectors `[N, D]` or `[D]`.
            options: `sampler`, `steps`, `guidance`, `spacing`, `clip` as in `sample`.
        """
        x = self.check_images(x)
        labels = self.check_labels(labels, len(x))
        mask = self._check_mask(mask, len(x))
        seed = noise.check_seed(seed)
        options = self.options(**options)

        def batch(start, stop):
            z = noise.normal(start, stop, self.image_shape, seed)
            key = noise.keys(start, stop, seed)
            return [key, z, x[start:stop], mask[start:stop], None if labels is None else labels[start:stop]]

        drawn = self.run(self.inpaint_step, len(x), batch, batch_size, verbose, static=(options,))
        kept = x / np.float32(255.0) if x.dtype == np.uint8 else x
        return np.where(mask > 0, drawn, kept)

    def _check_mask(self, mask, num):
        mask = np.asarray(mask)
        one = self.image_shape if self.vectors else (*self.image_shape[:2], 1)
        shapes = {(num, *one), one, one if self.vectors else one[:2]}
        if mask.shape not in shapes:
            raise InputError(f"the mask has shape {mask.shape}; expected one of {sorted(shapes, key=len)}.")
        if not np.isin(mask, (0, 1)).all():
            raise InputError("the mask has values other than 0 (keep) and 1 (draw anew).")
        mask = mask[..., None] if mask.shape == one[:-1] else mask
        return np.broadcast_to(mask, (num, *one)).astype(np.float32)

    def edit_step(self, key, z, images, labels, options, begin):
        condition = self.asked(labels)
        sampler, levels = self._plan(options)
        levels = Levels(levels.alpha[begin:], levels.sigma[begin:], levels.time[begin:])
        x = levels.alpha[0] * self.to_data(self.scale(images)) + levels.sigma[0] * z
        return self.to_images(self.solve(x, key, condition, sampler, levels, options))

    def edit(self, x, strength=0.5, labels=None, seed=None, batch_size=64, verbose="auto", **options):
        """Images noised by so much of the way, and drawn anew from there (Meng et al. 2022, "SDEdit").

        Args:
            x: images `[N, H, W, C]`.
            strength: from 0, next to nothing changes, to 1, all is new.
            labels: of the classes that the results shall be of.
            options: `sampler`, `steps`, `guidance`, `spacing`, `clip` as in `sample`.
        """
        x = self.check_images(x)
        labels = self.check_labels(labels, len(x))
        strength = inputs.check_number("strength", strength, 0.0)
        if strength > 1.0:
            raise InputError(f"strength is {strength:g}; expected at most 1.")
        seed = noise.check_seed(seed)
        options = self.options(**options)
        begin = min(round((1.0 - strength) * options.steps), options.steps - 1)

        def batch(start, stop):
            z = noise.normal(start, stop, self.image_shape, seed)
            return [noise.keys(start, stop, seed), z, *rows(x, labels)(start, stop)]

        return self.run(self.edit_step, len(x), batch, batch_size, verbose, static=(options, begin))
