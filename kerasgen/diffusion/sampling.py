"""Sampling: what is asked of a sampler, the loop over its steps, and the latents that its ODE leads to."""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from kerasgen import backend, inputs, noise
from kerasgen.base import AttributeModel, rows, slerp
from kerasgen.base.relay import listening, relay
from kerasgen.diffusion.samplers import DDIM, SAMPLERS, DPMSolver, Levels, Sampler
from kerasgen.errors import InputError
from kerasgen.export import ROWS, Part
from kerasgen.networks import resolve
from kerasgen.typing import Any, Callable, Config, Labels, Seed, Tensor, Verbose

KEPT_NOISE = 1 << 20  # noise of what an inpainting keeps is that of steps from here on


@dataclass(frozen=True)
class SamplingOptions:
    """The settings of `sample`; `config` is the sampler's, `keep` for intermediates."""

    sampler: type[Sampler] = DPMSolver
    config: tuple = ()
    steps: int = 20
    spacing: str = "trailing"
    guidance: float = 1.0
    clip: bool = True
    temperature: float = 1.0
    keep: bool = False
    callback: Callable | None = None

    def make_sampler(self) -> Sampler:
        return self.sampler(**dict(self.config))


@dataclass(frozen=True)
class Structure:
    """What a program of sampling is compiled for, and known by; all else about a run is in its `Numbers`."""

    sampler: Sampler
    clip: bool = True
    keep: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self):
        return self.sampler.structure, self.clip, self.keep


class Numbers(NamedTuple):
    """The numbers of a sampling run: inputs of its program, so that others need no other program.

    Tables may be longer than the run: what they have after `count` steps is not read.
    """

    count: Any  # steps
    levels: tuple[Any, Any, Any]  # alpha, sigma and time, `[N + 1]`
    coefficients: dict[str, Any]  # of the sampler, `[N]`
    temperature: Any = 1.0
    guidance: Any = None  # or `None` without, when the network is evaluated once a step
    listener: Any = None  # the number of a callback, for `relay`


