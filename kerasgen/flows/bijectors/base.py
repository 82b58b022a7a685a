"""`Bijector`: what every invertible layer has."""

import keras
from keras import ops

from kerasgen.modalities import Images, Vectors, modality_of


class Bijector(keras.layers.Layer):
    """An invertible map from data `x`, `[B, *shape]`, to `z`, `[B, *latent_shape]`, in float32.

    `shape` is `(height, width, channels)` for images or `(features,)` for vectors; every variable is made in the
    constructor. A bijector gives two methods, which undo each other:

    - `forward_and_log_det(x, condition=None, training=False)`: z, and log |det dz/dx| in nats, `[B]`;
    - `inverse_and_log_det(z, condition=None, training=False)`: x, and log |det dx/dz| in nats, `[B]`.

    `condition` is a tensor of leading axis B for those that are conditional, and `training` goes to their networks.
    """

    def __init__(self, shape, name=None):
        super().__init__(name=name, dtype="float32")
        self.shape = modality_of(shape, (Images, Vectors)).shape
        self.latent_shape = self.shape
        self.built = True

    def forward_and_log_det(self, x, condition=None, training=False):
        raise NotImplementedError

    def inverse_and_log_det(self, z, condition=None, training=False):
        raise NotImplementedError

    @property
    def initialized(self):
        """Whether data-dependent variables have their values; true for bijectors without any."""
        return True

    def initialize(self, x, condition=None):
        """Sets data-dependent variables from a batch, unless they are set; returns z."""
        return self.forward_and_log_det(x, condition)[0]


def repeated(log_det, x):
    """A log-determinant that is the same for every example, `[B]`."""
    return ops.broadcast_to(log_det, (ops.shape(x)[0],))


def positions(shape):
    """Over how many positions a map of the channels is repeated: height x width, or 1 for vectors."""
    return shape[0] * shape[1] if len(shape) == 3 else 1


def sum_per_example(x):
    """`[B, ...]` to `[B]`."""
    return ops.sum(x, axis=tuple(range(1, len(x.shape))))
