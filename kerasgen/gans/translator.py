"""`Translator`: what models from images to images share."""

import keras
from keras import ops

from kerasgen import inputs
from kerasgen.errors import InputError
from kerasgen.models import game
from kerasgen.base.model import ImageModel, rows
from kerasgen.gans.optimizer import Game, Players


class Translator(Game, ImageModel):
    """A game whose generators take images.

    `fit` takes images and, in place of labels, those of the other kind: two arrays of one length, or a data set of
    pairs of batches.

    Args:
        image_shape: `(height, width, channels)` of the images to give.
        source_channels: of the images to take, if not as many.
        loss: a name in `kerasgen.gans.losses.LOSSES`, or a `GameLoss`.
        seed: of the noise drawn in training.
    """

    def __init__(self, image_shape, source_channels, loss, seed, **kwargs):
        super().__init__(image_shape, None, seed, **kwargs)
        channels = inputs.check_integer("source_channels", source_channels or self.image_shape[-1], 1)
        self.source_shape = (*self.image_shape[:2], channels)
        self.loss_function = game.resolve("loss", loss, game.LOSSES, game.GameLoss)
        self.check_precision()

    def get_config(self):
        config = super().get_config() | {"loss": keras.saving.serialize_keras_object(self.loss_function)}
        del config["num_classes"]
        return config

    def default_optimizer(self):
        """Adam for both, of Isola et al. 2017, section 3.3, and Zhu et al. 2017, section 4."""
        return Players(*(keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2)))

    def _check_training_data(self, x, y):
        if hasattr(x, "element_spec"):  # a tf.data.Dataset
            if not isinstance(x.element_spec, tuple) or len(x.element_spec) != 2:
                raise InputError(f"{type(self).__name__} trains on pairs: the data set must give (images, images).")
            for spec, shape in zip(x.element_spec, (self.source_shape, self.image_shape), strict=True):
                if spec.shape.rank is not None:
                    inputs.check_spec(spec.shape.as_list(), spec.dtype.name, shape)
        elif hasattr(x, "__array__"):
            if y is None:
                raise InputError(f"{type(self).__name__} trains on pairs: give fit(images, images of the other kind).")
            x, y = inputs.check_images(x, self.source_shape), inputs.check_images(y, self.image_shape)
            if len(x) != len(y):
                raise InputError(f"there are {len(x)} and {len(y)} images; expected as many of each.")
        return x, y

    def unpack(self, data):
        """Images of both kinds, float32 in [-1, 1]."""
        source, target = data[:2]
        return tuple(2.0 * self.scale(images) - 1.0 for images in (source, target))

    def translated(self, generator, images):
        """Images in [0, 1] by a generator, of uint8 or float ones."""
        return 0.5 * (ops.cast(generator(2.0 * self.scale(images) - 1.0), "float32") + 1.0)

    def run_on(self, function, x, shape, batch_size, verbose):
        """`function` on images `[N, *shape]`, checked first."""
        x = inputs.check_images(x, shape)
        return self.run(function, len(x), rows(x), batch_size, verbose)


def distance(a, b):
    """Mean absolute difference `[B]` of images in [-1, 1]."""
    return ops.mean(ops.abs(a - b), axis=(1, 2, 3))


def of_patches(losses):
    """Means `[B]` over the patches of `[B, ...]`."""
    return ops.mean(ops.reshape(losses, (ops.shape(losses)[0], -1)), axis=-1)