class DenoiserSampling(AttributeModel):
    """Mixed into what draws by a sampler: `sample`, and `encode` and `decode` by the probability-flow ODE."""

    coding_steps = 50  # of encode and decode

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The shape of the noise that an example is drawn from."""
        return self.shape

    def sampling_options(self, sampler: str | Sampler = "dpm++", **settings: Any) -> SamplingOptions:
        """The checked settings of a sampling run. Raises `InputError`: one is not possible for this model."""
        try:
            options = SamplingOptions(**settings)
        except TypeError as error:
            raise InputError(f"a sampling run has no such setting: {error}") from error
        inputs.check_integer("steps", options.steps, 1)
        guidance = inputs.check_number("guidance", options.guidance, 0.0)
        if guidance != 1.0 and self.num_classes is None:
            raise InputError(f"guidance is {guidance:g}, but this model has no classes to guide to.")
        inputs.check_number("temperature", options.temperature, 0.0)
        if isinstance(sampler, str):
            sampler = SAMPLERS[inputs.check_choice("sampler", sampler, SAMPLERS)]()
        elif not isinstance(sampler, Sampler):
            raise InputError(f"sampler is a {type(sampler).__name__}; expected one of {list(SAMPLERS)}, or a Sampler.")
        sampler.coefficients(self.levels(options.steps, options.spacing))  # refuses what it cannot do
        config = tuple(sorted(sampler.get_config().items()))
        return dataclasses.replace(options, sampler=type(sampler), config=config, clip=bool(options.clip))

    def sampling_config(self, temperature: float = 1.0, **settings: Any) -> Config:
        options = self.sampling_options(**settings)
        chosen = {name: getattr(options, name) for name in ("steps", "spacing", "guidance", "clip")}
        return {"name": options.sampler.__name__, **dict(options.config), **chosen, "temperature": temperature}

    def numbers(self, sampler: Sampler, levels: Levels, size: int | None = None, **others: Any) -> Numbers:
        """Those of a run over the levels, its tables filled up to those of `size` steps."""

        def filled(table, size):
            return np.pad(table, (0, size - len(table)), mode="edge").astype(np.float32)

        size = size or levels.steps
        tables = (filled(table, size + 1) for table in (levels.alpha, levels.sigma, levels.time))
        coefficients = {name: filled(table, size) for name, table in sampler.coefficients(levels).items()}
        return Numbers(np.int32(levels.steps), (*tables,), coefficients, **others)

    def numbers_of(self, options: SamplingOptions, begin: int = 0) -> Numbers:
        """Those of a run with these options, but for the first steps."""
        levels = self.levels(options.steps, options.spacing)
        levels = Levels(levels.alpha[begin:], levels.sigma[begin:], levels.time[begin:])
        guidance = None if options.guidance == 1.0 else np.float32(options.guidance)
        temperature = np.float32(options.temperature)
        sampler = options.make_sampler()
        return self.numbers(sampler, levels, options.steps, temperature=temperature, guidance=guidance)

    def solve(
        self,
        x: Tensor,
        key: Tensor | None,
        condition: Any,
        numbers: Numbers,
        structure: Structure,
        known: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """x at the last level from x at the first; `[B, H, W, C]`, or all levels `[N + 1, B, H, W, C]` if kept.

        Args:
            x: `[B, H, W, C]`.
            key: of the noise that the sampler draws, int32 `[B, 2]`.
            condition: a `Condition`.
            known, mask: an image to keep where the mask is 0 (`inpaint`), or `None`.
        """
        shape = tuple(x.shape[1:])
        sampler = structure.sampler
        constant = {name: ops.convert_to_tensor(table) for name, table in numbers.coefficients.items()}
        alpha, sigma, time = (ops.convert_to_tensor(table) for table in numbers.levels)

        def body(index, carry):
            x, last, path, *memory = carry
            estimates = [last]

            def denoise(x, next=False):
                at = index + 1 if next else index
                level = (ops.take(table, at) for table in (alpha, sigma, time))
                given = estimates[-1] if self.self_conditioning else None
                x0 = self.predict_x0(x, *level, condition, numbers.guidance, structure.clip, given)
                estimates.append(x0)
                return x0

            drawn = numbers.temperature * noise.step_normal(key, index, shape) if sampler.stochastic else None
            c = {name: ops.take(table, index) for name, table in constant.items()}
            x, memory = sampler.step(denoise, x, c, tuple(memory), drawn)
            if known is not None:
                kept = ops.take(alpha, index + 1) * known
                kept = kept + ops.take(sigma, index + 1) * noise.step_normal(key, index + KEPT_NOISE, shape)
                x = mask * x + (1.0 - mask) * kept
            if numbers.listener is not None:
                backend.notify(relay, numbers.listener, index + 1, after=x)
            if structure.keep:
                path = ops.slice_update(path, (index + 1, *[0] * len(x.shape)), x[None])
            return (x, estimates[-1], path, *memory)

        path = ops.stack([x] * (alpha.shape[0] if structure.keep else 1))
        carry = (x, ops.zeros_like(x), path, *sampler.start(x))
        x, _, path, *_ = ops.fori_loop(0, numbers.count, body, carry)
        return path if structure.keep else x

    def sample_step(
        self, key: Tensor, z: Tensor, labels: Tensor | None, low_res: Tensor | None, numbers: Any, structure: Structure
    ) -> Tensor:
        condition = self.condition_for(labels, None if low_res is None else self.modality.scale(low_res))
        x = self.solve(numbers.temperature * z, key, condition, numbers, structure)
        if structure.keep:
            x = ops.swapaxes(x, 0, 1)  # [B, steps + 1, H, W, C]
        return self.to_images(x)

    def _draw(self, step, num, shape, arrays, seed, batch_size, verbose, options, begin=0):
        """`num` rows of `step(key, z, *arrays, numbers, structure)`, z noise of a shape."""
        seed = noise.check_seed(seed)
        structure = Structure(options.make_sampler(), options.clip, options.keep)
        with listening(options.callback) as listener:

            def batch(start, stop):
                listener.check()
                drawn = noise.keys(start, stop, seed), noise.normal(start, stop, shape, seed)
                return [*drawn, *rows(*arrays)(start, stop)]

            numbers = self.numbers_of(options, begin)._replace(listener=listener.number)
            return self.run(step, num, batch, batch_size, verbose, structure, shared=(numbers,))

    @inputs.names_settings
    def sample(
        self,
        num_samples: int,
        labels: Labels = None,
        seed: Seed = None,
        temperature: float = 1.0,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        *,
        sampler: str | Sampler = "dpm++",
        steps: int = 20,
        guidance: float = 1.0,
        spacing: str = "trailing",
        clip: bool = True,
        image_size: tuple[int, int] | None = None,
        intermediates: bool = False,
        callback: Callable[[int], Any] | None = None,
    ) -> np.ndarray:
        """Images drawn by a sampler, float32 `[num_samples, H, W, C]` in [0, 1].

        The i-th image depends on the seed, i, its label and the sampler's settings alone.

        Args:
            num_samples: number of images.
            labels: of classes, which are taken in turn unless given; or what is asked of attributes, such as
                `{"Smiling": 1}`, `[num_samples, A]` of 1, 0 and -1 for any, or nothing.
            temperature: scales the noise.
            sampler: a name from `kerasgen.samplers.SAMPLERS`, or a `Sampler`.
            steps: of the sampler.
            guidance: weight of classifier-free guidance: 1 is none, 0 takes no notice of the labels.
            spacing: of the levels: "trailing", "leading", "linspace" or "karras".
            clip: whether estimates are clipped to where images can be.
            image_size: `(height, width)` other than the model's, if its network takes it.
            intermediates: whether to give x at all levels, `[num_samples, steps + 1, H, W, C]`.
            callback: called with the number of steps done, after each step of each batch.
        """
        num_samples = inputs.check_integer("num_samples", num_samples, 1)
        labels = self.sample_labels(labels, num_samples)
        shape = self.noise_shape
        if image_size is not None:
            if len(shape) != 3:
                raise InputError("image_size is for models of images.")
            height, width = (inputs.check_integer("image_size", side, 1) for side in image_size)
            shape = (height, width, shape[2])
            resolve.check_size(self.network, height, width)
        settings = {"steps": steps, "guidance": guidance, "spacing": spacing, "clip": clip, "temperature": temperature}
        options = self.sampling_options(sampler, **settings, keep=bool(intermediates), callback=callback)
        arrays = (labels, None)
        return self._draw(self.sample_step, num_samples, shape, arrays, seed, batch_size, verbose, options)

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        parts = super().export_parts() | {"sampler": self.sampler_part, "whole": self.sampler_part}
        if self.given_shape is not None:
            del parts["decoder"]  # which would need the image to enlarge
        return parts

    def sampler_part(
        self,
        sampler: str | Sampler = "dpm++",
        steps: int = 20,
        guidance: float = 1.0,
        spacing: str = "trailing",
        clip: bool = True,
        temperature: float = 1.0,
    ) -> Part:
        """`sample`, or `upscale`, with the loop over the steps; it reads keys only if the sampler draws noise."""
        settings: Config = {"steps": steps, "guidance": guidance, "spacing": spacing, "clip": clip}
        settings["temperature"] = temperature
        options = self.sampling_options(sampler, **settings)
        chosen, numbers, small = options.make_sampler(), self.numbers_of(options), self.given_shape
        structure = Structure(chosen, options.clip)

        def draw(z, key, labels, low_res):
            tensors = keras.tree.map_structure(lambda a: None if a is None else ops.convert_to_tensor(a), numbers)
            return self.sample_step(key, z, labels, low_res, tensors, structure)

        given = {
            "noise": noise.normal(0, ROWS, self.noise_shape, 0),
            "keys": noise.keys(0, ROWS, 0) if chosen.stochastic else None,
            "labels": self.sample_labels(None, ROWS),
            "low_res": None if small is None else noise.uniform(0, ROWS, small, 0).astype(np.float32),
        }
        return Part(draw, given, self.modality.noun, settings=self.sampling_config(sampler=sampler, **settings))

    # Latents: the noise that the probability-flow ODE leads to

    def encode_step(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """x at the noisiest level, by DDIM's steps the other way round (Song et al. 2021, section 4.3)."""
        images = self.modality.scale(images)
        condition = self.condition_for(labels, self.low_res(images))
        forth = self.levels(self.coding_steps, "trailing")
        # The image is taken to be at the least noisy level.
        back = Levels(*(table[-2::-1] for table in (forth.alpha, forth.sigma, forth.time)))
        numbers, structure = self.numbers(DDIM(), back), Structure(DDIM(), clip=False)
        return ops.reshape(self.solve(self.to_x0(images), None, condition, numbers, structure), (-1, self.latent_dim))

    def decode_step(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Images from latents, by DDIM."""
        levels = self.levels(self.coding_steps, "trailing")
        x = ops.reshape(z, (-1, *self.shape))
        numbers, structure = self.numbers(DDIM(), levels), Structure(DDIM(), clip=False)
        return self.to_images(self.solve(x, None, self.condition_for(labels), numbers, structure))

    def interpolate_latents(self, start: np.ndarray, stop: np.ndarray, t: np.ndarray) -> np.ndarray:
        return slerp(start, stop, t)
