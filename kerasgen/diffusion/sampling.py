"""The settings of one sampling run, as a key of compiled programs."""

from collections.abc import Callable
from dataclasses import dataclass

from kerasgen.diffusion.samplers import DPMSolver, Sampler


@dataclass(frozen=True)
class Options:
    """See `Denoiser.sample`; `sampler` and `config` make the sampler, `keep` is for intermediates."""

    sampler: type[Sampler] = DPMSolver
    config: tuple = ()
    steps: int = 20
    spacing: str = "trailing"
    guidance: float = 1.0
    clip: bool = True
    temperature: float = 1.0
    keep: bool = False
    callback: Callable | None = None

    def make_sampler(self):
        return self.sampler(**dict(self.config))
