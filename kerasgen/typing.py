"""Types in hints: of arguments and results, and those of Python that most modules need."""

from collections.abc import Callable as Callable, Sequence as Sequence
from typing import Any as Any, Self as Self

import numpy as np
from numpy.typing import ArrayLike as ArrayLike

Array = np.ndarray
Tensor = Any  # of the framework under Keras
Labels = ArrayLike | dict[str, Any] | None  # integers `[N]`, or one for all; of attributes see `check_wishes`
Shape = Sequence[int] | dict[str, Any]  # of an example; of sounds a dictionary, see `kerasgen.modalities.Sounds`
Seed = int | None  # a fresh one for `None`
Verbose = Any  # "auto" (a progress bar where there is more than one batch), 0, 1, or a function (done, all)
Config = dict[str, Any]  # plain JSON values, layers and optimizers serialized
Logs = dict[str, Tensor]  # of a step, by the names in `loss_names`
