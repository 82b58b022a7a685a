"""Videos that go on from their first frames."""

import numpy as np

from kerasgen import inputs
from kerasgen.diffusion.samplers import Sampler
from kerasgen.diffusion.sampling import DenoiserSampling
from kerasgen.errors import InputError
from kerasgen.modalities import Videos, to_numpy
from kerasgen.typing import Any, ArrayLike, Callable, Labels, Seed, Tensor, Verbose


class DenoiserForecasting(DenoiserSampling):
    """Mixed into what draws by a sampler: `forecast`, of videos."""

    num_given: int
    # (key, z, videos, num, labels, numbers, structure): videos that begin with the first `num` `[B]` frames of others
    forecast_step: Callable[..., Tensor]

    @property
    def offers(self) -> tuple[str, ...]:
        return tuple(verb for verb in super().offers if verb != "forecast" or isinstance(self.modality, Videos))

    def measures(self) -> tuple[str, ...]:
        return (*super().measures(), *(("forecast",) if "forecast" in self.offers else ()))

    @inputs.names_settings
    def forecast(
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
        """Videos that begin with the given frames, float32 `[N, T, H, W, C]` in [0, 1].

        At every level the given frames are kept with that level's noise, as `inpaint` keeps pixels. A network of a
        model with `num_given` reads them too, where so many are given (Ho et al. 2022, "Video diffusion models",
        section 3.1, compares the two).

        Args:
            x: the first frames, `[N, K, H, W, C]` with K less than T.
            sampler, steps, guidance, spacing, clip, temperature: as in `sample`.
        """
        self.verb("forecast")  # refuses models of others than videos
        x = to_numpy(Videos.noun, x)
        length, num = self.shape[0], x.shape[1] if x.ndim == 5 else 1
        if not 1 <= num < length:
            raise InputError(f"{num} frames are given; expected 1 to {length - 1} of the {length} of a video.")
        known = Videos((num, *self.shape[1:]))
        x = known.to_float(known.check(x))
        labels = self.check_labels(labels, len(x))
        settings = {"steps": steps, "guidance": guidance, "spacing": spacing, "clip": clip, "temperature": temperature}
        options = self.sampling_options(sampler, **settings)
        whole = np.concatenate([x, np.zeros((len(x), length - num, *self.shape[1:]), np.float32)], axis=1)
        arrays: Any = (whole, np.full(len(x), num, np.int32), labels)
        drawn = self._draw(self.forecast_step, len(x), self.noise_shape, arrays, seed, batch_size, verbose, options)
        return np.concatenate([x, drawn[:, num:]], axis=1)
