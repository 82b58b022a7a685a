"""`Translator`: what models from images to images share."""

import keras
import numpy as np
from keras import ops

from kerasgen import inputs
from kerasgen.base import rows
from kerasgen.errors import InputError
from kerasgen.gans.adversarial import AdversarialModel
from kerasgen.gans.losses import LOSSES, AdversarialLoss
from kerasgen.gans.optimizer import GANOptimizer
from kerasgen.modalities import Images, Modality
from kerasgen.networks import resolve
from kerasgen.typing import Any, ArrayLike, Callable, Config, Sequence, Tensor, Verbose


class Translator(AdversarialModel):
    """An adversarial model whose generators take images.

    `fit` takes images and, in place of labels, those of the other kind: two arrays of one length, or a data set of
    pairs of batches.

    Args:
        shape, seed: see `BaseModel`; the shape is that of the images to give.
        source_channels: of the images to take, if not as many.
        loss: a name in `kerasgen.gans.losses.LOSSES`, or an `AdversarialLoss`.
    """

    task = "image-to-image"
    drawn_by = "translation"

    def __init__(self, shape: Sequence[int], source_channels: int | None, loss: Any, seed: int, **kwargs: Any):
        super().__init__(shape, None, seed, **kwargs)
        self.source_channels = inputs.check_integer("source_channels", source_channels or self.shape[-1], 1)
        self.source = Images((*self.shape[:2], self.source_channels))
        self.loss_function = resolve.resolve("loss", loss, LOSSES, AdversarialLoss)
        self.keep(loss=self.loss_function)
        self.check_precision()

    @property
    def given_shape(self) -> tuple[int, ...]:
        """The shape of an image to translate."""
        return self.source.shape

    def source_shape_of(self, verb: str) -> tuple[int, ...]:
        return self.given_shape

    def default_optimizer(self) -> GANOptimizer:
        """Adam for both networks, as in Isola et al. 2017, section 3.3, and Zhu et al. 2017, section 4."""
        return GANOptimizer(*(keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2)))

    def check_training_data(self, x: Any, y: Any) -> tuple[Any, Any]:
        kinds = (self.source, self.modality)
        if hasattr(x, "element_spec"):  # a tf.data.Dataset
            if not isinstance(x.element_spec, tuple) or len(x.element_spec) != 2:
                raise InputError(f"{type(self).__name__} trains on pairs: the data set must give (images, images).")
            for spec, kind in zip(x.element_spec, kinds, strict=True):
                if spec.shape.rank is not None:
                    kind.check_spec(spec.shape.as_list(), spec.dtype.name)
        elif hasattr(x, "__array__"):
            if y is None:
                raise InputError(f"{type(self).__name__} trains on pairs: give fit(images, images of the other kind).")
            x, y = (kind.check(images) for kind, images in zip(kinds, (x, y), strict=True))
            if len(x) != len(y):
                raise InputError(f"there are {len(x)} and {len(y)} images; expected as many of each.")
        return x, y

    def unpack(self, data: Any) -> tuple[Tensor, Tensor]:
        """Images of both kinds, float32 in [-1, 1]."""
        source, target = data[:2]
        return tuple(self.modality.to_network(self.modality.scale(images)) for images in (source, target))

    def run_generator(self, generator: Callable, images: Tensor) -> Tensor:
        """A generator's images in [0, 1] for uint8 or float ones."""
        x = self.modality.to_network(self.modality.scale(images))
        return self.modality.from_network(ops.cast(generator(x), "float32"))

    def run_on(
        self, function: Callable, x: ArrayLike, modality: Modality, batch_size: int, verbose: Verbose
    ) -> np.ndarray:
        """`function` on images, checked first."""
        x = modality.check(x)
        return self.run(function, len(x), rows(x), batch_size, verbose)

    def translate(self, x: ArrayLike, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        raise NotImplementedError

    def synthesize(
        self,
        num: int,
        given: np.ndarray,
        labels: np.ndarray | None,
        seed: Any = None,
        temperature: Any = 1.0,
        **batching: Any,
    ) -> tuple[np.ndarray, None]:
        """The translations of the images given, to compare with real ones of the other kind."""
        return self.translate(given, **batching), None

    def snippet(self, handle: str, drawing: Config | None = None) -> str:
        return f"""import kerasgen
import numpy as np

model = kerasgen.load("{handle}")
images = np.zeros((16, {", ".join(map(str, self.given_shape))}), np.uint8)  # yours, or float in [0, 1]
translated = model.translate(images)  # float32 in [0, 1]
model.compile()  # then fine-tune: model.fit(images, images of the other kind)"""

    def probe(self) -> np.ndarray:
        return self.translate(np.zeros((2, *self.given_shape), np.float32), verbose=0)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference `[B]` of images in [-1, 1]."""
    return ops.mean(ops.abs(a - b), axis=(1, 2, 3))


def mean_over_patches(losses: Tensor) -> Tensor:
    """Means `[B]` over the patches of `[B, ...]`."""
    return ops.mean(ops.reshape(losses, (ops.shape(losses)[0], -1)), axis=-1)
