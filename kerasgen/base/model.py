"""`BaseModel`: what every model shares."""

import math
import re
import types
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from kerasgen import inputs, noise
from kerasgen.base.display import Display
from kerasgen.base.exhibit import Exhibit
from kerasgen.base.exporting import Exporting
from kerasgen.base.family import FAMILIES, policy_of
from kerasgen.base.program import Programs, batched
from kerasgen.base.tuning import Tuning
from kerasgen.base.turns import Turns
from kerasgen.errors import InputError
from kerasgen.modalities import Images, Modality, modality_of
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, Callable, Config, Shape, Verbose

# What a model can be asked to do, in the order in which it is told; `offers` says which of it a model does.
VERBS = (
    *("sample", "encode", "decode", "reconstruct", "interpolate", "log_prob", "bits_per_dim", "anomaly_score"),
    *("calibrate", "detect"),
    *("denoise", "compress", "decompress", "inpaint", "infill", "forecast", "edit"),
    *("upscale", "downscale", "translate"),
    *("classify", "features"),
)


class RowSettings(NamedTuple):
    """How a family detects anomalous rows."""

    arguments: Config  # of the constructor, besides the shape
    scorer: str
    noise_stddev: float  # of the noise that standardized rows get in training
    preferred: bool = False  # whether to begin with it


class _Presets:
    """`Cls.presets`: the zoo's entries of a class and its subclasses."""

    def __get__(self, model: Any, cls: type["BaseModel"]) -> dict[str, dict]:
        entries = cls.hub.list_models()
        return {entry["name"]: entry for entry in entries if issubclass(FAMILIES[entry["family"]], cls)}


