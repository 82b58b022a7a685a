"""A figure as plain JSON values: what was found, how surely, and what it depends on."""

import math

import numpy as np

from kerasgen.typing import Any, ArrayLike

Figures = dict[str, dict[str, Any]]


def figure(value: float, error: float | None, **how: Any) -> dict[str, Any]:
    """One figure as plain JSON values, with the 95 % confidence interval of its standard error."""
    interval = None if error is None else [value - 1.96 * error, value + 1.96 * error]
    return {"value": value, "standard_error": error, "confidence_interval": interval, **how}


def mean_figure(values: ArrayLike, **how: Any) -> dict[str, Any]:
    """The mean of per-image values; the standard error is what a bootstrap of images tends to, their spread / √n."""
    values = np.asarray(values, np.float64)
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
    return figure(float(values.mean()), error, n=len(values), **how)


def extracted(run: Any, name: str, values: ArrayLike, **how: Any) -> Figures:
    """The mean of values that were measured in the extractor's features."""
    return {f"{name}/{run.extractor.name}": mean_figure(values, **run.how_extracted | how)}
