"""`DecodingModel` and `LatentModel`: what families that decode, or encode and decode, share."""

import numpy as np

from kerasgen import inputs, noise
from kerasgen.base.exhibit import SHOWN, Exhibit, below_each_other
from kerasgen.base.generative import GenerativeModel
from kerasgen.base.model import BaseModel
from kerasgen.base.program import rows
from kerasgen.errors import InputError
from kerasgen.export import ROWS, Part
from kerasgen.modalities import check_latents
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, ArrayLike, Callable, Labels, Seed, Tensor, Verbose


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray | float) -> np.ndarray:
    """The point `[..., D]` at `t` on the great circle from the direction of `a` to that of `b`; lengths go linearly."""
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

    latent_dim: int

    def decode_step(self, z: Tensor, labels: Tensor | None) -> Tensor:
        raise NotImplementedError

    def draw_latents(self, start: int, stop: int, seed: int, temperature: float) -> np.ndarray:
        """z ~ N(0, temperature^2 I), float32 `[stop - start, latent_dim]`."""
        return temperature * noise.normal(start, stop, (self.latent_dim,), seed)

    @inputs.names_settings
    def sample(
        self,
        num_samples: int,
        labels: Labels = None,
        seed: Seed = None,
        temperature: float = 1.0,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Images decoded from random latents, whose spread `temperature` scales: `[num_samples, H, W, C]` in [0, 1].

        The i-th image depends on the seed, i and its label alone. Labels are the classes in turn unless given.
        """
        return self.decode_drawn(num_samples, labels, seed, temperature, batch_size, verbose)

    def decode_drawn(
        self,
        num_samples: int,
        labels: Any,
        seed: Any,
        temperature: float,
        batch_size: int,
        verbose: Verbose,
        **settings: Any,
    ) -> np.ndarray:
        """As `sample`; `settings` are those of the family's `draw_latents`."""
        num_samples = inputs.check_integer("num_samples", num_samples, 1)
        temperature = np.float32(inputs.check_number("temperature", temperature, 0.0))
        labels = self.sample_labels(labels, num_samples)
        seed = noise.check_seed(seed)

        def batch(start, stop):
            z = self.draw_latents(start, stop, seed, temperature, **settings)
            return [z, *rows(labels)(start, stop)]

        return self.run(self.decode_step, num_samples, batch, batch_size, verbose)

    def decoding(self, z: str) -> Part:
        """What decodes an input of this name, and the labels, if any."""
        drawn = noise.normal(0, ROWS, (self.latent_dim,), 0)
        return Part(self.decode_step, {z: drawn, "labels": self.sample_labels(None, ROWS)}, self.modality.noun)

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        def sampler():
            return self.decoding("noise")

        return {"decoder": lambda: self.decoding("latents"), "sampler": sampler, "whole": sampler}

    def decode(
        self, z: ArrayLike, labels: Labels = None, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """Images of latents `[N, latent_dim]`, float32 `[N, H, W, C]` in [0, 1]."""
        z = check_latents(z, self.latent_dim)
        labels = self.check_labels(labels, len(z))
        return self.run(self.decode_step, len(z), rows(z, labels), batch_size, verbose)


class ReconstructingModel(BaseModel):
    """A model that gives examples back: a family has `reconstruct_step(images, labels)`, to images in [0, 1]."""

    lossless = False  # whether they come back as they were

    def reconstruct_step(self, images: Tensor, labels: Tensor | None) -> Tensor:
        raise NotImplementedError

    def reconstruct(
        self, x: ArrayLike, labels: Labels = None, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """`decode(encode(x))`, float32 `[N, H, W, C]` in [0, 1]."""
        x = self.modality.check(x)
        labels = self.check_labels(labels, len(x))
        return self.run(self.reconstruct_step, len(x), rows(x, labels), batch_size, verbose)

    def reconstruction_error(self, x: ArrayLike, labels: Labels = None, **settings: Any) -> np.ndarray:
        """Mean squared error of what `reconstruct` makes of examples, `[N]`."""
        x = self.modality.check(x)
        error = self.reconstruct(x, labels, **settings) - self.modality.to_float(x)
        return np.square(error).reshape(len(x), -1).mean(axis=1)

    def anomaly_scorers(self) -> dict[str, Callable]:
        lossy = {} if self.lossless else {"reconstruction": self.reconstruction_error}
        return {**super().anomaly_scorers(), **lossy}

    def reconstructions(self, examples: np.ndarray | None, labels: np.ndarray | None, split: str) -> Exhibit:
        """The first examples of a split above what `reconstruct` makes of them."""

        def pairs():
            shown, of_shown = examples[:SHOWN], None if labels is None else labels[:SHOWN]
            again = self.reconstruct(shown, of_shown, verbose=0)
            return below_each_other([self.modality.to_float(shown), again], columns)

        columns = self.modality.columns(SHOWN if examples is None else min(SHOWN, len(examples)))
        return Exhibit(pairs, columns, f"{self.modality.counted} of {split}, and their reconstructions below")

    def probe(self) -> np.ndarray:
        return self.reconstruct(np.zeros((2, *self.shape), np.float32), self.probe_labels(), verbose=0)


class LatentModel(ReconstructingModel, DecodingModel):
    """A model with an encoder and a decoder.

    A family gives what a `DecodingModel` does, and `encode_step(images, labels)` from uint8 or float images to latents
    `[B, latent_dim]`.
    """

    def encode_step(self, images: Tensor, labels: Tensor | None) -> Tensor:
        raise NotImplementedError

    def reconstruct_step(self, images: Tensor, labels: Tensor | None) -> Tensor:
        return self.decode_step(self.encode_step(images, labels), labels)

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        """As `DecodingModel`, and "encoder"; "whole" is the reconstruction, where that is not the example itself."""
        given = self.trial(self.modality) | {"labels": self.sample_labels(None, ROWS)}
        parts = {"encoder": lambda: Part(self.encode_step, given, "latents"), **super().export_parts()}
        if not self.lossless:
            parts["whole"] = lambda: Part(self.reconstruct_step, given, "reconstructions")
        return parts

    def encode(
        self, x: ArrayLike, labels: Labels = None, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """Latents, float32 `[N, latent_dim]`."""
        x = self.modality.check(x)
        labels = self.check_labels(labels, len(x))
        return self.run(self.encode_step, len(x), rows(x, labels), batch_size, verbose)

    def interpolate_latents(self, start: np.ndarray, stop: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Latents `[N, steps, latent_dim]` at `t` `[steps, 1]` from `start` to `stop`, `[N, 1, latent_dim]`."""
        return (1.0 - t) * start + t * stop

    def interpolate(
        self,
        a: ArrayLike,
        b: ArrayLike,
        steps: int = 8,
        labels: Labels = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Images `[N, steps, H, W, C]` on the way between the latents of `a` and of `b`, both ends included."""
        a, b = self.modality.check(a), self.modality.check(b)
        if len(a) != len(b):
            raise InputError(f"interpolate got {len(a)} and {len(b)} images; expected as many of each.")
        t = np.linspace(0.0, 1.0, inputs.check_integer("steps", steps, 2), dtype=np.float32)[:, None]
        labels = self.check_labels(labels, len(a))
        start, stop = (self.encode(x, labels, batch_size, verbose)[:, None] for x in (a, b))
        z = self.interpolate_latents(start, stop, t).reshape(-1, self.latent_dim).astype(np.float32)  # [N steps, D]
        labels = None if labels is None else np.repeat(labels, steps)
        return self.decode(z, labels, batch_size, verbose).reshape(len(a), steps, *self.shape)

    def measures(self) -> tuple[str, ...]:
        lossy = ("mean_squared_error", "psnr", "ssim", "path_length")
        return (*super().measures(), *(() if self.lossless else lossy))

    def exhibit(self, examples: np.ndarray | None, labels: np.ndarray | None, settings: Evaluation) -> list[Exhibit]:
        """Samples; examples above their reconstructions, where these differ; lines between examples of one class.

        The reconstructions come first where the recipe says so.
        """
        exhibits = super().exhibit(examples, labels, settings)
        labels = None if self.exclusive_classes is None else labels
        if settings.picture == "reconstructions":
            exhibits.insert(0, self.reconstructions(examples, labels, settings.split))
        if not exhibits or examples is None or len(examples) < 4:
            return exhibits

        def interpolations():
            ends = np.arange(4)
            if labels is not None:  # a line within a class
                ends = np.concatenate([np.flatnonzero(labels == label)[:2] for label in labels[:2]])
            between = None if labels is None else labels[ends[::2]]
            lines = self.interpolate(examples[ends[::2]], examples[ends[1::2]], SHOWN, between, verbose=0)
            return lines.reshape(-1, *self.shape)

        if not self.lossless and settings.picture is None:
            exhibits.append(self.reconstructions(examples, labels, settings.split))
        columns, noun = self.modality.columns(SHOWN), self.modality.counted
        return [*exhibits, Exhibit(interpolations, columns, f"interpolations between {noun} of {settings.split}")]
