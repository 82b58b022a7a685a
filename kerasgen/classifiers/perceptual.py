"""How unlike two images look to a network that was trained for something else."""

from keras import ops

from kerasgen.classifiers.classifier import Classifier
from kerasgen.errors import InputError
from kerasgen.typing import Any, Tensor


class PerceptualDistance:
    """d(x, y) `[B]`: the sum over levels of the mean over places of |f(x) - f(y)|^2.

    f are the feature maps of a classifier, of length 1 at each place (Zhang et al. 2018, equation 1, with all channels
    weighed alike). It is at most 4 a level. Its network stays as it is.

    Args:
        classifier: a `Classifier`, for example `kerasgen.load("resnet-celeba-attributes")`.

    Raises `InputError`: it is no classifier, or one whose backbone has no feature maps.
    """

    def __init__(self, classifier: Any):
        if not isinstance(classifier, Classifier):
            found = f"a perceptual distance is by a Classifier, not a {type(classifier).__name__}"
            raise InputError(f"{found}; give one, such as kerasgen.load('resnet-celeba-attributes').")
        self.shape = classifier.shape
        self.feature_maps = classifier.feature_maps()

    def features(self, images: Tensor) -> list[Tensor]:
        """f of images in [0, 1]."""
        maps = (ops.cast(x, "float32") for x in self.feature_maps(2.0 * images - 1.0, training=False))
        return [x * ops.rsqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-6) for x in maps]

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """d of images in [0, 1]; the gradient is that by y. Raises `InputError`: the classifier is of other images."""
        if tuple(x.shape[1:]) != self.shape:
            raise InputError(f"the perceptual distance is of images of {self.shape}, not {tuple(x.shape[1:])}.")
        pairs = zip(map(ops.stop_gradient, self.features(x)), self.features(y), strict=True)
        return sum(ops.mean(ops.sum(ops.square(f - g), axis=-1), axis=(1, 2)) for f, g in pairs)
