"""A model, a way to score by it, and a threshold: what is saved, published and loaded as one."""

import keras
import numpy as np
from keras import ops

from kerasgen import inputs
from kerasgen.base import FAMILIES, BaseModel, register_family
from kerasgen.detectors.threshold import check_rate, threshold_of
from kerasgen.errors import InputError
from kerasgen.modalities import Images, Tables
from kerasgen.networks.resolve import named
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, Array, ArrayLike, Callable, Config, Labels, Logs, Sequence, Tensor, Verbose


@register_family
class AnomalyDetector(BaseModel):
    """An example is anomalous if its score is above a threshold, which `calibrate` sets by normal examples.

    `fit` trains the model inside. Of tables it sees columns brought to mean 0 and variance 1, by up to 1,024 of the
    rows that `fit` gets first, and with `noise_stddev` noise, which makes its density smooth where there are few rows,
    rows twice, or columns of few values (Rothfuss et al. 2019, "Noise regularization for conditional density
    estimation").

    Args:
        model: any with `anomaly_score`, of images or vectors, without classes; or a dictionary with its family as
            "class" and arguments. A recipe may give a handle.
        scorer: a name of `model.anomaly_scorers()`, such as "likelihood", "complexity" or "reconstruction"; `None` for
            the model's own.
        false_positive_rate: the share of normal examples to be taken for anomalous.
        noise_stddev: of Gaussian noise added to standardized rows in training; for tables alone.
        column_names: of a table, in their order, for the record.
    """

    modalities = (Images, Tables)
    model_arguments = ("model",)
    task = "other"

    def __init__(
        self,
        model: Any,
        scorer: str | None = None,
        false_positive_rate: float = 0.05,
        noise_stddev: float = 0.0,
        column_names: Sequence[str] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        if isinstance(model, dict) and (description := named(model)):
            name = inputs.check_choice("model", description["class"], FAMILIES)
            settings = {key: value for key, value in description.items() if key != "class"}
            model = FAMILIES[name](**settings, dtype=kwargs.get("dtype"))
        elif isinstance(model, dict):
            model = keras.saving.deserialize_keras_object(model)
        scorers = model.anomaly_scorers() if isinstance(model, BaseModel) else {}
        if not scorers:
            found = f"the name {model!r}" if isinstance(model, str) else f"a {type(model).__name__}"
            raise InputError(f"model is {found}; expected one with anomaly_score, for example from kerasgen.load.")
        if model.num_classes is not None:
            raise InputError("model has classes or attributes; a detector's examples come without labels.")
        self.loss_names = model.loss_names
        super().__init__(model.modality.config or model.shape, None, seed, **kwargs)
        self.model = model
        self.scorer = None if scorer is None else inputs.check_choice("scorer", scorer, scorers)
        self.false_positive_rate = check_rate(false_positive_rate)
        self.noise_stddev = inputs.check_number("noise_stddev", noise_stddev, 0.0)
        self.column_names = None if column_names is None else inputs.check_names("column_names", column_names)
        if self.column_names is not None and len(self.column_names) != self.num_dims:
            raise InputError(f"column_names are {len(self.column_names)}; the rows have {self.num_dims} columns.")
        tabular = isinstance(self.modality, Tables)
        if self.noise_stddev and not tabular:
            raise InputError("noise_stddev is for tables; images have models that train with noise.")
        width = self.shape if tabular else (0,)
        self.column_mean, self.column_stddev = (
            self.add_weight(shape=width, initializer="zeros", trainable=False, name=name, dtype="float32")
            for name in ("column_mean", "column_stddev")
        )
        # The threshold, and whether there is one: 0, or 1 until a step of training.
        self.limit = self.add_weight(shape=(2,), initializer="zeros", trainable=False, name="limit", dtype="float32")

    # Training is that of the model inside

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return self.model.default_optimizer()

    def optimizer_from(self, make: Callable[..., keras.optimizers.Optimizer]) -> keras.optimizers.Optimizer:
        return self.model.optimizer_from(make)

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        super().compile(optimizer, **kwargs)
        self.model.train_in(self)

    @property
    def needs_initialization(self) -> bool:
        waits = self.shape == self.column_stddev.shape and not ops.convert_to_numpy(self.column_stddev).any()
        return waits or self.model.needs_initialization

    def initialize(self, x: Tensor, one_hot: None) -> None:
        if self.shape == self.column_stddev.shape:
            rows = ops.convert_to_numpy(x).astype(np.float64)
            stddev = rows.std(axis=0)
            self.column_mean.assign(rows.mean(axis=0))
            self.column_stddev.assign(np.where(stddev > 1e-6 * np.abs(rows).max(axis=0), stddev, 1.0))
        if self.model.needs_initialization:
            self.model.initialize(self.standardized(x), None)

    def standardized(self, x: Any) -> Any:
        """What the model inside sees: tables with columns of mean 0 and variance 1, images as they are."""
        if self.shape != self.column_stddev.shape:
            return x
        return (x - ops.convert_to_tensor(self.column_mean)) / ops.convert_to_tensor(self.column_stddev)

    def losses(self, x: Tensor, one_hot: None, training: bool) -> tuple[Tensor, Logs]:
        """Those of the model inside; a step of training takes the threshold away."""
        x = self.standardized(x)
        if training:
            self.limit.assign(ops.zeros((2,), "float32"))
            if self.noise_stddev:
                x = x + self.noise_stddev * self.normal(ops.shape(x))
        return self.model.losses(x, None, training)

    def refresh(self) -> None:
        self.model.refresh()

    # Detection

    @property
    def anomaly_threshold(self) -> float | None:
        """`None` before `calibrate`, and after training."""
        threshold, known = ops.convert_to_numpy(self.limit)
        return float(threshold) if known else None

    def calibrate(self, x: ArrayLike, verbose: Verbose = "auto") -> float:
        """Sets the threshold by normal examples that the model was not trained on, and gives it.

        At most `false_positive_rate` of examples like these are above it. Raises `InputError`: they are too few.
        """
        threshold = threshold_of(self.anomaly_score(x, verbose=verbose), self.false_positive_rate)
        self.limit.assign(np.array([threshold, 1.0], np.float32))
        return threshold

    def finish_training(self, examples: Callable[[], Array], held_out: Callable[[], Array]) -> None:
        self.calibrate(held_out())

    def anomaly_score(
        self, x: ArrayLike, labels: Labels = None, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """Scores `[N]`: higher is stranger."""
        x = self.modality.check(x)
        if self.shape == self.column_stddev.shape and self.needs_initialization:
            raise InputError("this detector has seen no rows, whose scale it would know: call fit first.")
        x = (
            x
            if isinstance(self.modality, Images)
            else ops.convert_to_numpy(self.standardized(ops.convert_to_tensor(x)))
        )
        return self.model.anomaly_scorers()[self.scored_by](x, batch_size=batch_size, verbose=verbose)

    @property
    def scored_by(self) -> str:
        """The scorer's name, where the model's own was meant too."""
        return self.scorer or next(iter(self.model.anomaly_scorers()))

    def anomaly_scorers(self) -> dict[str, Callable]:
        return {self.scored_by: self.anomaly_score}

    def detect(self, x: ArrayLike, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        """Whether examples are anomalous, bool `[N]`."""
        if self.anomaly_threshold is None:
            raise InputError("this detector has no threshold, or was trained since: call calibrate(normal examples).")
        return self.anomaly_score(x, None, batch_size, verbose) > self.anomaly_threshold

    # What it says of itself

    def snippet(self, handle: str, drawing: Config | None = None) -> str:
        noun, shape = self.modality.noun, ", ".join(map(str, self.shape))
        return f"""import kerasgen
import numpy as np

detector = kerasgen.load("{handle}")
{noun} = np.zeros((16, {shape}), np.float32)  # yours
scores = detector.anomaly_score({noun})  # float32 [16]: higher is stranger
detector.detect({noun})  # bool [16]: above detector.anomaly_threshold
detector.compile()  # then train it on your own: detector.fit({noun}); detector.calibrate(others)"""

    def measures(self) -> tuple[str, ...]:
        return ("detection",)

    def exhibit(self, examples: Array | None, labels: Array | None, settings: Evaluation) -> list:
        return []

    def probe(self) -> np.ndarray:
        return self.anomaly_score(np.zeros((2, *self.shape), np.float32), verbose=0)
