"""A detector of anomalous rows, trained on a table with settings that go by the number of its columns alone."""

import keras
import numpy as np

from kerasgen.base import FAMILIES, BaseModel
from kerasgen.detectors.anomaly_detector import AnomalyDetector
from kerasgen.detectors.threshold import least_of
from kerasgen.errors import InputError
from kerasgen.inputs import check_choice
from kerasgen.typing import Array, Sequence, Verbose

HELD_OUT = 0.2  # of the rows at least, to set the threshold
STEPS, BATCH = 600, 128
LEARNING_RATE = 2e-3


def row_families() -> dict[str, type[BaseModel]]:
    """The families that detect anomalous rows, by name, the preferred one first."""
    found = {name: family for name, family in FAMILIES.items() if family.for_rows(2) is not None}
    return dict(sorted(found.items(), key=lambda item: not item[1].for_rows(2).preferred))


def table_detector(
    num_columns: int,
    family: str | None = None,
    false_positive_rate: float = 0.05,
    column_names: Sequence[str] | None = None,
) -> AnomalyDetector:
    """An untrained detector of rows, by one of `row_families`, the first by default, compiled for `fit_rows`."""
    families = row_families()
    chosen = families[check_choice("family", family or next(iter(families)), families)]
    arguments, scorer, noise_stddev, _ = chosen.for_rows(num_columns)
    model = chosen((num_columns,), **arguments)
    detector = AnomalyDetector(model, scorer, false_positive_rate, noise_stddev, column_names)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, STEPS)
    detector.compile(keras.optimizers.Adam(schedule))
    return detector


def fit_rows(detector: AnomalyDetector, rows: Array, seed: int = 0, verbose: Verbose = 0) -> None:
    """Trains it for so many steps, whatever the number of rows, each used as often as any other."""
    rng, num = np.random.default_rng(seed), STEPS * BATCH
    order = np.concatenate([rng.permutation(len(rows)) for _ in range(-(-num // len(rows)))])[:num]
    detector.fit(rows[order], batch_size=BATCH, shuffle=False, verbose=verbose)


def train_table_detector(
    rows: Array,
    family: str | None = None,
    false_positive_rate: float = 0.05,
    column_names: Sequence[str] | None = None,
    seed: int = 0,
    verbose: Verbose = 1,
) -> AnomalyDetector:
    """A detector trained on rows `[N, D]` that are normal, or mostly; a fifth of them, or more, set its threshold.

    Raises `InputError`: there are too few rows.
    """
    held = max(round(HELD_OUT * len(rows)), least_of(false_positive_rate))
    if held > len(rows) // 2:
        told = f"a false-positive rate of {false_positive_rate:g} takes {held} of them to set its threshold"
        raise InputError(f"there are {len(rows)} rows, and {told}; expected {2 * held} or more.")
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed).permutation(len(rows))
    held_out = order[:held]
    detector = table_detector(rows.shape[1], family, false_positive_rate, column_names)
    fit_rows(detector, rows[order[len(held_out) :]], seed, verbose)
    detector.verb("calibrate")(rows[held_out], verbose=0)
    return detector
