"""The figures of a race: the same code for both contestants, on the test split. Lower is better but for recall.

- bits per dimension: -log2 of a bound of the probability of the 8-bit image, by uniform dequantization with one draw an
  image: x = (k + u) / 256, and 8 - log2 p(x) / D. Both contestants get the same u.
- nats: -log of the importance-weighted bound of P(x) with k samples of q(z | x) (Burda et al. 2016, eq. 8), for pixels
  that are 0 or 1. The gray values of MNIST stand for probabilities, log P(x) for its mean over such draws: log p(x | z)
  is the negative binary cross-entropy, which both contestants train on. Both get the same normal numbers for latents
  of the same number.
- Fréchet distance, precision and recall: kerasgen.metrics in the features of a classifier of the zoo.
"""

import math

import numpy as np

from kerasgen import noise
from kerasgen.metrics import frechet_distance, precision_and_recall
from kerasgen.metrics.bootstrap import standard_error
from kerasgen.metrics.frechet import weighted_moments

BATCH = 50  # images at once


def mean(values):
    """A mean with its standard error; both `None` where values are not finite, which are counted."""
    values = np.asarray(values, np.float64)
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        return {"value": None, "standard_error": None, "n": len(values), "not_finite": wrong}
    return {"value": values.mean(), "standard_error": values.std(ddof=1) / math.sqrt(len(values)), "n": len(values)}


def bits_per_dim(log_density, images, labels, seed):
    """Bits per dimension `[N]` of uint8 images; `log_density` as `Trained` has it."""
    found = []
    for start in range(0, len(images), BATCH):
        some = images[start : start + BATCH]
        u = noise.uniform(start, start + len(some), some.shape[1:], seed)
        x = ((some + u) / 256.0).astype(np.float32)
        found.append(8.0 - log_density(x, labels[start : start + BATCH]) / (some[0].size * math.log(2.0)))
    return np.concatenate(found)


def log_sum_exp(x):
    most = x.max(axis=1, keepdims=True)
    return most[:, 0] + np.log(np.exp(x - most).sum(axis=1))


def nats(posterior, logits, images, k, seed):
    """-log of the importance-weighted bound `[N]` of uint8 images; `posterior` and `logits` as `Trained` has them."""
    found = []
    for start in range(0, len(images), BATCH):
        x = images[start : start + BATCH].astype(np.float32) / np.float32(255.0)
        mean, log_variance = (array[:, None] for array in posterior(x))  # [B, 1, D]
        eps = noise.normal(start, start + len(x), (k, mean.shape[-1]), seed)  # [B, k, D]
        z = mean + np.exp(0.5 * log_variance) * eps
        output = logits(z.reshape(-1, z.shape[-1])).reshape(len(x), k, -1)  # [B, k, pixels]
        # x log sigmoid(l) + (1 - x) log sigmoid(-l) = x l - log(1 + e^l)
        log_p = (x.reshape(len(x), 1, -1) * output - np.logaddexp(0.0, output)).sum(axis=2, dtype=np.float64)
        # log p(z) - log q(z | x): the normalising constants of both normals cancel.
        log_ratio = 0.5 * (np.square(eps) - np.square(z) + log_variance).sum(axis=2, dtype=np.float64)
        found.append(math.log(k) - log_sum_exp(log_p + log_ratio))
    return np.concatenate(found)


def of_samples(samples, test, extractor, seed):
    """`{name: figure}` of uint8 samples beside all real images of the test split."""
    real, fake = (extractor.extract(images, verbose=0)[0].astype(np.float64) for images in (test, samples))

    def distance(real_weights, fake_weights):
        return frechet_distance(*weighted_moments(real, real_weights), *weighted_moments(fake, fake_weights))

    error = standard_error(distance, (len(real), len(fake)), 20, seed)
    value = distance(np.ones(len(real)), np.ones(len(fake)))
    precise, recalled = precision_and_recall(real, fake)
    return {
        "frechet_distance": {"value": value, "standard_error": error, "n": len(fake), "extractor": extractor.name},
        "precision": mean(precise),
        "recall": mean(recalled),
    }
