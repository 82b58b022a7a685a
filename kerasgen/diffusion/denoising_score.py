"""How strange an example is, by how badly noise is removed from it.

Graham et al. 2023, "Denoising diffusion models for out-of-distribution detection".
"""

import numpy as np
from keras import ops

from kerasgen import noise
from kerasgen.base import LikelihoodModel, mean_of_each, rows
from kerasgen.typing import ArrayLike, Callable, Labels, Seed, Tensor, Verbose

RATIOS = (0.25, 0.5, 1.0, 2.0)  # s = sigma / alpha of the noise
DRAWS = 4  # of noise at each


class DenoiserScores(LikelihoodModel):
    """Mixed into `Denoiser`: `denoising_error`."""

    def denoising_error_step(self, images: Tensor, labels: Tensor | None, key: Tensor) -> Tensor:
        """The score below, `[B]`."""
        images = self.modality.scale(images)
        x0, condition = self.to_x0(images), self.condition_for(labels, self.low_res(images))
        s = np.repeat(RATIOS, DRAWS)
        alpha, sigma, time, weight = (ops.convert_to_tensor(t, "float32") for t in (*self.level_at(s), 1.0 + s**-2.0))

        def level(total, index):
            a, b, t, w = (ops.take(table, index) for table in (alpha, sigma, time, weight))
            e = noise.step_normal(key, index, self.shape)
            estimate = self.predict_x0(a * x0 + b * e, a, b, t, condition, clip=False)
            return total + w * mean_of_each(ops.square(estimate - x0)), None

        zeros = ops.zeros((ops.shape(x0)[0],), "float32")
        total, _ = ops.scan(level, zeros, ops.arange(len(s), dtype="int32"), length=len(s))
        return total / len(s)

    def denoising_error(
        self, x: ArrayLike, labels: Labels = None, seed: Seed = 0, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """Mean squared error of x_0 as told from x_0 + s e, over that of x_0 ~ N(0, I), s^2 / (1 + s^2): `[N]`.

        A mean over four levels s of noise and four draws of e at each, which the seed fixes.
        """
        x = self.modality.check(x)
        labels = self.check_labels(labels, len(x))
        seed = noise.check_seed(seed)

        def batch(start, stop):
            return [*rows(x, labels)(start, stop), noise.keys(start, stop, seed, stream=5)]

        return self.run(self.denoising_error_step, len(x), batch, batch_size, verbose)

    def anomaly_scorers(self) -> dict[str, Callable]:
        return {**super().anomaly_scorers(), "denoising": self.denoising_error}
