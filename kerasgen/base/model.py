"""`ImageModel` and `GenerativeModel`: what every model and what every family shares."""

import itertools
import math
import re
import types
from pathlib import Path

import keras
import numpy as np
from keras import ops

from kerasgen import backend, inputs, noise
from kerasgen.errors import InputError


class ReplicaSeedGenerator(keras.random.SeedGenerator):
    """A seed generator whose numbers differ from replica to replica of a TensorFlow strategy."""

    def next(self, ordered=True):
        return backend.replica_seed(super().next(ordered))


class ImageModel(keras.Model):
    """A `keras.Model` of images that trains by `fit` with a `train_step` of its own.

    Images are `[batch, height, width, channels]`, uint8 in 0..255 or float in [0, 1]; results are NumPy float32, images
    in [0, 1]. Constructor arguments are plain JSON values or Keras layers; every layer is built in the constructor.

    A subclass gives `loss_names` (what its steps log), `train_step`, `test_step`, and methods that are batched and
    compiled through `run`.

    Args:
        image_shape: `(height, width, channels)`; for families with `takes_vectors` also `(features,)`, and then data
            are float vectors `[batch, features]`, of any range, and so are results.
        num_classes: number of classes of a class-conditional model or a classifier, or `None`.
        seed: of the noise drawn in training.
    """

    loss_names = ("loss",)
    takes_vectors = False  # whether `image_shape` may be `(features,)`
    super_resolution = None  # the factor by which `upscale` enlarges images, of models that draw for small ones

    def __init__(self, image_shape, num_classes=None, seed=0, **kwargs):
        # A fixed name: paths of variables must not depend on how many models were built before.
        kwargs.setdefault("name", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower())
        super().__init__(**kwargs)
        check_shape = inputs.check_event_shape if self.takes_vectors else inputs.check_image_shape
        self.image_shape = check_shape(image_shape)
        self.num_classes = None if num_classes is None else inputs.check_integer("num_classes", num_classes, 1)
        self.seed = noise.check_seed(inputs.check_integer("seed", seed, 0))
        self.seed_generator = ReplicaSeedGenerator(self.seed % 2**31, name="seed_generator")
        self.trackers = [keras.metrics.Mean(name=name) for name in self.loss_names]
        self._programs = {}
        self.origin = None  # the zoo name or repository that it was loaded from
        self.built = True

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "image_shape": list(self.image_shape),
            "num_classes": self.num_classes,
            "seed": self.seed,
        }

    @property
    def metrics(self):
        return self.trackers

    @property
    def num_dims(self):
        """Values in one image: height x width x channels. Or in one vector."""
        return math.prod(self.image_shape)

    # Training

    def compile(self, optimizer=None, **kwargs):
        """As `keras.Model.compile`; without an optimizer, the family's default. Losses are the family's own."""
        for argument in ("loss", "metrics", "weighted_metrics", "loss_weights"):
            if kwargs.get(argument) is not None:
                raise InputError(f"compile({argument}=...) is not for {type(self).__name__}: its loss is its own.")
        if kwargs.get("jit_compile", "auto") == "auto":
            kwargs["jit_compile"] = backend.jit_compile()
        super().compile(optimizer=self.default_optimizer() if optimizer is None else optimizer, **kwargs)
        self.optimizer.build(self.trainable_variables)

    def get_compile_config(self):
        return {"optimizer": keras.saving.serialize_keras_object(self.optimizer)} if self.compiled else None

    def compile_from_config(self, config):
        self.compile(keras.saving.deserialize_keras_object(config["optimizer"]))

    def default_optimizer(self):
        """A new optimizer for `compile()` without arguments."""
        return keras.optimizers.Adam(1e-3)

    def fit(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.fit`, on arrays of images (and labels) or a data set of such batches."""
        if not args and not hasattr(x, "__array__") and not isinstance(x, keras.utils.PyDataset):
            kwargs.setdefault("shuffle", False)  # Keras' default is for those, and it warns of others
        x, y = self._check_training_data(x, y)
        if self.needs_initialization:
            size = args[0] if args else kwargs.get("batch_size")
            batch, x = first_batch(x, y, size or 32)
            self.initialize(*self.unpack(batch))
        history = super().fit(x, y, *args, **kwargs)
        backend.unshare(self.trainable_variables)  # with averaged weights they are now those of the optimizer
        return history

    def train_on_batch(self, x, y=None, **kwargs):
        """As `keras.Model.train_on_batch`."""
        x, y = self._check_training_data(x, y)
        if self.needs_initialization:
            self.initialize(*self.unpack((x, y)))
        return super().train_on_batch(x, y, **kwargs)

    @property
    def needs_initialization(self):
        """Whether variables still wait for values that depend on data; false for most families."""
        return False

    def initialize(self, images, one_hot):
        """Sets such variables from a batch as `unpack` gives it: the first one of `fit`, before it is split up."""

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.evaluate`, on arrays of images (and labels) or a data set of such batches."""
        return super().evaluate(*self._check_training_data(x, y), *args, **kwargs)

    def _check_training_data(self, x, y):
        if hasattr(x, "element_spec"):  # a tf.data.Dataset
            spec, *rest = x.element_spec if isinstance(x.element_spec, tuple) else (x.element_spec,)
            if spec.shape.rank is not None:
                inputs.check_spec(spec.shape.as_list(), spec.dtype.name, self.image_shape)
            if self.num_classes is not None and not rest:
                raise InputError("this model needs labels: the data set must give (images, labels).")
        elif hasattr(x, "__array__"):
            x = inputs.check_images(x, self.image_shape)
            y = None if self.num_classes is None else self.check_labels(y, len(x))
        return x, y

    def unpack(self, data):
        """Images in [0, 1] and one-hot labels of a batch, float32 `[B, H, W, C]` and `[B, num_classes]` or `None`.

        Vectors are `[B, D]`, as they are. Labels are ignored by a model without classes.
        """
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        inputs.check_spec(tuple(images.shape), keras.backend.standardize_dtype(images.dtype), self.image_shape)
        if self.num_classes is None:
            return self.scale(images), None
        if labels is None:
            raise InputError("this model needs labels: fit and evaluate take (images, labels).")
        return self.scale(images), self.one_hot(labels)

    def scale(self, images):
        """uint8 in 0..255 or float in [0, 1] to float32 in [0, 1]; vectors as they are."""
        if keras.backend.standardize_dtype(images.dtype) == "uint8":
            return ops.cast(images, "float32") / 255.0
        return ops.cast(images, "float32")

    def one_hot(self, labels):
        return ops.one_hot(ops.cast(labels, "int32"), self.num_classes, dtype="float32")

    def minimize(self, loss, variables):
        """One optimizer step on `loss() -> (scalar, logs)`; returns the logs."""

        def scaled():
            value, logs = loss()
            return self.optimizer.scale_loss(value), logs

        (_, logs), gradients = backend.value_and_grad(scaled, variables)
        backend.apply_gradients(self.optimizer, gradients, variables)
        return logs

    def update_metrics(self, **values):
        """Adds values `[B]` or scalars to the running means of these names, of `loss_names`; returns the means."""
        trackers = {tracker.name: tracker for tracker in self.trackers}
        for name, value in values.items():
            trackers[name].update_state(value)
        return {name: trackers[name].result() for name in values}

    # Batched and compiled methods

    def run(self, function, num, batch, batch_size=64, verbose="auto", static=()):
        """Rows 0 to `num - 1` of `function(*batch(start, stop), *static)`, batched and compiled.

        The last batch is filled up with copies of its first row, so that there is one compiled program.

        Args:
            function: a bound method from tensors of leading axis B to a tensor of leading axis B.
            num: number of rows.
            batch: from `(start, stop)` to a list of NumPy arrays (or `None`) of leading axis `stop - start`.
            batch_size: rows at once.
            verbose: "auto" (a progress bar where there is more than one batch), 0 or 1.
            static: hashable arguments, part of the program.
        """
        key = (function.__name__, static)
        if key not in self._programs:
            self._programs[key] = backend.compiled(self, lambda *args: function(*args, *static))
        return batched(self._programs[key], num, batch, batch_size, verbose)

    def check_images(self, x):
        return inputs.check_images(x, self.image_shape)

    def check_labels(self, labels, num):
        return inputs.check_labels(labels, num, self.num_classes)

    # Saving

    def save(self, filepath, overwrite=True, **kwargs):
        """Saves to a `.keras` file, with the optimizer, or to a checkpoint folder: config, weights and metadata.

        `dtype="float16"` halves the weights of a folder; they are cast back when loaded.
        """
        path = str(filepath)
        if path.endswith(".keras") or path.startswith("hf://"):
            return super().save(filepath, overwrite=overwrite, **kwargs)
        if not overwrite and Path(path).exists():
            raise InputError(f"{path} exists; choose another path or save with overwrite=True.")
        from kerasgen.hub import save_checkpoint  # the zoo loads models: imported here, not at the top

        return save_checkpoint(self, path, **kwargs)

    def push_to_hub(self, repo_id, private=False, revision=None, create_pr=False, commit_message=None, token=None):
        """Publishes the model on the Hugging Face Hub: see `kerasgen.publish`."""
        from kerasgen.hub import publish  # as above

        return publish(self, repo_id, private, revision, create_pr, commit_message, token)


class GenerativeModel(ImageModel):
    """An `ImageModel` that samples; with `num_classes` it is class-conditional."""

    likelihood = None  # "exact", "bound" or "estimate" for families with `log_prob`
    likelihood_settings = ()  # what else than the seed its figures depend on

    def with_planes(self, images, one_hot):
        """What a network reads: images in [-1, 1], with one constant plane a class if there are classes."""
        images = 2.0 * images - 1.0
        if one_hot is None:
            return images
        planes = ops.broadcast_to(
            one_hot[:, None, None, :], (ops.shape(images)[0], *self.image_shape[:2], self.num_classes)
        )
        return ops.concatenate([images, planes], axis=-1)

    def prepare_sampling(self, images):
        """What remains to be done after `fit` before `sample` works; nothing for most families."""

    def how_drawn(self, temperature=1.0, **settings):
        """What `sample` does with these arguments, as plain JSON values, for the record.

        Raises:
            InputError: there is no such setting.
        """
        if settings:
            raise InputError(f"{type(self).__name__} has no sampler, so no {', '.join(sorted(settings))} to set.")
        return {"name": "one pass", "steps": 1, "temperature": temperature}

    def sample_labels(self, labels, num):
        """Labels for `sample`: as given, or the classes in turn."""
        if labels is None and self.num_classes is not None:
            return np.arange(num, dtype=np.int32) % self.num_classes
        return self.check_labels(labels, num)


def batched(program, num, batch, batch_size=64, verbose="auto"):
    """Rows 0 to `num - 1` of `program(*batch(start, stop))`, float32; arguments as for `ImageModel.run`."""
    batch_size = inputs.check_integer("batch_size", batch_size, 1)
    size = min(batch_size, 2 ** math.ceil(math.log2(num)))
    show = verbose in (1, 2, True) or (verbose == "auto" and num > size)
    bar = keras.utils.Progbar(math.ceil(num / size)) if show else None
    results = []
    for start in range(0, num, size):
        stop = min(start + size, num)
        arrays = [
            None if a is None else np.concatenate([a, np.repeat(a[:1], size - len(a), axis=0)])
            for a in batch(start, stop)
        ]
        result = program(*[None if a is None else ops.convert_to_tensor(a) for a in arrays])
        results.append(ops.convert_to_numpy(result)[: stop - start])
        if bar:
            bar.add(1)
    return np.concatenate(results).astype(np.float32, copy=False)


def first_batch(x, y, batch_size):
    """`(batch, x)`: the first batch that `fit` would see, and x with nothing taken from it."""
    if hasattr(x, "__array__"):
        return (x[:batch_size], None if y is None else y[:batch_size]), x
    if isinstance(x, keras.utils.PyDataset):
        return x[0], x
    if isinstance(x, types.GeneratorType):
        batch = next(x)
        return batch, (item for item in itertools.chain([batch], x))
    return next(iter(x)), x


def rows(*arrays):
    """`batch(start, stop)` for `GenerativeModel.run`: slices of arrays, `None` for those that are `None`."""
    return lambda start, stop: [None if array is None else array[start:stop] for array in arrays]
