"""Samplers of diffusion and flow-matching models, one algorithm a file; any of them fits any model and schedule."""

import functools

from kerasgen.samplers.base import Levels, Sampler
from kerasgen.samplers.ddim import DDIM
from kerasgen.samplers.ddpm import DDPM
from kerasgen.samplers.dpm_solver import DPMSolver
from kerasgen.samplers.euler import Euler
from kerasgen.samplers.heun import Heun
from kerasgen.samplers.uni_pc import UniPC

SAMPLERS = {
    "ddpm": DDPM,
    "ddim": DDIM,
    "euler": Euler,
    "heun": Heun,
    "dpm++": DPMSolver,
    "dpm++sde": functools.partial(DPMSolver, sde=True),
    "unipc": UniPC,
}

__all__ = ["DDIM", "DDPM", "SAMPLERS", "DPMSolver", "Euler", "Heun", "Levels", "Sampler", "UniPC"]
