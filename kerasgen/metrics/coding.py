"""What compressed images cost."""

import numpy as np

from kerasgen.metrics.figure import Figures, figure
from kerasgen.typing import Any


def rate(run: Any) -> Figures:
    """Bits a pixel, of sounds bits a second, of all examples of the split in one stream, its header counted."""
    size, num = len(run.model.verb("compress")(run.images, verbose=run.verbose)), len(run.images)
    extent, unit = run.model.modality.extent(run.images)
    return {f"bits_per_{unit}": figure(8.0 * size / extent, None, **run.how, n=num, bytes=size)}


def codebook_usage(run: Any) -> Figures:
    """The share of codes that occur in the split, with the perplexity exp(H) of their frequencies."""
    codes, num = run.model.verb("encode")(run.images, **run.batching), run.model.num_codes
    shares = np.bincount(codes.ravel(), minlength=num) / codes.size
    entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum()
    how = {**run.how, "n": len(run.images), "num_codes": num, "perplexity": float(np.exp(entropy))}
    return {"codebook_usage": figure(float((shares > 0.0).mean()), None, **how)}
