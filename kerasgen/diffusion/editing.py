"""Editing: inpainting, noising and drawing anew, and enlargement of low-resolution images."""

import numpy as np
from keras import ops

from kerasgen import inputs
from kerasgen.base import SAMPLED, SHOWN, Exhibit, LatentModel, below_each_other, describe_sampling, rows, written
from kerasgen.diffusion.samplers import Sampler
from kerasgen.diffusion.sampling import Numbers, Structure
from kerasgen.errors import InputError
from kerasgen.modalities import Images
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, ArrayLike, Config, Labels, Seed, Tensor, Verbose

ENLARGING = ("upscale", "downscale")


class DenoiserEditing(LatentModel):
    """Mixed into `Denoiser`: `inpaint`, `edit`, and `upscale` of models with `super_resolution`."""

    super_resolution: int | None

    def inpaint_step(
        self,
        key: Tensor,
        z: Tensor,
        images: Tensor,
        mask: Tensor,
        labels: Tensor | None,
        numbers: Numbers,
        structure: Structure,
    ) -> Tensor:
        condition = self.condition_for(labels)
        known, mask = self.to_x0(self.modality.scale(images)), ops.cast(mask, "float32")
        return self.to_images(self.solve(numbers.temperature * z, key, condition, numbers, structure, known, mask))

    @inputs.names_settings
    def inpaint(
        self,
        x: ArrayLike,
        mask: ArrayLike,
        labels: Labels = None,
        seed: Seed = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        *,
        sampler: str | Sampler = "dpm++",
        steps: int = 20,
        guidance: float = 1.0,
        spacing: str = "trailing",
        clip: bool = True,
        temperature: float = 1.0,
    ) -> np.ndarray:
        """Images with the pixels drawn anew where the mask is 1, and kept where it is 0.

        At every level what is kept is the image with that level's noise (Song et al. 2021b, appendix I.2).

        Args:
            x: images `[N, H, W, C]`.
            mask: 0 and 1 or bool, `[N, H, W, 1]`, `[H, W, 1]` or `[H, W]`; for vectors `[N, D]` or `[D]`; for videos
                with frames before H.
            sampler, steps, guidance, spacing, clip, temperature: as in `sample`.
        """
        x = self.modality.check(x)
        labels = self.check_labels(labels, len(x))
        mask = self._check_mask(mask, len(x))
        settings = {"steps": steps, "guidance": guidance, "spacing": spacing, "clip": clip, "temperature": temperature}
        options = self.sampling_options(sampler, **settings)
        arrays = (x, mask, labels)
        drawn = self._draw(self.inpaint_step, len(x), self.shape, arrays, seed, batch_size, verbose, options)
        return np.where(mask > 0, drawn, self.modality.to_float(x))

    def _check_mask(self, mask, num):
        mask = np.asarray(mask)
        one = self.shape if self.vectors else (*self.shape[:-1], 1)
        shapes = {(num, *one), one, one if self.vectors else one[:-1]}
        if mask.shape not in shapes:
            raise InputError(f"the mask has shape {mask.shape}; expected one of {sorted(shapes, key=len)}.")
        if not np.isin(mask, (0, 1)).all():
            raise InputError("the mask has values other than 0 (keep) and 1 (draw anew).")
        mask = mask[..., None] if mask.shape == one[:-1] else mask
        return np.broadcast_to(mask, (num, *one)).astype(np.float32)

    def edit_step(
        self, key: Tensor, z: Tensor, images: Tensor, labels: Tensor | None, numbers: Numbers, structure: Structure
    ) -> Tensor:
        alpha, sigma, _ = numbers.levels
        x = alpha[0] * self.to_x0(self.modality.scale(images)) + sigma[0] * z
        return self.to_images(self.solve(x, key, self.condition_for(labels), numbers, structure))

    @inputs.names_settings
    def edit(
        self,
        x: ArrayLike,
        strength: float = 0.5,
        labels: Labels = None,
        seed: Seed = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        *,
        sampler: str | Sampler = "dpm++",
        steps: int = 20,
        guidance: float = 1.0,
        spacing: str = "trailing",
        clip: bool = True,
        temperature: float = 1.0,
    ) -> np.ndarray:
        """Images noised by so much of the way, and drawn anew from there (Meng et al. 2022, "SDEdit").

        Args:
            x: images `[N, H, W, C]`.
            strength: from 0, next to nothing changes, to 1, all is new.
            labels: of the classes that the results shall be of.
            sampler, steps, guidance, spacing, clip, temperature: as in `sample`.
        """
        x = self.modality.check(x)
        labels = self.check_labels(labels, len(x))
        strength = inputs.check_number("strength", strength, 0.0)
        if strength > 1.0:
            raise InputError(f"strength is {strength:g}; expected at most 1.")
        settings = {"steps": steps, "guidance": guidance, "spacing": spacing, "clip": clip, "temperature": temperature}
        options = self.sampling_options(sampler, **settings)
        begin = min(round((1.0 - strength) * options.steps), options.steps - 1)
        arrays = (x, labels)
        return self._draw(self.edit_step, len(x), self.shape, arrays, seed, batch_size, verbose, options, begin)

    # Super-resolution

    @property
    def given_shape(self) -> tuple[int, ...] | None:
        """With `super_resolution`, the shape of an image that `upscale` enlarges: `(height, width, channels)`."""
        if self.super_resolution is None:
            return None
        height, width, channels = self.shape
        return (height // self.super_resolution, width // self.super_resolution, channels)

    @property
    def offers(self) -> tuple[str, ...]:
        if self.given_shape is None:
            return tuple(verb for verb in super().offers if verb not in ENLARGING)
        return ("log_prob", "bits_per_dim", "anomaly_score", "upscale", "downscale")

    def source_shape_of(self, verb: str) -> tuple[int, ...]:
        return self.given_shape if verb == "upscale" else self.shape

    def downscale_step(self, images: Tensor) -> Tensor:
        return self.low_res(self.modality.scale(images))

    def downscale(self, x: ArrayLike, batch_size: int = 64) -> np.ndarray:
        """Images `[N, H, W, C]` made small as those that the model learns to enlarge: uint8 `[N, *given_shape]`."""
        self.verb("downscale")  # refuses models that do not enlarge
        x = self.modality.check(x)
        return self.modality.to_storage(self.run(self.downscale_step, len(x), rows(x), batch_size, verbose=0))

    @inputs.names_settings
    def upscale(
        self,
        x: ArrayLike,
        labels: Labels = None,
        seed: Seed = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        *,
        sampler: str | Sampler = "dpm++",
        steps: int = 20,
        guidance: float = 1.0,
        spacing: str = "trailing",
        clip: bool = True,
        temperature: float = 1.0,
    ) -> np.ndarray:
        """Images drawn for low-resolution ones: float32 `[N, H, W, C]` in [0, 1], for models with `super_resolution`.

        Args:
            x: images of `given_shape`, as `downscale` makes them.
            sampler, steps, guidance, spacing, clip, temperature: as in `sample`.
        """
        self.verb("upscale")  # refuses models that do not enlarge
        x = Images(self.given_shape).check(x)
        labels = self.check_labels(labels, len(x))
        settings = {"steps": steps, "guidance": guidance, "spacing": spacing, "clip": clip, "temperature": temperature}
        options = self.sampling_options(sampler, **settings)
        return self._draw(self.sample_step, len(x), self.shape, (labels, x), seed, batch_size, verbose, options)

    # What models with super_resolution say of themselves

    def synthesize(
        self, num: int, given: np.ndarray, labels: np.ndarray | None, **settings: Any
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if self.given_shape is None:
            return super().synthesize(num, given, labels, **settings)
        return self.upscale(self.downscale(given), labels, **settings), labels

    def measures(self) -> tuple[str, ...]:
        enlarging = ("mean_squared_error", "psnr", "ssim", *SAMPLED, "bits_per_dim")
        return super().measures() if self.given_shape is None else enlarging

    def exhibit(self, examples: np.ndarray | None, labels: np.ndarray | None, settings: Evaluation) -> list[Exhibit]:
        """With `super_resolution`, rows of small images, of what `upscale` makes of them and of the originals."""
        if self.given_shape is None:
            return super().exhibit(examples, labels, settings)
        num = settings.grid if examples is None else min(settings.grid, len(examples))
        columns = min(SHOWN, num)

        def enlargements():
            real = examples[: num // columns * columns]
            given = self.downscale(real)
            of_real = None if self.num_classes is None else labels[: len(real)]
            large = self.upscale(given, of_real, seed=settings.seed, verbose=0, **settings.drawing)
            factor = self.super_resolution
            small = given.repeat(factor, axis=1).repeat(factor, axis=2)
            return below_each_other([self.modality.to_float(small), large, self.modality.to_float(real)], columns)

        caption = (
            f"The first images of `{settings.split}`, not picked, made small; below each what was drawn for it (seed "
            f"{settings.seed}, {describe_sampling(settings.drawing)}), and below that the image itself."
        )
        return [Exhibit(enlargements, columns, caption)]

    @property
    def task(self) -> str:
        return super().task if self.given_shape is None else "image-to-image"

    def snippet(self, handle: str, drawing: Config | None = None) -> str:
        if self.given_shape is None:
            return super().snippet(handle, drawing)
        small, full = (", ".join(map(str, shape)) for shape in (self.given_shape, self.shape))
        arguments = self.written_labels("np.zeros(16, np.int32)") + written(drawing)
        return f"""import kerasgen
import numpy as np

model = kerasgen.load("{handle}")
small = np.zeros((16, {small}), np.uint8)  # yours, or float in [0, 1]
images = model.upscale(small{arguments})  # float32 [16, {full}] in [0, 1]
model.compile()  # then fine-tune, on images of full size: model.fit(images{", labels" if self.num_classes else ""})"""

    def probe(self) -> np.ndarray:
        few = {"seed": 0, "steps": 2, "verbose": 0}
        if self.given_shape is None:
            return self.sample(2, self.probe_labels(), **few)
        return self.upscale(np.zeros((2, *self.given_shape), np.float32), self.probe_labels(), **few)
