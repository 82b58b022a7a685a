"""Samplers of diffusion and flow-matching models, one algorithm a file; any of them fits any model and schedule."""

import functools

from kerasgen.diffusion.samplers.base import Levels as Levels, Sampler as Sampler
from kerasgen.diffusion.samplers.ddim import DDIM as DDIM
from kerasgen.diffusion.samplers.ddpm import DDPM as DDPM
from kerasgen.diffusion.samplers.dpm_solver import DPMSolver as DPMSolver
from kerasgen.diffusion.samplers.euler import Euler as Euler
from kerasgen.diffusion.samplers.heun import Heun as Heun
from kerasgen.diffusion.samplers.uni_pc import UniPC as UniPC
from kerasgen.typing import Callable

SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "ddpm": DDPM,
    "ddim": DDIM,
    "euler": Euler,
    "heun": Heun,
    "dpm++": DPMSolver,
    "dpm++sde": functools.partial(DPMSolver, sde=True),
    "unipc": UniPC,
}
