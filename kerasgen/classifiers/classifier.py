"""A classifier of images: not a generative model, but what generative models are measured with."""

import keras
import numpy as np
from keras import layers, ops

from kerasgen import inputs
from kerasgen.base import BaseModel, register_family, rows
from kerasgen.errors import InputError
from kerasgen.export import Part
from kerasgen.modalities import check_attributes
from kerasgen.networks import resolve
from kerasgen.typing import Any, ArrayLike, Callable, Config, Labels, Logs, Shape, Tensor, Verbose


@register_family
class Classifier(BaseModel):
    """p(class | x), or p(attribute | x) for each of several attributes that do not exclude each other.

    The loss is the mean cross-entropy in nats: of one softmax, or of `num_classes` sigmoids.

    Args:
        shape, seed: see `BaseModel`.
        num_classes: number of classes, or of attributes.
        attributes: whether labels are `[N, num_classes]` of 0 and 1, several of which may be 1 at once.
        backbone: a name from `kerasgen.networks.BACKBONES`, a dictionary with it as "class" and arguments, or a Keras
            layer from images `[B, H, W, C]` in [-1, 1] to features `[B, F]`.
        width: of backbones given by name.
        dropout: rate at which training drops features.
        max_shift: in training, images are moved by up to so many pixels each way; their edges are repeated.
        label_smoothing: share of each target spread over the classes (Szegedy et al. 2016, section 7).
    """

    loss_names = ("loss", "accuracy")
    called = "classify"
    task = "image-classification"
    purpose = "Measures"

    def __init__(
        self,
        shape: Shape = (28, 28, 1),
        num_classes: int = 10,
        attributes: bool = False,
        backbone: Any = "resnet",
        width: int = 16,
        dropout: float = 0.0,
        max_shift: int = 0,
        label_smoothing: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(shape, inputs.check_integer("num_classes", num_classes, 1), seed, **kwargs)
        self.attributes = bool(attributes)
        self.width = width
        self.dropout = inputs.check_number("dropout", dropout, 0.0)
        self.max_shift = inputs.check_integer("max_shift", max_shift, 0)
        self.label_smoothing = inputs.check_number("label_smoothing", label_smoothing, 0.0)
        if max(self.dropout, self.label_smoothing) >= 1.0:
            raise InputError(f"dropout is {dropout} and label_smoothing {label_smoothing}; expected less than 1.")
        self.keep(backbone=backbone)
        self.backbone = resolve.backbone(backbone, self.shape, width, self.dtype_policy)
        self.num_features = self.backbone(keras.KerasTensor((None, *self.shape))).shape[-1]
        self.logits = layers.Dense(self.num_classes, name="logits", dtype=self.dtype_policy)
        self.logits.build((None, self.num_features))

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0)

    def check_labels(self, labels: Labels, num: int) -> np.ndarray:
        if not self.attributes:
            return super().check_labels(labels, num)
        return check_attributes(labels, num, self.num_classes)

    def one_hot(self, labels: Tensor) -> Tensor:
        return ops.cast(labels, "float32") if self.attributes else super().one_hot(labels)

    def shift(self, images: Tensor) -> Tensor:
        """Each image moved by its own random whole number of pixels, along both axes."""
        for axis in (1, 2):
            uniform = self.uniform((ops.shape(images)[0], 1))
            offsets = ops.cast(ops.floor((2 * self.max_shift + 1) * uniform), "int32") - self.max_shift
            side = images.shape[axis]
            places = ops.clip(ops.arange(side, dtype="int32")[None] + offsets, 0, side - 1)  # [B, side]
            places = places[:, :, None, None] if axis == 1 else places[:, None, :, None]
            images = ops.take_along_axis(images, places, axis=axis)
        return images

    def drop(self, features: Tensor) -> Tensor:
        """Features, `dropout` of them zero and the others larger by as much (Srivastava et al. 2014, section 10)."""
        kept = ops.cast(self.uniform(ops.shape(features)) >= self.dropout, features.dtype)
        return features * kept / (1.0 - self.dropout)

    def outputs(self, images: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Features `[B, F]` and logits `[B, num_classes]`, float32, of images in [0, 1]."""
        features = self.backbone(2.0 * images - 1.0, training=training)
        kept = self.drop(features) if training and self.dropout else features
        logits = self.logits(kept)
        return ops.cast(features, "float32"), ops.cast(logits, "float32")

    def losses(self, x: Tensor, one_hot: Tensor, training: bool) -> tuple[Tensor, Logs]:
        """Cross-entropy in nats and accuracy, each `[B]`; over attributes, their means."""
        x = self.shift(x) if training and self.max_shift else x
        _, logits = self.outputs(x, training)
        smoothing = self.label_smoothing if training else 0.0
        if self.attributes:
            smooth = one_hot * (1.0 - smoothing) + 0.5 * smoothing
            losses = ops.mean(ops.binary_crossentropy(smooth, logits, from_logits=True), axis=-1)
            right = ops.mean(ops.cast(ops.equal(logits > 0.0, one_hot > 0.5), "float32"), axis=-1)
        else:
            smooth = one_hot * (1.0 - smoothing) + smoothing / self.num_classes
            losses = ops.categorical_crossentropy(smooth, logits, from_logits=True)
            right = ops.cast(ops.equal(ops.argmax(logits, axis=-1), ops.argmax(one_hot, axis=-1)), "float32")
        return losses, {"loss": losses, "accuracy": right}

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """Logits `[B, num_classes]`."""
        return self.outputs(self.modality.scale(images), training)[1]

    def outputs_step(self, images: Tensor) -> Tensor:
        """Features and probabilities side by side."""
        features, logits = self.outputs(self.modality.scale(images))
        probabilities = ops.sigmoid(logits) if self.attributes else ops.softmax(logits)
        return ops.concatenate([features, probabilities], axis=-1)

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        """The features as "encoder", the probabilities as "whole"."""
        given, size = self.trial(self.modality), self.num_features
        return {
            "encoder": lambda: Part(lambda x: self.outputs_step(x)[:, :size], given, "features"),
            "whole": lambda: Part(lambda x: self.outputs_step(x)[:, size:], given, "probabilities"),
        }

    def extract(self, x: ArrayLike, batch_size: int = 250, verbose: Verbose = "auto") -> list[np.ndarray]:
        """Features `[N, num_features]` and probabilities `[N, num_classes]` in one pass, float32."""
        x = self.modality.check(x)
        both = self.run(self.outputs_step, len(x), rows(x), batch_size, verbose)
        return np.split(both, [self.num_features], axis=1)

    def classify(self, x: ArrayLike, batch_size: int = 250, verbose: Verbose = "auto") -> np.ndarray:
        """Probabilities of the classes, or of each attribute: float32 `[N, num_classes]`."""
        return self.extract(x, batch_size, verbose)[1]

    def features(self, x: ArrayLike, batch_size: int = 250, verbose: Verbose = "auto") -> np.ndarray:
        """What stands before the last layer: float32 `[N, num_features]`."""
        return self.extract(x, batch_size, verbose)[0]

    def feature_maps(self) -> keras.Model:
        """A network from images `[B, H, W, C]` in [-1, 1] to the last feature map of each size, the largest first.

        Raises `InputError`: the backbone is no functional model with feature maps.
        """
        maps = {}
        for layer in getattr(self.backbone, "layers", ()):
            output = getattr(layer, "output", None)
            if output is not None and len(output.shape) == 4 and not isinstance(layer, layers.InputLayer):
                maps[output.shape[1:3]] = output
        if not maps:
            raise InputError(f"the backbone, a {type(self.backbone).__name__}, has no feature maps that can be told.")
        return keras.Model(self.backbone.inputs, list(maps.values()), name="feature_maps")

    def measures(self) -> tuple[str, ...]:
        return ("accuracy",)

    def snippet(self, handle: str, drawing: Config | None = None) -> str:
        noun = self.modality.noun
        return f"""import kerasgen
import numpy as np

model = kerasgen.load("{handle}")
{self.modality.example}
probabilities = model.classify({noun})  # float32 [16, {self.num_classes}]
features = model.features({noun})  # what distances between sets of {noun} are measured in"""

    def probe(self) -> np.ndarray:
        return np.concatenate(self.extract(np.zeros((2, *self.shape), np.float32), verbose=0), axis=1)
