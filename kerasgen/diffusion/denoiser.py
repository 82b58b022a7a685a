"""`Denoiser`: what diffusion and flow matching share. A network that removes noise, and its training."""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from kerasgen import inputs, noise
from kerasgen.diffusion.denoising_score import DenoiserScores
from kerasgen.diffusion.editing import DenoiserEditing
from kerasgen.diffusion.forecasting import DenoiserForecasting
from kerasgen.diffusion.likelihood import DenoiserLikelihood
from kerasgen.diffusion.samplers import Levels
from kerasgen.diffusion.sampling import Numbers, Structure
from kerasgen.errors import InputError
from kerasgen.export import ROWS, Part
from kerasgen.modalities import Images, Vectors, Videos
from kerasgen.networks import resolve
from kerasgen.typing import Any, Callable, Logs, Sequence, Shape, Tensor


class Condition(NamedTuple):
    """What a network reads of an example besides x and the time."""

    one_hot: Any = None  # labels `[B, num_classes]`, zeros where dropped, or `None`
    low_res: Any = None  # low-resolution images, enlarged, on the scale of x_0 `[B, H, W, C]`, or `None`
    given: Any = None  # x_0 where it is known, else 0; then 1 where it is known, else 0; both like x; or `None`


class Denoiser(DenoiserForecasting, DenoiserEditing, DenoiserScores, DenoiserLikelihood):
    """x_0 is an image scaled to [-1, 1] / sigma_data; x = alpha x_0 + sigma e is seen, with e ~ N(0, I).

    A subclass gives `levels(steps, spacing)`, `x0_from_output(x, output, alpha, sigma)` and `per_example_losses`.

    Args:
        shape, num_classes, seed: see `BaseModel`. Vectors `(features,)` are neither scaled, clipped nor rounded; they
            should have about unit variance.
        network: a name in `kerasgen.networks.DENOISERS`, a dictionary such as `{"class": "UNet", "width": 64}`, or a
            Keras layer called as `network(x, time, one_hot)` that gives an image like x; `one_hot` is `None` without
            classes, and zeros where the label is dropped. Vectors have "MLP", videos "VideoDiT".
        label_dropout: share of labels that training drops, for guidance; and of attributes, each on its own.
        self_conditioning: whether the network also reads its last estimate of x_0, as further channels (Chen et al.
            2023).
        super_resolution: the factor by which the model enlarges images (`upscale`), or `None`. The network then reads
            the low-resolution image too, enlarged, as further channels.
        sigma_data: standard deviation that images are taken to have; they are divided by it.
        attributes: names of what examples have or have not, in place of classes, such as `["Smiling", "Eyeglasses"]`.
        num_given: of the first frames of a video (or values of a vector), which half of the examples of training show
            to the network as further channels, so that `forecast` goes on from them; by default none.
    """

    loss_names = ("loss",)
    has_intermediates = True
    lossless = True  # the ODE leads back to the image, but for what its steps leave unresolved
    modalities = (Images, Vectors, Videos)
    prediction: str  # what the network gives

    def __init__(
        self,
        shape: Shape = (28, 28, 1),
        num_classes: int | None = None,
        network: Any = None,
        label_dropout: float = 0.1,
        self_conditioning: bool = False,
        super_resolution: int | None = None,
        sigma_data: float = 1.0,
        attributes: Sequence[str] | None = None,
        num_given: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(shape, num_classes, attributes, seed, **kwargs)
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
            if len(self.shape) != 3 or any(side % factor for side in self.shape[:2]):
                raise InputError(
                    f"super_resolution is {factor}, which does not divide the sides of images of {self.shape}."
                )
        self.num_given = inputs.check_integer("num_given", num_given, 0)
        if num_given and (len(self.shape) == 3 or num_given >= self.shape[0]):
            raise InputError(
                f"num_given is {num_given}; expected less than the frames of a video, of shape {self.shape}."
            )
        self.latent_dim = self.num_dims
        network = network if network is not None else {1: "MLP", 3: "UNet", 4: "VideoDiT"}[len(self.shape)]
        self.keep(network=network)
        self.network = resolve.denoiser(
            network,
            self.shape,
            self.shape[-1] * (1 + self.self_conditioning + (super_resolution is not None) + 2 * (num_given > 0)),
            self.num_classes,
            self.dtype_policy,
        )

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """Adam with the averaged weights that `fit` leaves and samples are drawn with (docs/training.md)."""
        return keras.optimizers.Adam(5e-4, global_clipnorm=1.0, use_ema=True, ema_momentum=0.999)

    # Noise levels

    def levels(self, steps: int, spacing: str) -> Levels:
        """The `Levels` of a sampler with so many steps."""
        raise NotImplementedError

    ratio_range: Any = None  # of s = sigma / alpha, the least and the greatest that the network knows

    def level_at(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """alpha, sigma and time where sigma / alpha is s, NumPy arrays."""
        raise NotImplementedError

    def levels_at(self, s: np.ndarray) -> Levels:
        """`Levels` at s = sigma / alpha `[steps]`, and then data."""
        tables = zip(self.level_at(s), (1.0, 0.0, 0.0), strict=True)
        return Levels(*(np.append(table, last) for table, last in tables))

    # Scales and sums

    def to_x0(self, images: Tensor) -> Tensor:
        """Images in [0, 1] to x_0."""
        return self.modality.to_network(images) / self.sigma_data

    def to_images(self, x: Tensor) -> Tensor:
        """x_0 to images in [0, 1]."""
        images = self.modality.from_network(self.sigma_data * x)
        return images if self.vectors else ops.clip(images, 0.0, 1.0)

    def clip_x0(self, x: Tensor) -> Tensor:
        """x_0 with pixels brought back to where images can be."""
        return x if self.vectors else ops.clip(x, -1.0 / self.sigma_data, 1.0 / self.sigma_data)

    def expand(self, values: Tensor) -> Tensor:
        """`[B]` as `[B, 1, ...]`, to go with x."""
        return ops.reshape(values, (-1, *[1] * len(self.shape)))

    # The network, and one estimate of x_0

    def low_res(self, images: Tensor) -> Tensor | None:
        """With `super_resolution`, 8-bit images of means over squares: `[B, h, w, C]` in [0, 1]; or `None`."""
        factor = self.super_resolution
        if factor is None:
            return None
        return (
            ops.round(255.0 * ops.average_pool(images, factor, factor, padding="valid", data_format="channels_last"))
            / 255.0
        )

    def condition(self, one_hot: Tensor | None, low_res: Tensor | None) -> Condition:
        """The `Condition` of one-hot labels and of low-resolution images in [0, 1], or `None`."""
        if self.super_resolution is not None:
            if low_res is None:
                raise InputError("this model enlarges images: call upscale(x), or log_prob of images of full size.")
            factor = self.super_resolution
            low_res = self.to_x0(ops.repeat(ops.repeat(low_res, factor, axis=1), factor, axis=2))
        return Condition(one_hot, low_res)

    def condition_for(self, labels: Tensor | None, low_res: Tensor | None = None) -> Condition:
        """The `Condition` of labels `[B]` and of low-resolution images in [0, 1], or `None`."""
        return self.condition(self.one_hot(labels), low_res)

    def drop_labels(self, one_hot: Tensor | None) -> Tensor | None:
        """Labels in training: `label_dropout` of them are zeros; of attributes rows, and in the others single ones."""
        if one_hot is None or not self.label_dropout:
            return one_hot
        kept = self.uniform((ops.shape(one_hot)[0], 1)) >= self.label_dropout
        if self.attributes is not None:
            kept = ops.logical_and(kept, self.uniform(ops.shape(one_hot)) >= self.label_dropout)
        return one_hot * ops.cast(kept, "float32")

    def network_output(
        self, x: Tensor, time: Tensor, condition: Condition, last: Tensor | None = None, training: bool = False
    ) -> Tensor:
        """What the network gives, float32 like x; `time` `[B]`, `last` the estimate of x_0 before, if it reads one."""
        parts = [x]
        if self.self_conditioning:
            parts.append(ops.zeros_like(x) if last is None else last)
        if condition.low_res is not None:
            parts.append(condition.low_res)
        if self.num_given:
            parts += [ops.zeros_like(x)] * 2 if condition.given is None else condition.given
        x = ops.concatenate(parts, axis=-1) if len(parts) > 1 else x
        return ops.cast(self.network(x, time, condition.one_hot, training=training), "float32")

    def x0_from_output(self, x: Tensor, output: Tensor, alpha: Any, sigma: Any) -> Tensor:
        """x_0 from x and what the network gives."""
        raise NotImplementedError

    def predict_x0(
        self,
        x: Tensor,
        alpha: Any,
        sigma: Any,
        time: Any,
        condition: Condition,
        guidance: Any = None,
        clip: bool = True,
        last: Tensor | None = None,
    ) -> Tensor:
        """The estimate of x_0, with classifier-free guidance (Ho and Salimans 2022, eq. 6, in terms of x_0) if told."""
        time = ops.zeros((ops.shape(x)[0],), "float32") + time
        if guidance is None:
            x0 = self.x0_from_output(x, self.network_output(x, time, condition, last), alpha, sigma)
        else:
            last, low_res, given = keras.tree.map_structure(
                lambda a: None if a is None else ops.concatenate([a, a]), (last, condition.low_res, condition.given)
            )
            twice, times = ops.concatenate([x, x]), ops.concatenate([time, time])
            one_hot = ops.concatenate([condition.one_hot, ops.zeros_like(condition.one_hot)])
            output = self.network_output(twice, times, Condition(one_hot, low_res, given), last)
            conditional, unconditional = ops.split(self.x0_from_output(twice, output, alpha, sigma), 2)
            x0 = unconditional + guidance * (conditional - unconditional)
        return self.clip_x0(x0) if clip else x0

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        return super().export_parts() | {"denoiser": self.denoiser_part}

    def denoiser_part(self) -> Part:
        """The network: what it gives is its `prediction`."""
        drawn, small = noise.normal(0, ROWS, self.shape, 0), self.given_shape
        given = {
            "x": drawn,
            "time": self.levels(ROWS, "trailing").time[:ROWS].astype(np.float32),
            "labels": self.sample_labels(None, ROWS),
            "low_res": None if small is None else noise.uniform(0, ROWS, small, 0).astype(np.float32),
            "last": np.tanh(drawn) if self.self_conditioning else None,
        }

        def predict(x, time, labels, low_res, last):
            return self.network_output(x, time, self.condition_for(labels, low_res), last)

        return Part(predict, given, "prediction", settings={"prediction": self.prediction})

    # Going on from what is given

    def begins(self, num: Tensor) -> Tensor:
        """1 for the first `num` `[B]` frames, or values, and 0 for the others: `[B, *shape]`, but for axes of 1."""
        index = ops.arange(self.shape[0], dtype="int32")
        return ops.cast(ops.reshape(index, (1, -1, *[1] * (len(self.shape) - 1))) < self.expand(num), "float32")

    def given(self, x0: Tensor, num: Tensor) -> tuple[Tensor, Tensor] | None:
        """`Condition.given` of the first `num` `[B]` frames, where that is `num_given`; of other numbers nothing."""
        if not self.num_given:
            return None
        known = ops.zeros_like(x0) + self.begins(ops.where(num == self.num_given, num, 0))
        return known * x0, known

    def forecast_step(
        self,
        key: Tensor,
        z: Tensor,
        videos: Tensor,
        num: Tensor,
        labels: Tensor | None,
        numbers: Numbers,
        structure: Structure,
    ) -> Tensor:
        known = self.to_x0(self.modality.scale(videos))
        condition = self.condition_for(labels)._replace(given=self.given(known, num))
        x = self.solve(numbers.temperature * z, key, condition, numbers, structure, known, 1.0 - self.begins(num))
        return self.to_images(x)

    # Training

    def first_estimate(self, x: Tensor, alpha: Tensor, sigma: Tensor, time: Tensor, condition: Condition) -> Tensor:
        """What self-conditioning reads in training: in half the steps an estimate without gradient, else zeros."""
        x0 = self.x0_from_output(x, self.network_output(x, time, condition), alpha, sigma)
        coin = self.uniform(()) < 0.5
        return ops.where(coin, ops.stop_gradient(self.clip_x0(x0)), ops.zeros_like(x))

    def per_example_losses(self, images: Tensor, condition: Condition, training: bool) -> Tensor:
        """The loss of each image, `[B]`."""
        raise NotImplementedError

    def losses(self, x: Tensor, one_hot: Tensor | None, training: bool) -> tuple[Tensor, Logs]:
        one_hot = self.drop_labels(one_hot) if training else one_hot
        condition = self.condition(one_hot, self.low_res(x))
        if self.num_given:
            shown = self.uniform((ops.shape(x)[0],)) < 0.5
            condition = condition._replace(given=self.given(self.to_x0(x), self.num_given * ops.cast(shown, "int32")))
        losses = self.per_example_losses(x, condition, training)
        return losses, {"loss": losses}
