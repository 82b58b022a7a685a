"""`Translator`: what models from images to images share."""

import keras
import numpy as np
from keras import ops

from kerasgen import inputs
from kerasgen.base import rows
from kerasgen.errors import InputError
from kerasgen.export import Part
from kerasgen.gans.adversarial import AdversarialModel
from kerasgen.gans.losses import LOSSES, AdversarialLoss
from kerasgen.gans.optimizer import GANOptimizer
from kerasgen.modalities import Images, Modality, check_weights
from kerasgen.networks import resolve
from kerasgen.typing import Any, ArrayLike, Callable, Config, Shape, Tensor, Verbose


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
    called = "translate"

    def __init__(self, shape: Shape, source_channels: int | None, loss: Any, seed: int, **kwargs: Any):
        super().__init__(shape, None, seed, **kwargs)
        self.source_channels = inputs.check_integer("source_channels", source_channels or self.shape[-1], 1)
        self.source = Images((*self.shape[:2], self.source_channels))
        self.loss_function = resolve.resolve("loss", loss, LOSSES, AdversarialLoss)
        self.keep(loss=self.loss_function)

    @property
    def given_shape(self) -> tuple[int, ...]:
        """The shape of an image to translate."""
        return self.source.shape

    def source_shape_of(self, verb: str) -> tuple[int, ...]:
        return self.given_shape

    def default_optimizer(self) -> GANOptimizer:
        """Adam for both networks, as in Isola et al. 2017, section 3.3, and Zhu et al. 2017, section 4."""
        return GANOptimizer(*(keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2)))

    @property
    def source_shape(self) -> tuple[int, ...]:
        return self.given_shape

    @property
    def target_shape(self) -> tuple[int, ...]:
        return self.shape

    def check_batch(self, x: Any, y: Any, weights: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        if y is None:
            raise InputError(f"a {type(self).__name__} trains on pairs: give fit(images, images of the other kind).")
        x, y = self.source.check(x), self.modality.check(y)
        if len(x) != len(y):
            raise InputError(f"there are {len(x)} and {len(y)} images; expected as many of each.")
        return x, y, check_weights(weights, len(x))

    def check_spec(self, x: Any, y: Any, weights: Any) -> None:
        if y is None:
            raise InputError(f"a {type(self).__name__} trains on pairs: the data set must give (images, images).")
        for part, kind in ((x, self.source), (y, self.modality)):
            if part.shape.rank is not None:
                kind.check_spec(part.shape.as_list(), part.dtype.name)

    def unpack(self, data: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Images of both kinds, float32 in [-1, 1], and weights `[B]`."""
        source, target, weights = keras.utils.unpack_x_y_sample_weight(data)
        x, y = (self.modality.to_network(self.modality.scale(images)) for images in (source, target))
        return x, y, self.batch_weights(x, weights)

    def input_modality(self) -> Modality:
        return self.source

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """The translation of images, in [0, 1]."""
        return self.translate_step(images)

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

    def translate_step(self, images: Tensor) -> Tensor:
        """Translations in [0, 1] of uint8 or float images."""
        raise NotImplementedError

    def translate(self, x: ArrayLike, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        raise NotImplementedError

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        return {"whole": lambda: self.translation(self.translate_step)}

    def translation(self, step: Callable[[Tensor], Tensor]) -> Part:
        return Part(step, self.trial(self.source), "translations")

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
    return ops.mean(losses, axis=tuple(range(1, len(losses.shape))))
