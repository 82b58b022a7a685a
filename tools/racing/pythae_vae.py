"""pythae's example of a VAE: clementchadebec/benchmark_VAE, examples/notebooks/models_training/vae_training.ipynb.

Its residual networks for MNIST, 16 latents, batches of 100, Adam of learning rate 1e-4, trained by pythae's own
`TrainingPipeline`, which measures the validation images after each epoch. Its loss is "bce", of its configurations for
binary MNIST (examples/scripts/configs/binary_mnist), not "mse", the default: the nats of a Gaussian of unit variance
cannot be put beside those of pixels. The time ends within an epoch, and the weights are those of that step.

The clock starts with pythae's `on_train_begin`.
"""

import contextlib
import tempfile

import numpy as np
import torch
from pythae.models import VAE, VAEConfig
from pythae.models.nn.benchmarks.mnist import Decoder_ResNet_AE_MNIST, Encoder_ResNet_VAE_MNIST
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback

from .contest import Trained, in_batches, to_uint8

BATCH_SIZE, LEARNING_RATE, LATENTS = 100, 1e-4, 16
ROWS = 500  # at once


class TimeIsUp(Exception):
    """Leaves pythae's loop."""


class Stop(TrainingCallback):
    """Starts and asks the clock."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_begin(self, training_config, **_):
        self.clock.start()

    def on_train_step_end(self, training_config, **_):
        if not self.clock.step():
            raise TimeIsUp


def train(race, given, clock, seed, bfloat16):
    torch.manual_seed(seed)
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENTS, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder_ResNet_VAE_MNIST(config), decoder=Decoder_ResNet_AE_MNIST(config))
    images, validation = (x.transpose(0, 3, 1, 2) / np.float32(255.0) for x in (given.images, given.validation))
    sizes = {"per_device_train_batch_size": BATCH_SIZE, "per_device_eval_batch_size": BATCH_SIZE}
    with tempfile.TemporaryDirectory() as folder:
        how = {"learning_rate": LEARNING_RATE, "num_epochs": 10**6, "seed": seed, **sizes}
        pipeline = TrainingPipeline(model, BaseTrainerConfig(output_dir=folder, **how))
        with contextlib.suppress(TimeIsUp):
            pipeline(train_data=images, eval_data=validation, callbacks=[Stop(clock)])
    model.eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    last = model.decoder.layers[-1]
    if not isinstance(last[-1], torch.nn.Sigmoid):
        raise TypeError(f"the decoder ends in {last[-1]}; expected the sigmoid of pythae 0.1.2.")
    last[-1] = torch.nn.Identity()  # so that it gives logits

    @torch.no_grad()
    def posterior(x):
        found = model.encoder(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))))
        return found.embedding.numpy(), found.log_covariance.numpy()

    @torch.no_grad()
    def decode(z):
        return model.decoder(torch.from_numpy(z.astype(np.float32))).reconstruction.permute(0, 2, 3, 1).numpy()

    def logits(z):
        return in_batches(decode, ROWS, z)

    def sample(num, seed):
        z = torch.randn((num, LATENTS), generator=torch.Generator().manual_seed(seed)).numpy()
        return to_uint8(1.0 / (1.0 + np.exp(-logits(z))))

    settings = {"latents": LATENTS, "loss": "bce", "optimizer": f"Adam, {LEARNING_RATE}"}
    return Trained(clock.steps, BATCH_SIZE, parameters, settings, sample, posterior=posterior, logits=logits)
