"""Samplers of diffusion and flow-matching models, one algorithm a file; any of them fits any model and schedule."""

import functools

from kerasgen.diffusion.samplers.base import Levels, Sampler
from kerasgen.diffusion.samplers.ddim import DDIM
from kerasgen.diffusion.samplers.ddpm import DDPM
from kerasgen.diffusion.samplers.dpm_solver import DPMSolver
from kerasgen.diffusion.samplers.euler import Euler
from kerasgen.diffusion.samplers.heun import Heun
from kerasgen.diffusion.samplers.uni_pc import UniPC

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
