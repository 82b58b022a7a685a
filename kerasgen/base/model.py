"""`BaseModel`: what every model shares."""

import itertools
import math
import re
import types
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
from keras import ops
from keras.layers import Layer

from kerasgen import backend, inputs, noise
from kerasgen.base import averaging
from kerasgen.base.exhibit import Exhibit
from kerasgen.base.family import FAMILIES, constructor_arguments, plain
from kerasgen.base.program import batched
from kerasgen.checkpoints import save_checkpoint
from kerasgen.errors import InputError
from kerasgen.modalities import Images, Modality, check_labels, modality_of, one_hot
from kerasgen.networks import resolve
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, Callable, Config, Labels, Logs, Self, Sequence, Tensor, Verbose

# What a model can be asked to do, in the order in which it is told; `offers` says which of it a model does.
VERBS = (
    *("sample", "encode", "decode", "reconstruct", "interpolate", "log_prob", "bits_per_dim", "anomaly_score"),
    *("denoise", "compress", "decompress", "inpaint", "edit", "upscale", "downscale", "translate"),
    *("classify", "features"),
)


class ReplicaSeedGenerator(keras.random.SeedGenerator):
    """A seed generator whose numbers differ from replica to replica of a TensorFlow strategy."""

    def next(self, ordered: bool = True) -> Tensor:
        return backend.replica_seed(super().next(ordered))


class _Presets:
    """`Cls.presets`: the zoo's entries of a class and its subclasses."""

    def __get__(self, model: Any, cls: type["BaseModel"]) -> dict[str, dict]:
        entries = cls.hub.list_models()
        return {entry["name"]: entry for entry in entries if issubclass(FAMILIES[entry["family"]], cls)}