class BaseModel(Tuning, Display, Exporting):
    """A `keras.Model` of examples of one shape that trains by `fit` with a `train_step` of its own.

    Images are `[batch, height, width, channels]`, uint8 in 0..255 or float in [0, 1]; results are NumPy float32, images
    in [0, 1]. Vectors are `[batch, features]`, float of any range, and so are results. Constructor arguments are plain
    JSON values or Keras layers; every layer is built in the constructor.

    A subclass gives `loss_names` (what its steps log), `losses` (or steps of its own), and methods that are batched and
    compiled through `run`.

    Args:
        shape: of one example: `(height, width, channels)`, or what else the family's `modalities` have; or a modality;
            of sounds a dictionary (see `kerasgen.modalities.Sounds`).
        num_classes: number of classes of a class-conditional model or a classifier, or `None`.
        seed: of the noise drawn in training.
        dtype: policy of layers; by default Keras' own where that has float32 variables, else float32.
    """

    modalities: tuple[type[Modality], ...] = (Images,)  # that `shape` may be of
    trains_on = "examples"  # or "pairs" of them, or "domains": two kinds without pairs
    task = "unconditional-image-generation"  # the nearest of the Hub's
    purpose = "For research, teaching and tests of"  # of generative models, in cards
    given_shape: tuple[int, ...] | None = None  # of the examples that a model draws others for, if it does
    attributes: Any = None  # of labels that may hold at once, in place of classes
    has_intermediates = False  # whether `sample` can give what it has after each of its steps, examples all of them
    of_any_size: tuple[str, ...] = ()  # verbs that take images of any sides
    drawn_by: str | None = None  # what makes samples, for the record, in families that have any
    likelihood: str | None = None  # "exact", "bound" or "estimate" for families with `log_prob`
    presets = _Presets()

    def __init__(self, shape: Shape | Modality, num_classes: int | None = None, seed: int = 0, **kwargs: Any):
        # A fixed name: paths of variables must not depend on how many models were built before.
        kwargs.setdefault("name", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower())
        super().__init__(**kwargs | {"dtype": policy_of(kwargs.get("dtype"))})
        self.modality = modality_of(shape, self.modalities)
        self.shape = self.modality.shape
        if self.modality.config is not None:
            self.keep(shape=self.modality.config)
        self.num_classes = None if num_classes is None else inputs.check_integer("num_classes", num_classes, 1)
        self.seed = noise.check_seed(inputs.check_integer("seed", seed, 0))
        self.seed_generator = keras.random.SeedGenerator(self.seed % 2**31, name="seed_generator")
        self.trackers = [keras.metrics.Mean(name=name, dtype="float32") for name in self.loss_names]
        self.programs = Programs(self)
        self.turns = Turns()
        self.origin: str | None = None  # the zoo name or repository that it was loaded from
        self.folder: Path | None = None  # of the checkpoint, maybe with samples and figures of it
        self.built = True

    @property
    def num_dims(self) -> int:
        """Values in one example: height x width x channels of images."""
        return math.prod(self.shape)

    @property
    def exclusive_classes(self) -> int | None:
        """`num_classes`, where labels are classes of which an example has one; `None` of attributes."""
        return None if self.attributes else self.num_classes

    @property
    def shows_examples(self) -> bool:
        """Whether the first of its exhibits is made of examples, which it must be given then."""
        return self.given_shape is not None

    _trained_by = types.SimpleNamespace(model=None)  # in which Keras looks for no layers

    def train_in(self, model: "BaseModel | None") -> None:
        """Makes it a part of a model, whose optimizer counts its steps until it is compiled itself."""
        self._trained_by = types.SimpleNamespace(model=model)

    @property
    def steps_trained(self) -> Any:
        """Steps of the optimizer so far, a variable."""
        return (self._trained_by.model or self).optimizer.iterations

    # Batched and compiled methods

    def run(
        self,
        function: Callable,
        num: int,
        batch: Callable,
        size: int = 64,
        verbose: Verbose = "auto",
        *static: Any,
        shared: tuple = (),
    ) -> np.ndarray:
        """Rows 0 to `num - 1` of `function(*batch(start, stop), *shared, *static)`: see `batched`.

        Args:
            function: a bound method from tensors of leading axis B to a tensor of leading axis B.
            static: hashable arguments, part of the program.
            shared: NumPy arrays and numbers, or trees of them and of `None`, that are the same for all rows.
        """
        shared = keras.tree.map_structure(lambda a: None if a is None else ops.convert_to_tensor(a), shared)

        def program(*rows):
            arguments = (*rows, *shared)
            return self.programs.compiled(function, static, arguments)(*arguments)

        with self.turns.reading():
            self.programs.refresh()
            return batched(program, num, batch, size, verbose, self.modality.counted)

    column_names: tuple[str, ...] | None = None  # of the columns of a table
    num_codes: int | None = None  # values of its discrete latents, where it has such
    noise_range: tuple[float, float] | None = None  # least and greatest standard deviation of noise that it removes

    def finish_training(self, examples: Callable[[], np.ndarray], held_out: Callable[[], np.ndarray]) -> None:
        """Does what remains to be done after `fit`, with what gives training examples and others; nothing for most."""

    anomaly_threshold: float | None = None  # of the first of its scores, where it has one

    @classmethod
    def for_rows(cls, num_columns: int) -> "RowSettings | None":
        """How it detects anomalous rows of a table with so many columns; `None` if it does not."""
        return None

    def anomaly_scorers(self) -> dict[str, Callable]:
        """Ways to score how strange examples are, by name, its own first: functions of x, such as `anomaly_score`."""
        return {}

    # What it says of itself

    @property
    def offers(self) -> tuple[str, ...]:
        """Those of `VERBS` that this model does."""
        return tuple(verb for verb in VERBS if hasattr(self, verb))

    def verb(self, name: str) -> Callable:
        """The method of this name. Raises `InputError`: the model does not offer it; says what it does offer."""
        if name not in self.offers:
            raise InputError(f"{type(self).__name__} does not {name}; what it offers: {', '.join(self.offers)}.")
        return getattr(self, name)

    def source_shape_of(self, verb: str) -> tuple[int, ...]:
        """The shape of one example that `verb` reads."""
        return self.shape

    def exhibit(self, examples: np.ndarray | None, labels: np.ndarray | None, settings: Evaluation) -> list[Exhibit]:
        """Pictures of what the model does, the one that stands for it first.

        Args:
            examples, labels: some of its data; `None` where only captions are wanted.
            settings: the `[evaluation]` of its recipe.
        """
        return []

    def measures(self) -> tuple[str, ...]:
        """Names of the figures in `kerasgen.metrics.FIGURES` that apply to it."""
        return ()

    def sampling_config(self, temperature: float = 1.0, **settings: Any) -> Config | None:
        """What `sample` does with these arguments, as plain JSON values, for the record; `None` if it draws nothing.

        Raises `InputError`: there is no such setting.
        """
        if settings:
            raise InputError(f"{type(self).__name__} has no sampler, so no {', '.join(sorted(settings))} to set.")
        return None if self.drawn_by is None else {"name": self.drawn_by, "steps": 1, "temperature": temperature}

    def snippet(self, handle: str, drawing: Config | None = None) -> str:
        """Code that loads and uses the model, as it runs.

        Args:
            handle: what `kerasgen.load` takes.
            drawing: arguments of `sample` that its recipe advises.
        """
        raise NotImplementedError

    def probe(self) -> np.ndarray:
        """One forward pass, the same for models that are the same: what a publication compares."""
        raise NotImplementedError

    def probe_labels(self) -> np.ndarray | None:
        """Labels for the two examples of a probe."""
        return None if self.num_classes is None else np.zeros(2, np.int32)
