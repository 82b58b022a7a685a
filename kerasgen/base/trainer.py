"""`Trainer`: how every model trains, and how it is called, by Keras' entry points."""

import contextlib
import functools
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops, tree

from kerasgen import backend
from kerasgen.base import averaging
from kerasgen.base.batches import rows_of_batch, sample
from kerasgen.base.gate import Gate, arguments
from kerasgen.base.program import Programs
from kerasgen.base.rate import with_rate
from kerasgen.base.saving import Saving
from kerasgen.base.step_noise import StepNoise
from kerasgen.base.turns import alone
from kerasgen.checkpoints import check_savable
from kerasgen.errors import InputError
from kerasgen.modalities import Modality, check_labels, check_weights, one_hot
from kerasgen.typing import Any, Callable, Labels, Logs, Tensor

SAMPLE = 1024  # examples from which variables are initialized
EVALUATION = 0x5EED  # in the seeds of evaluations


class ReplicaSeedGenerator(keras.random.SeedGenerator):
    """A seed generator whose numbers differ from replica to replica of a TensorFlow strategy."""

    def next(self, ordered: bool = True) -> Tensor:
        return backend.replica_seed(super().next(ordered))


class Trainer(backend.StateKeeper, StepNoise, Saving):
    """A `keras.Model` whose steps minimize `losses`, and whose entry points check what they are handed.

    Means over a batch are sums over the global batch, weighed by `sample_weight`, divided by the sum of the weights.
    So replicas of a strategy take the step of one device, whatever their shares of the batch.
    """

    loss_names: tuple[str, ...] = ("loss",)
    target_shape: tuple[int, ...] | None = None  # of what comes with an example, where it is one like it
    called = ""  # what `model(x)` does, or "" if there is no such thing
    optimizer: Any = None  # before `compile`, where Keras has no such attribute
    train_in: Any
    modality: Modality
    num_classes: int | None
    attributes: Any
    seed: int
    programs: Programs
    seed_generator: keras.random.SeedGenerator
    trackers: list[keras.metrics.Mean]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return self.trackers

    @property
    def source_shape(self) -> tuple[int, ...]:
        """The shape of one example that `fit` takes."""
        return self.modality.shape

    def check_batch(self, x: Any, y: Any, weights: Any) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Examples, what comes with them, and weights, as NumPy arrays. Raises `InputError`."""
        x = self.modality.check(x)
        y, weights = self.check_targets(x, y), check_weights(weights, len(x))
        if y is None and weights is not None:
            y = np.zeros(len(x), np.int32)  # labels that nothing reads: Keras drops weights that come without
        return x, y, weights

    def check_targets(self, x: np.ndarray, y: Any) -> np.ndarray | None:
        """Labels of examples `[N, ...]`; those of a model without classes are left out. Raises `InputError`."""
        if self.num_classes is not None:
            return self.check_labels(y, len(x))
        if y is not None and np.shape(y) == x.shape:
            raise InputError(f"y has the shape of x; a {type(self).__name__} learns from examples alone: leave y out.")
        return None

    def check_spec(self, x: Any, y: Any, weights: Any) -> None:
        """What a data set says of its batches before it gives any. Raises `InputError`."""
        if x.shape.rank is not None and x.shape.rank != len(self.source_shape):
            self.modality.check_spec(x.shape.as_list(), x.dtype.name)
        if self.num_classes is not None and y is None:
            raise InputError("this model needs labels: the data set must give (examples, labels).")

    def check_labels(self, labels: Labels, num: int) -> np.ndarray | None:
        """Labels of `num` examples as int32; `None` for a model without classes. Raises `InputError`."""
        return check_labels(labels, num, self.num_classes)

    def check_class_weight(self, class_weight: Any) -> dict[int, float]:
        """A weight for each class, 1 for those that are not named. Raises `InputError`."""
        if self.num_classes is None or self.attributes:
            raise InputError(f"class_weight is for models with classes; this {type(self).__name__} has none.")
        classes = range(self.num_classes)
        if not isinstance(class_weight, dict) or not set(class_weight) <= set(classes):
            last = self.num_classes - 1
            raise InputError(f"class_weight is {class_weight!r}; expected a dictionary of classes, 0 to {last}.")
        weights = check_weights([class_weight.get(label, 1.0) for label in classes], self.num_classes)
        return dict(zip(classes, weights.tolist(), strict=True))

    # Keras' entry points

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """As `keras.Model.compile`; without an optimizer, the family's default. Losses are the family's own."""
        for argument in ("loss", "metrics", "weighted_metrics", "loss_weights"):
            if kwargs.get(argument) is not None:
                raise InputError(f"compile({argument}=...) is not for {type(self).__name__}: its loss is its own.")
        self.keep_compile_options(kwargs)
        if kwargs.get("jit_compile", "auto") == "auto":
            kwargs["jit_compile"] = backend.jit_compile()
        self.programs.clear()
        self.train_in(None)
        super().compile(optimizer=self.default_optimizer() if optimizer is None else optimizer, **kwargs)
        self.optimizer.build(self.trainable_variables)
        averaging.warm_up(self.optimizer)
        check_savable(self)
        for layer in self._flatten_layers():
            if not isinstance(layer, Trainer):  # such as dropout, also of users' networks
                for generator in layer._seed_generators:
                    generator.__class__ = ReplicaSeedGenerator

    def seed_generators(self) -> list[keras.random.SeedGenerator]:
        """Those of the model and of all its layers."""
        found = {id(generator): generator for layer in self._flatten_layers() for generator in layer._seed_generators}
        return list(found.values())

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        """A new optimizer for `compile()` without arguments."""
        return keras.optimizers.Adam(1e-3)

    def optimizer_from(self, make: Callable[..., keras.optimizers.Optimizer]) -> keras.optimizers.Optimizer:
        """The optimizer that `make()` gives, or one of several that it gives, by what a recipe says."""
        return make()

    def training_callbacks(self) -> list[keras.callbacks.Callback]:
        """Callbacks that `fit` adds to the user's."""
        return []

    @alone
    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As `keras.Model.fit`, on examples (and labels): arrays, or batches from whatever Keras takes."""
        settings = arguments(super().fit, x, y, *args, **kwargs)
        with Gate(self) as gate:
            gate.admit_training(settings)
            if self.needs_initialization or gate.unseen:
                share = functools.partial(rows_of_batch, settings["x"])
                some_x, some_y, settings["x"] = sample(settings["x"], settings["y"], SAMPLE, self.seed)
                some_x, some_y = (a if a is None else backend.of_all_processes(a, share) for a in (some_x, some_y))
                self.modality.check_training(some_x, whole=False)
                if self.needs_initialization:
                    self.initialize(*self.unpack(self.check_batch(some_x, some_y, None))[:2])
            callbacks, rows = self.with_own_callbacks(settings.get("callbacks")), gate.rows(settings)
            callbacks = with_rate(callbacks, settings.get("verbose", "auto"), self.modality.counted, rows)
            with averaging.showing_averages(self, callbacks) as settings["callbacks"]:
                return super().fit(**settings)

    def with_own_callbacks(self, callbacks: Any) -> Any:
        """The user's callbacks, one, several or a `CallbackList`, and the model's own."""
        own = self.training_callbacks()
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            return [*tree.flatten(callbacks or []), *own]
        for callback in own:
            callbacks.append(callback)
        return callbacks

    @alone
    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`, on examples (and labels). The noise is the same in each evaluation."""
        if kwargs.get("_use_cached_eval_dataset"):  # within `fit`, which has checked them
            with self.fixed_noise():
                return super().evaluate(x, y, *args, **kwargs)
        settings = arguments(super().evaluate, x, y, *args, **kwargs)
        settings |= settings.pop("kwargs", {})
        settings["callbacks"] = averaging.without_swaps(self, settings.get("callbacks"))
        with Gate(self) as gate, self.fixed_noise():
            x, y, weights = gate.admit(
                settings["x"], settings["y"], settings.get("sample_weight"), settings.get("steps") is not None
            )
            return super().evaluate(**settings | {"x": x, "y": y, "sample_weight": weights})

    @alone
    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, **kwargs: Any
    ) -> Any:
        """As `keras.Model.train_on_batch`."""
        x, y, sample_weight = self.check_batch(x, y, sample_weight)
        class_weight = class_weight and self.check_class_weight(class_weight)
        if self.needs_initialization:
            self.initialize(*self.unpack((x, y))[:2])
        return super().train_on_batch(x, y, sample_weight, class_weight, **kwargs)

    @alone
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.test_on_batch`, with the same noise each time."""
        with self.fixed_noise():
            return super().test_on_batch(*self.check_batch(x, y, sample_weight), **kwargs)

    @alone
    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.predict`: what `model(x)` gives."""
        settings = arguments(super().predict, x, *args, **kwargs)
        settings["callbacks"] = averaging.without_swaps(self, settings.get("callbacks"))
        with Gate(self) as gate:
            settings["x"] = gate.admit_inputs(x, settings.get("steps") is not None)
            return super().predict(**settings)

    @alone
    def predict_on_batch(self, x: Any) -> Any:
        """As `keras.Model.predict_on_batch`: what `model(x)` gives."""
        return super().predict_on_batch(self.input_modality().check(x))

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """What `call` gives; values are checked where they are known."""
        modality = self.input_modality()
        if not ops.is_tensor(inputs) and not isinstance(inputs, keras.KerasTensor):
            inputs = modality.check(inputs)
        elif isinstance(inputs, keras.KerasTensor) or backend.is_traced(inputs):
            modality.check_spec(tuple(inputs.shape), keras.backend.standardize_dtype(inputs.dtype))
        else:
            modality.check(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def input_modality(self) -> Modality:
        """What `model(x)` takes. Raises `InputError`: the model has no such thing; says what it has."""
        if self.called:
            return self.modality
        raise InputError(
            f"a {type(self).__name__} is no function of its input, so that model(x), predict and export have no "
            f"meaning for it; what it offers: {', '.join(self.offers)}."
        )

    def refresh(self) -> None:
        """Takes anew what depends on weights and needs no data; `fit` calls it at the end of each epoch."""

    # Variables that depend on data

    @property
    def needs_initialization(self) -> bool:
        """Whether variables still wait for values that depend on data; false for most families."""
        return False

    def initialize(self, x: Tensor, one_hot: Tensor | None) -> None:
        """Sets such variables from a random sample of up to 1,024 examples of what `fit` has, as `unpack` gives it."""

    # Steps

    def unpack(self, data: Any) -> tuple[Tensor, Any, Tensor]:
        """Examples, what `losses` reads with them, and weights of a batch.

        Float32 `[B, *shape]`, images in [0, 1]; one-hot labels `[B, num_classes]`, or `None` of a model without
        classes; and `[B]`, ones unless there is a `sample_weight`.
        """
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        self.modality.check_spec(tuple(x.shape), keras.backend.standardize_dtype(x.dtype))
        if self.num_classes is not None and y is None:
            raise InputError("this model needs labels: fit and evaluate take (examples, labels).")
        x = self.modality.scale(x)
        return x, self.scale_targets(y), self.batch_weights(x, weights)

    def scale_targets(self, y: Tensor | None) -> Any:
        """What `losses` reads besides examples: labels of a model with classes, one-hot."""
        return None if self.num_classes is None else self.one_hot(y)

    def batch_weights(self, x: Tensor, weights: Tensor | None) -> Tensor:
        """Weights of the examples x, float32 `[B]`."""
        if weights is None:
            return ops.ones((ops.shape(x)[0],), dtype="float32")
        return ops.reshape(ops.cast(weights, "float32"), (-1,))

    def one_hot(self, labels: Tensor | None) -> Tensor | None:
        """float32 `[B, num_classes]` of labels `[B]` or `[B, 1]`; `None` of `None`."""
        return None if labels is None else one_hot(labels, self.num_classes)

    def losses(self, x: Tensor, one_hot: Any, training: bool) -> tuple[Tensor, Logs]:
        """What a step minimizes, `[B]`, and what it logs, each `[B]`; x and the rest as `unpack` gives them."""
        raise NotImplementedError

    def mean(self, losses: Tensor, weights: Tensor) -> Tensor:
        """This replica's part of the mean of losses over the global batch.

        The sum of weights x losses over these `[B]` examples, divided by the sum of the weights of all replicas'; 0 if
        that is 0.
        """
        return ops.divide_no_nan(ops.sum(weights * losses), backend.replica_sum(ops.sum(weights)))

    @backend.train_step
    def train_step(self, data: Any) -> Logs:
        """One optimizer step on the mean of `losses`."""
        x, one_hot, weights = self.unpack(data)

        def loss():
            losses, logs = self.losses(x, one_hot, training=True)
            return self.optimizer.scale_loss(self.mean(losses, weights)), logs

        (_, logs), gradients = backend.value_and_grad(loss, self.trainable_variables)
        backend.apply_gradients(self.optimizer, gradients, self.trainable_variables)
        return self.update_metrics(weights, **logs)

    @backend.test_step
    def test_step(self, data: Any) -> Logs:
        x, one_hot, weights = self.unpack(data)
        return self.update_metrics(weights, **self.losses(x, one_hot, training=False)[1])

    def update_metrics(self, weights: Tensor, **values: Tensor) -> Logs:
        """Adds values, `[B]` or scalars, to the running means named in `loss_names`; returns the means.

        Weights `[B]` are those of the examples; scalars count once a batch.
        """
        trackers = {tracker.name: tracker for tracker in self.trackers}
        for name, value in values.items():
            trackers[name].update_state(value, weights if len(value.shape) else None)
        return {name: trackers[name].result() for name in values}

    @contextlib.contextmanager
    def fixed_noise(self) -> Iterator[None]:
        """Has the steps within draw the same noise each time, and those after it go on as if there had been none."""
        states = [generator.state for generator in self.seed_generators()]
        before = [ops.convert_to_numpy(state) for state in states]
        for index, state in enumerate(states):
            state.assign(np.array([(self.seed + index) % 2**31, EVALUATION], before[index].dtype))
        try:
            yield
        finally:
            for state, value in zip(states, before, strict=True):
                state.assign(value)
