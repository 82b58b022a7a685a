"""Flow matching along straight lines (Lipman et al. 2023; Liu et al. 2023, "rectified flow")."""

import keras
import numpy as np
from keras import ops

from kerasgen import inputs
from kerasgen.diffusion.denoiser import Denoiser
from kerasgen.diffusion.samplers import Levels, spacings

TIMES = ("uniform", "logit_normal")
PREDICTIONS = ("velocity", "x0")
LEAST_NOISE = 0.05  # by no less than this is what is left of the noise divided, if the network says x_0
SINKHORN_STEPS = 50


@keras.saving.register_keras_serializable("kerasgen")
class FlowMatching(Denoiser):
    """Learns the velocity u = x_0 - e of lines from noise e to data x_0: x = (1 - s) x_0 + s e.

    Minimises |F(x, s) - u|^2, a mean over pixels. Samplers see alpha = 1 - s and sigma = s; Euler's method on the line
    is DDIM.

    Args:
        image_shape, num_classes, network, label_dropout, self_conditioning, super_resolution, sigma_data, seed: see
            `Denoiser`.
        times: how s is drawn in training: "uniform", or "logit_normal" as in Esser et al. 2024, equation 19.
        optimal_transport: whether each image of a batch gets a noise that is near it: pairs are drawn from the entropic
            transport plan of the batch (Tong et al. 2024, algorithm 3, with Sinkhorn's plan).
        prediction: what the network says: "velocity", or "x0", and then u = (x_0 - x) / max(s, 0.05). The loss is that
            of u in either case (Li and He 2025, "Back to basics"). Transformers of few features need not carry the
            noise of their patches to the end if they say x_0.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        num_classes=None,
        network=None,
        prediction="velocity",
        times="logit_normal",
        optimal_transport=False,
        label_dropout=0.1,
        self_conditioning=False,
        super_resolution=None,
        sigma_data=1.0,
        seed=0,
        **kwargs,
    ):
        shared = (label_dropout, self_conditioning, super_resolution, sigma_data, seed)
        super().__init__(image_shape, num_classes, network, *shared, **kwargs)
        self.prediction = inputs.check_choice("prediction", prediction, PREDICTIONS)
        self.times = inputs.check_choice("times", times, TIMES)
        self.optimal_transport = bool(optimal_transport)

    def get_config(self):
        return super().get_config() | {
            "prediction": self.prediction,
            "times": self.times,
            "optimal_transport": self.optimal_transport,
        }

    s_range = (1e-3, 1e3)

    def at(self, s):
        return 1.0 / (1.0 + s), s / (1.0 + s), 1000.0 * s / (1.0 + s)

    def levels(self, steps, spacing):
        if spacing == "karras":
            return self.levels_at(spacings.karras(*self.s_range, steps))
        # From a trace of signal on, so that no sampler meets sigma / alpha at infinity.
        s = np.append(np.minimum(spacings.continuous(steps, spacing), 0.999), 0.0)
        return Levels(1.0 - s, s, 1000.0 * s)

    def outputs(self, x, time, condition, last=None, training=False):
        """The velocity."""
        said = super().outputs(x, time, condition, last, training)
        if self.prediction == "velocity":
            return said
        return (said - x) / ops.maximum(self.wide(time / 1000.0), LEAST_NOISE)

    def estimate(self, x, output, alpha, sigma):
        # x + s u = (1 - s) x_0 + s e + s x_0 - s e = x_0
        return x + sigma * output

    def paired(self, x0, e):
        """Noise for each image, drawn from the transport plan between the batch and its noise."""
        flat_x, flat_e = (ops.reshape(a, (-1, self.num_dims)) for a in (x0, e))
        inner = ops.matmul(flat_x, ops.transpose(flat_e))  # [B, B]; squared distances differ by sums of rows, columns
        cost = -inner / ops.std(inner)
        rows = columns = ops.zeros((ops.shape(x0)[0],))
        for _ in range(SINKHORN_STEPS):
            rows = -ops.logsumexp(columns[None, :] - 20.0 * cost, axis=1)
            columns = -ops.logsumexp(rows[:, None] - 20.0 * cost, axis=0)
        chosen = keras.random.categorical(columns[None, :] - 20.0 * cost, 1, seed=self.seed_generator)[:, 0]
        return ops.take(e, chosen, axis=0)

    def random_times(self, num):
        """s in (0, 1), `[num]`."""
        if self.times == "uniform":
            return keras.random.uniform((num,), seed=self.seed_generator)
        return ops.sigmoid(self.normal((num,)))

    def image_losses(self, images, condition, training):
        """The loss of each image, `[B]`."""
        x0 = self.to_data(images)
        e = self.normal(ops.shape(images))
        if self.optimal_transport:
            e = self.paired(x0, e)
        s = self.random_times(ops.shape(images)[0])
        wide = self.wide(s)
        x = (1.0 - wide) * x0 + wide * e
        last = self.first_guess(x, 1.0 - wide, wide, 1000.0 * s, condition) if self.self_conditioning else None
        output = self.outputs(x, 1000.0 * s, condition, last, training)
        return self.mean(ops.square(output - (x0 - e)))
