"""Parity with diffusers' schedulers: the same estimates and noise give the same trajectory, step by step."""

import numpy as np
import pytest

from kerasgen.diffusion.samplers import DDIM, DDPM, DPMSolver, Euler, Heun, Levels, UniPC

diffusers = pytest.importorskip("diffusers")
torch = pytest.importorskip("torch")

# diffusers hands its tensors to NumPy 2 by the older protocol.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn.t accept a copy:DeprecationWarning")
SHAPE = (2, 1, 4, 4)


def estimate(x, alpha, sigma):
    """Some x_0 that depends on x and on the level, smoothly."""
    return np.tanh(alpha * x / (alpha**2 + 0.3 * sigma**2)) * 0.8


def levels_of(scheduler, timesteps):
    """The levels at a scheduler's time steps, and data at the end."""
    squares = scheduler.alphas_cumprod.numpy().astype(np.float64)
    at = np.interp(timesteps, np.arange(len(squares)), np.sqrt((1 - squares) / squares))
    alpha = np.append(1 / np.sqrt(1 + at**2), 1.0)
    return Levels(alpha, np.append(at / np.sqrt(1 + at**2), 0.0), np.append(timesteps, 0.0))


def ours(sampler, levels, x, noises):
    """The trajectory `[N + 1, ...]` of a plain loop."""
    c, memory, path = sampler.coefficients(levels), sampler.start(x), [x]
    for i in range(levels.steps):

        def denoise(x, next=False, i=i):
            return estimate(x, levels.alpha[i + next], levels.sigma[i + next])

        x, memory = sampler.step(denoise, x, {name: values[i] for name, values in c.items()}, memory, noises[i])
        path.append(x)
    return np.stack(path)


def theirs(scheduler, x, noises, exploding, **arguments):
    """The same by diffusers, in the variance-preserving form; `noises` are those of the steps that draw."""
    x = torch.from_numpy(x)
    if exploding:
        x = x * (scheduler.sigmas[0] ** 2 + 1).sqrt()
    path, draws = [], iter(noises)
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t).numpy().astype(np.float64)
        squares = scheduler.alphas_cumprod.numpy().astype(np.float64)
        s = np.interp(float(t), np.arange(len(squares)), np.sqrt((1 - squares) / squares))
        alpha, sigma = 1 / np.sqrt(1 + s**2), s / np.sqrt(1 + s**2)
        path.append(scaled)
        output = estimate(scaled, alpha, sigma)
        if scheduler.config.prediction_type == "epsilon":
            output = (scaled - alpha * output) / sigma
        given = {"variance_noise": torch.from_numpy(next(draws))} if arguments.get("draws") else {}
        extra = {key: value for key, value in arguments.items() if key != "draws"}
        x = scheduler.step(torch.from_numpy(output), t, x, **given, **extra).prev_sample
    path.append(x.numpy())
    return np.stack(path)


KINDS = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
COMMON = {"prediction_type": "epsilon", "num_train_timesteps": 1000}
# In single precision, as they compute it, x_0 from e loses digits where alpha is small.
DATA = COMMON | {"prediction_type": "sample"}
# The spacings of diffusers; linear ones of 28 steps (27 intervals of 37) fall on whole time steps.
SPACINGS = [("leading", 20), ("trailing", 20), ("linspace", 28)]


def start(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(SHAPE), rng.standard_normal((2000, *SHAPE))


def check(sampler, scheduler, exploding=False, timesteps=None, **arguments):
    x, noises = start()
    timesteps = scheduler.timesteps.numpy().astype(np.float64) if timesteps is None else timesteps
    levels = levels_of(scheduler, timesteps)
    found = ours(sampler, levels, x, noises)
    expected = theirs(scheduler, x, noises, exploding, **arguments)
    if isinstance(sampler, Heun):
        expected = np.concatenate([expected[:-1:2], expected[-1:]])  # they call each half a step
    np.testing.assert_allclose(found, expected, atol=1e-4)


# The last sigma of the cosine schedule is beyond single precision in the form that these two step in.
@pytest.mark.parametrize(("kind", "spacing", "steps"), [*(("linear", *s) for s in SPACINGS), ("cosine", *SPACINGS[0])])
def test_euler_and_heun(kind, spacing, steps):
    config = {"beta_schedule": KINDS[kind], "timestep_spacing": spacing, **COMMON}
    scheduler = diffusers.EulerDiscreteScheduler(**config)
    scheduler.set_timesteps(steps)
    check(Euler(), scheduler, exploding=True)
    scheduler = diffusers.HeunDiscreteScheduler(**config)
    scheduler.set_timesteps(steps)
    check(Heun(), scheduler, exploding=True, timesteps=scheduler.timesteps.numpy().astype(np.float64)[::2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("spacing", "steps"), [*SPACINGS[:2], ("linspace", 1000)])
@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
def test_ddim(kind, spacing, steps, eta):
    scheduler = diffusers.DDIMScheduler(
        beta_schedule=KINDS[kind], timestep_spacing=spacing, clip_sample=False, **COMMON
    )
    scheduler.set_timesteps(steps)
    check(DDIM(eta), scheduler, eta=eta, draws=eta > 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("spacing", "steps"), [*SPACINGS[:2], ("linspace", 1000)])
@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm(kind, spacing, steps, variance, monkeypatch):
    """diffusers adds large variance even in a last step that does not start at t = 0; ours never does."""
    scheduler = diffusers.DDPMScheduler(
        beta_schedule=KINDS[kind],
        timestep_spacing=spacing,
        variance_type=f"fixed_{variance}",
        clip_sample=False,
        **COMMON,
    )
    scheduler.set_timesteps(steps)
    _, noises = start()
    noises[steps - 1] = 0.0
    draws = iter(noises)
    module = __import__("diffusers.schedulers.scheduling_ddpm", fromlist=["randn_tensor"])
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: torch.from_numpy(next(draws)))
    check(DDPM(variance), scheduler)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("spacing", "steps"), [("leading", 20), ("trailing", 20), ("linspace", 27)])
@pytest.mark.parametrize("sde", [False, True])
def test_dpm_solver(kind, spacing, steps, sde):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        beta_schedule=KINDS[kind],
        timestep_spacing=spacing,
        algorithm_type="sde-dpmsolver++" if sde else "dpmsolver++",
        **DATA,
    )
    scheduler.set_timesteps(steps)
    check(DPMSolver(sde), scheduler, draws=sde)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("spacing", "steps"), [("leading", 20), ("trailing", 20), ("linspace", 27)])
def test_uni_pc(kind, spacing, steps):
    scheduler = diffusers.UniPCMultistepScheduler(beta_schedule=KINDS[kind], timestep_spacing=spacing, **DATA)
    scheduler.set_timesteps(steps)
    check(UniPC(), scheduler)