class BaseModel(keras.Model):
    """A `keras.Model` of examples of one shape that trains by `fit` with a `train_step` of its own.

    Images are `[batch, height, width, channels]`, uint8 in 0..255 or float in [0, 1]; results are NumPy float32, images
    in [0, 1]. Vectors are `[batch, features]`, float of any range, and so are results. Constructor arguments are plain
    JSON values or Keras layers; every layer is built in the constructor.

    A subclass gives `loss_names` (what its steps log), `losses` (or steps of its own), and methods that are batched and
    compiled through `run`.

    Args:
        shape: of one example: `(height, width, channels)`, or what else the family's `modalities` have.
        num_classes: number of classes of a class-conditional model or a classifier, or `None`.
        seed: of the noise drawn in training.
    """

    loss_names: tuple[str, ...] = ("loss",)
    modalities: tuple[type[Modality], ...] = (Images,)  # that `shape` may be of
    model_arguments: tuple[str, ...] = ()  # of the constructor, that are models: a recipe gives their handles
    trains_on = "examples"  # or "pairs" of them, or "domains": two kinds without pairs
    task = "unconditional-image-generation"  # the nearest of the Hub's
    purpose = "For research, teaching and tests of"  # of generative models, in cards
    given_shape: tuple[int, ...] | None = None  # of the examples that a model draws others for, if it does
    drawn_by: str | None = None  # what makes samples, for the record, in families that have any
    likelihood: str | None = None  # "exact", "bound" or "estimate" for families with `log_prob`
    hub: ClassVar[Any] = None  # `publish`, `load` and `list_models`; kerasgen/hub/publication.py puts it here
    presets = _Presets()

    def __init__(self, shape: Sequence[int], num_classes: int | None = None, seed: int = 0, **kwargs: Any):
        # A fixed name: paths of variables must not depend on how many models were built before.
        kwargs.setdefault("name", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower())
        super().__init__(**kwargs)
        self.modality = modality_of(shape, self.modalities)
        self.shape = self.modality.shape
        self.num_classes = None if num_classes is None else inputs.check_integer("num_classes", num_classes, 1)
        self.seed = noise.check_seed(inputs.check_integer("seed", seed, 0))
        self.seed_generator = ReplicaSeedGenerator(self.seed % 2**31, name="seed_generator")
        self._arguments = types.SimpleNamespace()  # in which Keras looks for no layers
        self.trackers = [keras.metrics.Mean(name=name) for name in self.loss_names]
        self._programs: dict[tuple, Callable] = {}
        self.origin: str | None = None  # the zoo name or repository that it was loaded from
        self.built = True

    def get_config(self) -> Config:
        """The constructor's arguments, each from the attribute of its name, or as `keep` has kept it."""
        config = {"name": self.name, "trainable": self.trainable}
        config["dtype"] = keras.dtype_policies.serialize(self.dtype_policy)
        kept = vars(self._arguments)
        names = constructor_arguments(type(self))
        return config | {name: plain(kept[name] if name in kept else getattr(self, name)) for name in names}

    def keep(self, **arguments: Any) -> None:
        """Keeps arguments for `get_config` that no attribute holds as they are; a Keras layer is its own attribute."""
        found = {name: x for name, x in arguments.items() if resolve.named(x) or not isinstance(x, (dict, Layer))}
        vars(self._arguments).update(found)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return self.trackers

    @property
    def num_dims(self) -> int:
        """Values in one example: height x width x channels of images."""
        return math.prod(self.shape)

    # Training

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """As `keras.Model.compile`; without an optimizer, the family's default. Losses are the family's own."""
        for argument in ("loss", "metrics", "weighted_metrics", "loss_weights"):
            if kwargs.get(argument) is not None:
                raise InputError(f"compile({argument}=...) is not for {type(self).__name__}: its loss is its own.")
        if kwargs.get("jit_compile", "auto") == "auto":
            kwargs["jit_compile"] = backend.jit_compile()
        super().compile(optimizer=self.default_optimizer() if optimizer is None else optimizer, **kwargs)
        self.optimizer.build(self.trainable_variables)
        averaging.warm_up(self.optimizer)

    def get_compile_config(self) -> Config | None:
        return {"optimizer": keras.saving.serialize_keras_object(self.optimizer)} if self.compiled else None

    def compile_from_config(self, config: Config) -> None:
        self.compile(keras.saving.deserialize_keras_object(config["optimizer"]))

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """A new optimizer for `compile()` without arguments."""
        return keras.optimizers.Adam(1e-3)

    def optimizer_from(self, make: Callable[..., keras.optimizers.Optimizer]) -> keras.optimizers.Optimizer:
        """The optimizer that `make()` gives, or one of several that it gives, by what a recipe says."""
        return make()

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As `keras.Model.fit`, on arrays of examples (and labels) or a data set of such batches."""
        if not args and not hasattr(x, "__array__") and not isinstance(x, keras.utils.PyDataset):
            kwargs.setdefault("shuffle", False)  # Keras' default is for those, and it warns of others
        x, y = self.check_training_data(x, y)
        if self.needs_initialization:
            batch, x = first_batch(x, y, (args[0] if args else kwargs.get("batch_size")) or 32)
            self.initialize(*self.unpack(batch))
        with averaging.showing_averages(self, kwargs.pop("callbacks", None)) as callbacks:
            return super().fit(x, y, *args, callbacks=callbacks, **kwargs)

    def refresh(self) -> None:
        """Takes anew what depends on weights and needs no data; `fit` calls it at the end of each epoch."""

    def train_on_batch(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.train_on_batch`."""
        x, y = self.check_training_data(x, y)
        if self.needs_initialization:
            self.initialize(*self.unpack((x, y)))
        return super().train_on_batch(x, y, **kwargs)

    @property
    def needs_initialization(self) -> bool:
        """Whether variables still wait for values that depend on data; false for most families."""
        return False

    def initialize(self, x: Tensor, one_hot: Tensor | None) -> None:
        """Sets such variables from a batch as `unpack` gives it: the first one of `fit`, before it is split up."""

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`, on arrays of examples (and labels) or a data set of such batches."""
        if "callbacks" in kwargs:
            kwargs["callbacks"] = averaging.without_swaps(self, kwargs["callbacks"])
        return super().evaluate(*self.check_training_data(x, y), *args, **kwargs)

    def check_training_data(self, x: Any, y: Any) -> tuple[Any, Any]:
        """What `fit` and `evaluate` were handed, checked as far as it is there: arrays whole, data sets by their form.

        Raises `InputError`: it does not fit the model.
        """
        if hasattr(x, "element_spec"):  # a tf.data.Dataset
            spec, *rest = x.element_spec if isinstance(x.element_spec, tuple) else (x.element_spec,)
            if spec.shape.rank is not None:
                self.modality.check_spec(spec.shape.as_list(), spec.dtype.name)
            if self.num_classes is not None and not rest:
                raise InputError("this model needs labels: the data set must give (images, labels).")
        elif hasattr(x, "__array__"):
            x = self.modality.check(x)
            y = None if self.num_classes is None else self.check_labels(y, len(x))
        return x, y

    def unpack(self, data: Any) -> tuple[Tensor, Tensor | None]:
        """Examples and one-hot labels of a batch, float32 `[B, *shape]` and `[B, num_classes]` or `None`.

        Images are in [0, 1]. Labels are ignored by a model without classes.
        """
        x, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.modality.check_spec(tuple(x.shape), keras.backend.standardize_dtype(x.dtype))
        if self.num_classes is None:
            return self.modality.scale(x), None
        if labels is None:
            raise InputError("this model needs labels: fit and evaluate take (images, labels).")
        return self.modality.scale(x), self.one_hot(labels)

    def one_hot(self, labels: Tensor | None) -> Tensor | None:
        """float32 `[B, num_classes]` of labels `[B]`; `None` of `None`."""
        return None if labels is None else one_hot(labels, self.num_classes)

    def losses(self, x: Tensor, one_hot: Tensor | None, training: bool) -> tuple[Tensor, Logs]:
        """What a step minimizes, `[B]` or a scalar, and what it logs; x and labels as `unpack` gives them."""
        raise NotImplementedError

    @backend.train_step
    def train_step(self, data: Any) -> Logs:
        """One optimizer step on the mean of `losses`."""
        x, one_hot = self.unpack(data)

        def loss():
            losses, logs = self.losses(x, one_hot, training=True)
            return self.optimizer.scale_loss(ops.mean(losses)), logs

        (_, logs), gradients = backend.value_and_grad(loss, self.trainable_variables)
        backend.apply_gradients(self.optimizer, gradients, self.trainable_variables)
        return self.update_metrics(**logs)

    @backend.test_step
    def test_step(self, data: Any) -> Logs:
        return self.update_metrics(**self.losses(*self.unpack(data), training=False)[1])

    def update_metrics(self, **values: Tensor) -> Logs:
        """Adds values, `[B]` or scalars, to the running means named in `loss_names`; returns the means."""
        trackers = {tracker.name: tracker for tracker in self.trackers}
        for name, value in values.items():
            trackers[name].update_state(value)
        return {name: trackers[name].result() for name in values}

    # Batched and compiled methods

    def run(
        self, function: Callable, num: int, batch: Callable, size: int = 64, verbose: Verbose = "auto", *static: Any
    ) -> np.ndarray:
        """Rows 0 to `num - 1` of `function(*batch(start, stop), *static)`: see `batched`.

        Args:
            function: a bound method from tensors of leading axis B to a tensor of leading axis B.
            static: hashable arguments, part of the program.
        """
        key = (function.__name__, static)
        if key not in self._programs:
            self._programs[key] = backend.compiled(self, lambda *args: function(*args, *static))
        return batched(self._programs[key], num, batch, size, verbose)

    def check_labels(self, labels: Labels, num: int) -> np.ndarray | None:
        """Labels of `num` examples as int32; `None` for a model without classes. Raises `InputError`."""
        return check_labels(labels, num, self.num_classes)

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

    # Saving

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves to a `.keras` file, with the optimizer, or to a checkpoint folder: config, weights and metadata.

        `dtype="float16"` halves the weights of a folder; they are cast back when loaded.
        """
        path = str(filepath)
        if path.endswith(".keras") or path.startswith("hf://"):
            return super().save(filepath, overwrite=overwrite, **kwargs)
        if not overwrite and Path(path).exists():
            raise InputError(f"{path} exists; choose another path or save with overwrite=True.")
        return save_checkpoint(self, path, **kwargs)

    def push_to_hub(self, repo_id: str, **settings: Any) -> Any:
        """Publishes the model on the Hugging Face Hub; settings and result are those of `kerasgen.publish`."""
        return self.hub.publish(self, repo_id, **settings)

    @classmethod
    def from_preset(cls, handle: Any, **settings: Any) -> Self:
        """The model that `kerasgen.load` gives for a handle, if it is of this class. `Cls.presets` has the zoo's names.

        Raises `InputError`: it is of another class.
        """
        model = cls.hub.load(handle, **settings)
        if not isinstance(model, cls):
            name = type(model).__name__
            raise InputError(f"{handle!r} is a {name}, not a {cls.__name__}; call {name}.from_preset or kerasgen.load.")
        return model


def first_batch(x: Any, y: Any, batch_size: int) -> tuple[Any, Any]:
    """`(batch, x)`: the first batch that `fit` would see, and x with nothing taken from it."""
    if hasattr(x, "__array__"):
        return (x[:batch_size], None if y is None else y[:batch_size]), x
    if isinstance(x, keras.utils.PyDataset):
        return x[0], x
    if isinstance(x, types.GeneratorType):
        batch = next(x)
        return batch, (item for item in itertools.chain([batch], x))
    return next(iter(x)), x
