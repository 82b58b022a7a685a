"""One evaluation for every family: what a model offers is measured, and each figure says how."""

import math
import time

import numpy as np


def _figure(values, **how):
    """The mean of per-image values, with its standard error."""
    values = np.asarray(values, np.float64)
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else None
    return {"value": float(values.mean()), "standard_error": error, "n": len(values), **how}


def evaluate(model, images, labels, split, batch_size=250, num_importance_samples=128, seed=0, verbose="auto"):
    """Figures of a model on images `[N, H, W, C]` (and labels), as plain JSON values.

    - `mean_squared_error`: of reconstructions, per pixel, on the scale of [0, 1] (models with `reconstruct` that is not
      exact).
    - `bits_per_dim`: with its kind, "exact", "bound" or "estimate" (models with a likelihood).
    - `nats_per_image`: -log p(x), the same figure in nats, for probabilities of binary images.

    Each has `value`, `standard_error` over images, `n`, `split`, and what it depends on.
    """
    start = time.monotonic()
    metrics = {}
    labels = labels if model.num_classes is not None else None
    if hasattr(model, "reconstruct") and not model.lossless:
        target = images.astype(np.float32) / 255.0 if images.dtype == np.uint8 else images
        errors = np.square(model.reconstruct(images, labels, batch_size, verbose) - target).mean(axis=(1, 2, 3))
        metrics["mean_squared_error"] = _figure(errors, split=split)
    if model.likelihood:
        settings = {"seed": seed}
        if "num_importance_samples" in model.likelihood_settings:
            settings["num_importance_samples"] = num_importance_samples
        bits = model.bits_per_dim(images, labels, batch_size=batch_size, verbose=verbose, **settings)
        pixels = "binary" if model.num_levels == 2 else f"{round(math.log2(model.num_levels))}-bit"
        how = {"split": split, "kind": model.likelihood, **settings, "pixels": pixels}
        if "dequantization" in model.likelihood_settings:
            how["dequantization"] = model.dequantization
        metrics["bits_per_dim"] = _figure(bits, **how)
        if model.num_levels == 2:
            metrics["nats_per_image"] = _figure(bits * model.num_dims * math.log(2.0), **how)
    return {"metrics": metrics, "seconds": round(time.monotonic() - start, 1)}
