"""`DecodingModel` and `LatentModel`: what families that decode, or encode and decode, share."""

import numpy as np

from kerasgen import inputs, noise
from kerasgen.errors import InputError
from kerasgen.base.model import GenerativeModel, rows


def slerp(a, b, t):
    """Points at `t` on great circles between the directions of `a` and `b`, of lengths in between; last axis D."""
    lengths = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b)]
    a, b = a / lengths[0], b / lengths[1]
    angle = np.arccos(np.clip((a * b).sum(axis=-1, keepdims=True), -1.0, 1.0))
    sine = np.maximum(np.sin(angle), 1e-12)
    direction = (np.sin((1.0 - t) * angle) * a + np.sin(t * angle) * b) / sine
    return direction * ((1.0 - t) * lengths[0] + t * lengths[1])


class DecodingModel(GenerativeModel):
    """A model with a decoder.

    A family gives `latent_dim`, `decode_step(z, labels)` to images in [0, 1], and `draw_latents(start, stop, seed,
    temperature)`, the latents of the samples `start` to `stop - 1`.
    """

    def sample(self, num_samples, labels=None, seed=None, temperature=1.0, batch_size=64, verbose="auto", **settings):
        """Images decoded from random latents: float32 `[num_samples, H, W, C]` in [0, 1].

        The i-th image depends on the seed, i and its label alone. Labels are the classes in turn unless given.
        `temperature` scales the spread of the latents; further `settings` are those of `draw_latents`, if any.
        """
        num_samples = inputs.check_integer("num_samples", num_samples, 1)
        temperature = np.float32(inputs.check_number("temperature", temperature, 0.0))
        self.how_drawn(temperature, **settings)  # refuses settings that there are not
        labels = self.sample_labels(labels, num_samples)
        seed = noise.check_seed(seed)

        def batch(start, stop):
            z = self.draw_latents(start, stop, seed, temperature, **settings)
            return [z, None if labels is None else labels[start:stop]]

        return self.run(self.decode_step, num_samples, batch, batch_size, verbose)

    def decode(self, z, labels=None, batch_size=64, verbose="auto"):
        """Images of latents `[N, latent_dim]`, float32 `[N, H, W, C]` in [0, 1]."""
        z = inputs.check_latents(z, self.latent_dim)
        labels = self.check_labels(labels, len(z))
        return self.run(self.decode_step, len(z), rows(z, labels), batch_size, verbose)


class LatentModel(DecodingModel):
    """A model with an encoder and a decoder.

    A family gives what a `DecodingModel` does, and `encode_step(images, labels)` from uint8 or float images to latents
    `[B, latent_dim]`.
    """

    lossless = False  # whether `reconstruct` gives back the pixels as they were

    def reconstruct_step(self, images, labels):
        return self.decode_step(self.encode_step(images, labels), labels)

    def encode(self, x, labels=None, batch_size=64, verbose="auto"):
        """Latents, float32 `[N, latent_dim]`."""
        x = self.check_images(x)
        labels = self.check_labels(labels, len(x))
        return self.run(self.encode_step, len(x), rows(x, labels), batch_size, verbose)

    def reconstruct(self, x, labels=None, batch_size=64, verbose="auto"):
        """`decode(encode(x))`, float32 `[N, H, W, C]` in [0, 1]."""
        x = self.check_images(x)
        labels = self.check_labels(labels, len(x))
        return self.run(self.reconstruct_step, len(x), rows(x, labels), batch_size, verbose)

    def between(self, start, stop, t):
        """Latents `[N, steps, latent_dim]` at `t` `[steps, 1]` from `start` to `stop`, `[N, 1, latent_dim]`."""
        return (1.0 - t) * start + t * stop

    def interpolate(self, a, b, steps=8, labels=None, batch_size=64, verbose="auto"):
        """Images `[N, steps, H, W, C]` on the way between the latents of `a` and of `b`, both ends included."""
        a, b = self.check_images(a), self.check_images(b)
        if len(a) != len(b):
            raise InputError(f"interpolate got {len(a)} and {len(b)} images; expected as many of each.")
        t = np.linspace(0.0, 1.0, inputs.check_integer("steps", steps, 2), dtype=np.float32)[:, None]
        labels = self.check_labels(labels, len(a))
        start, stop = (self.encode(x, labels, batch_size, verbose)[:, None] for x in (a, b))
        z = self.between(start, stop, t).reshape(-1, self.latent_dim).astype(np.float32)  # [N * steps, latent_dim]
        labels = None if labels is None else np.repeat(labels, steps)
        return self.decode(z, labels, batch_size, verbose).reshape(len(a), steps, *self.image_shape)
