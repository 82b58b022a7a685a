"""Flow matching along straight lines (Lipman et al. 2023; Liu et al. 2023, "rectified flow")."""

import keras
import numpy as np
from keras import ops

from kerasgen import inputs
from kerasgen.base import RowSettings, mean_of_each, register_family
from kerasgen.diffusion.denoiser import Condition, Denoiser
from kerasgen.diffusion.samplers import Levels, spacings
from kerasgen.typing import Any, Sequence, Shape, Tensor

TIMES = ("uniform", "logit_normal")
PREDICTIONS = ("velocity", "x0")
LEAST_NOISE = 0.05  # the least divisor of what is left of the noise, if the network predicts x_0
SINKHORN_STEPS = 50


@register_family
class FlowMatching(Denoiser):
    """Learns the velocity u = x_0 - e of lines from noise e to data x_0: x = (1 - s) x_0 + s e.

    The loss is |F(x, s) - u|^2, a mean over pixels. Samplers see alpha = 1 - s and sigma = s; Euler's method on the
    line is DDIM.

    Args:
        shape, num_classes, network, label_dropout, self_conditioning, super_resolution, sigma_data, attributes,
            num_given, seed: see `Denoiser`.
        times: how s is drawn in training: "uniform", or "logit_normal" as in Esser et al. 2024, equation 19.
        optimal_transport: whether each image of a batch is paired with noise that is near it: pairs are drawn from the
            entropic transport plan of the batch (Tong et al. 2024, algorithm 3, with Sinkhorn's plan).
        prediction: what the network gives: "velocity", or "x0", and then u = (x_0 - x) / max(s, 0.05). The loss is that
            of u in either case (Li and He 2025, "Back to basics"). A narrow transformer that predicts x_0 need not
            carry the noise of its patches to its last layer.
    """

    def __init__(
        self,
        shape: Shape = (28, 28, 1),
        num_classes: int | None = None,
        network: Any = None,
        prediction: str = "velocity",
        times: str = "logit_normal",
        optimal_transport: bool = False,
        label_dropout: float = 0.1,
        self_conditioning: bool = False,
        super_resolution: int | None = None,
        sigma_data: float = 1.0,
        attributes: Sequence[str] | None = None,
        num_given: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ):
        shared = (label_dropout, self_conditioning, super_resolution, sigma_data, attributes, num_given, seed)
        super().__init__(shape, num_classes, network, *shared, **kwargs)
        self.prediction = inputs.check_choice("prediction", prediction, PREDICTIONS)
        self.times = inputs.check_choice("times", times, TIMES)
        self.optimal_transport = bool(optimal_transport)

    ratio_range = (1e-3, 1e3)

    @classmethod
    def for_rows(cls, num_columns: int) -> RowSettings:
        return RowSettings({"network": {"class": "MLP", "width": 64, "depth": 3}}, "denoising", 0.0)

    def level_at(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return 1.0 / (1.0 + s), s / (1.0 + s), 1000.0 * s / (1.0 + s)

    def levels(self, steps: int, spacing: str) -> Levels:
        if spacing == "karras":
            return self.levels_at(spacings.karras(*self.ratio_range, steps))
        # From a trace of signal on, so that no sampler meets sigma / alpha at infinity.
        s = np.append(np.minimum(spacings.continuous(steps, spacing), 0.999), 0.0)
        return Levels(1.0 - s, s, 1000.0 * s)

    def network_output(
        self, x: Tensor, time: Tensor, condition: Condition, last: Tensor | None = None, training: bool = False
    ) -> Tensor:
        """The velocity."""
        output = super().network_output(x, time, condition, last, training)
        if self.prediction == "velocity":
            return output
        return (output - x) / ops.maximum(self.expand(time / 1000.0), LEAST_NOISE)

    def x0_from_output(self, x: Tensor, output: Tensor, alpha: Any, sigma: Any) -> Tensor:
        # x + s u = (1 - s) x_0 + s e + s x_0 - s e = x_0
        return x + sigma * output

    def pair_noise(self, x0: Tensor, e: Tensor) -> Tensor:
        """Noise for each image, drawn from the transport plan between the (global) batch and its noise."""
        flat_x, flat_e = (ops.reshape(a, (-1, self.num_dims)) for a in (x0, e))
        inner = ops.matmul(flat_x, ops.transpose(flat_e))  # [B, B]; squared distances differ by sums of rows, columns
        cost = -inner / ops.maximum(ops.std(inner), 1e-12)  # 0 for a batch of one
        rows = columns = ops.zeros((ops.shape(x0)[0],), "float32")
        for _ in range(SINKHORN_STEPS):
            rows = -ops.logsumexp(columns[None, :] - 20.0 * cost, axis=1)
            columns = -ops.logsumexp(rows[:, None] - 20.0 * cost, axis=0)
        chosen = keras.random.categorical(columns[None, :] - 20.0 * cost, 1, seed=self.seed_generator)[:, 0]
        return ops.take(e, chosen, axis=0)

    def random_times(self, num: Any) -> Tensor:
        """s in (0, 1), `[num]`."""
        if self.times == "uniform":
            return self.uniform((num,))
        return ops.sigmoid(self.normal((num,)))

    def per_example_losses(self, images: Tensor, condition: Condition, training: bool) -> Tensor:
        x0 = self.to_x0(images)
        e = self.normal(ops.shape(images))
        if self.optimal_transport:
            e = self.on_global_batch(self.pair_noise, x0, e)
        s = self.random_times(ops.shape(images)[0])
        wide = self.expand(s)
        x = (1.0 - wide) * x0 + wide * e
        last = self.first_estimate(x, 1.0 - wide, wide, 1000.0 * s, condition) if self.self_conditioning else None
        output = self.network_output(x, 1000.0 * s, condition, last, training)
        return mean_of_each(ops.square(output - (x0 - e)))
