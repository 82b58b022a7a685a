"""A classifier of images: not a generative model, but what generative models are measured with."""

import keras
import numpy as np
from keras import layers, ops

from kerasgen import backend, inputs, networks
from kerasgen.errors import InputError
from kerasgen.base.model import ImageModel, rows


@keras.saving.register_keras_serializable("kerasgen")
class Classifier(ImageModel):
    """p(class | x), or p(attribute | x) for each of several attributes that do not exclude each other.

    Minimises the mean cross-entropy in nats: of one softmax, or of `num_classes` sigmoids.

    Args:
        image_shape: `(height, width, channels)`.
        num_classes: number of classes, or of attributes.
        attributes: whether labels are `[N, num_classes]` of 0 and 1, several of which may be 1 at once.
        backbone: a name from `kerasgen.networks.BACKBONES`, or a Keras layer from images `[B, H, W, C]` in [-1, 1] to
            features `[B, F]`.
        width: of backbones given by name.
        dropout: rate, of features in training.
        max_shift: in training, images are moved by up to so many pixels each way; their edges are repeated.
        label_smoothing: share of each target spread over the classes (Szegedy et al. 2016, section 7).
        seed: of the noise drawn in training.
    """

    loss_names = ("loss", "accuracy")

    def __init__(
        self,
        image_shape=(28, 28, 1),
        num_classes=10,
        attributes=False,
        backbone="resnet",
        width=16,
        dropout=0.0,
        max_shift=0,
        label_smoothing=0.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(image_shape, inputs.check_integer("num_classes", num_classes, 1), seed, **kwargs)
        self.attributes = bool(attributes)
        self.width = width
        self.dropout = inputs.check_number("dropout", dropout, 0.0)
        self.max_shift = inputs.check_integer("max_shift", max_shift, 0)
        self.label_smoothing = inputs.check_number("label_smoothing", label_smoothing, 0.0)
        if max(self.dropout, self.label_smoothing) >= 1.0:
            raise InputError(f"dropout is {dropout} and label_smoothing {label_smoothing}; expected less than 1.")
        self._backbone_argument = backbone
        self.backbone = networks.backbone(backbone, self.image_shape, width, self.dtype_policy)
        self.num_features = self.backbone.compute_output_shape((None, *self.image_shape))[-1]
        self.logits = layers.Dense(self.num_classes, name="logits", dtype=self.dtype_policy)
        self.logits.build((None, self.num_features))

    def get_config(self):
        return super().get_config() | {
            "attributes": self.attributes,
            "backbone": networks.serialize(self.backbone, self._backbone_argument),
            "width": self.width,
            "dropout": self.dropout,
            "max_shift": self.max_shift,
            "label_smoothing": self.label_smoothing,
        }

    def default_optimizer(self):
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0)

    def check_labels(self, labels, num):
        if not self.attributes:
            return super().check_labels(labels, num)
        return inputs.check_attributes(labels, num, self.num_classes)

    def one_hot(self, labels):
        return ops.cast(labels, "float32") if self.attributes else super().one_hot(labels)

    def shift(self, images):
        """Each image moved by its own random whole number of pixels, along both axes."""
        for axis in (1, 2):
            offsets = keras.random.randint(
                (ops.shape(images)[0], 1), -self.max_shift, self.max_shift + 1, seed=self.seed_generator
            )
            side = images.shape[axis]
            places = ops.clip(ops.arange(side)[None] + offsets, 0, side - 1)  # [B, side]
            places = places[:, :, None, None] if axis == 1 else places[:, None, :, None]
            images = ops.take_along_axis(images, places, axis=axis)
        return images

    def outputs(self, images, training=False):
        """Features `[B, F]` and logits `[B, num_classes]`, float32, of images in [0, 1]."""
        features = self.backbone(2.0 * images - 1.0, training=training)
        kept = keras.random.dropout(features, self.dropout, seed=self.seed_generator) if training else features
        logits = self.logits(kept)
        return ops.cast(features, "float32"), ops.cast(logits, "float32")

    def scores(self, images, targets, training):
        """Cross-entropy in nats and accuracy, each `[B]`; over attributes, their means."""
        _, logits = self.outputs(images, training)
        smoothing = self.label_smoothing if training else 0.0
        if self.attributes:
            smooth = targets * (1.0 - smoothing) + 0.5 * smoothing
            loss = ops.mean(ops.binary_crossentropy(smooth, logits, from_logits=True), axis=-1)
            right = ops.mean(ops.cast(ops.equal(logits > 0.0, targets > 0.5), "float32"), axis=-1)
        else:
            smooth = targets * (1.0 - smoothing) + smoothing / self.num_classes
            loss = ops.categorical_crossentropy(smooth, logits, from_logits=True)
            right = ops.cast(ops.equal(ops.argmax(logits, axis=-1), ops.argmax(targets, axis=-1)), "float32")
        return loss, right

    @backend.train_step
    def train_step(self, data):
        images, targets = self.unpack(data)
        if self.max_shift:
            images = self.shift(images)

        def loss():
            losses, right = self.scores(images, targets, training=True)
            return ops.mean(losses), {"loss": losses, "accuracy": right}

        return self.update_metrics(**self.minimize(loss, self.trainable_variables))

    @backend.test_step
    def test_step(self, data):
        images, targets = self.unpack(data)
        losses, right = self.scores(images, targets, training=False)
        return self.update_metrics(loss=losses, accuracy=right)

    def call(self, images, training=False):
        """Logits, for images in [0, 1]."""
        return self.outputs(images, training)[1]

    # What it finds

    def outputs_step(self, images):
        """Features and probabilities side by side."""
        features, logits = self.outputs(self.scale(images))
        probabilities = ops.sigmoid(logits) if self.attributes else ops.softmax(logits)
        return ops.concatenate([features, probabilities], axis=-1)

    def extract(self, x, batch_size=250, verbose="auto"):
        """Features `[N, num_features]` and probabilities `[N, num_classes]` in one pass, float32."""
        x = self.check_images(x)
        both = self.run(self.outputs_step, len(x), rows(x), batch_size, verbose)
        return np.split(both, [self.num_features], axis=1)

    def classify(self, x, batch_size=250, verbose="auto"):
        """Probabilities of the classes, or of each attribute: float32 `[N, num_classes]`."""
        return self.extract(x, batch_size, verbose)[1]

    def features(self, x, batch_size=250, verbose="auto"):
        """What stands before the last layer: float32 `[N, num_features]`."""
        return self.extract(x, batch_size, verbose)[0]
