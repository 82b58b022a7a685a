"""diffusers' schedulers: the noise that a network was trained on, and how it is drawn from."""

from kerasgen.diffusion.samplers import DDIM, DDPM
from kerasgen.importers.settings import Settings
from kerasgen.typing import Any, Config

PREDICTIONS = {"epsilon": "epsilon", "sample": "x0", "v_prediction": "v"}
VARIANCES = {"fixed_small": "small", "fixed_small_log": "small", "fixed_large": "large"}
SPACINGS = ("leading", "trailing", "linspace")
SCHEDULERS = ("DDPMScheduler", "DDIMScheduler")


def read(config: Config, where: str) -> tuple[Config, Config]:
    """Arguments of a `DiffusionModel`, and of its `sample` for what the scheduler does.

    Raises `CheckpointError`: the scheduler does what no sampler of ours does.
    """
    settings = Settings(config, where)
    name = config.get("_class_name")
    if name not in SCHEDULERS:
        settings.config["_class_name"] = name
        raise settings.wrong("_class_name", f"kerasgen reads {' and '.join(SCHEDULERS)}: save one of them in its place")
    steps = settings.take("num_train_timesteps", 1000, int)
    start, end = settings.take("beta_start", 1e-4, float), settings.take("beta_end", 0.02, float)
    kind = settings.take("beta_schedule", "linear", str)
    schedule: Any = {"class": kind, "beta_start": start, "beta_end": end}
    if betas := settings.take("trained_betas", None, list, type(None)):
        schedule = {"betas": betas}
    elif kind == "squaredcos_cap_v2":
        schedule = "cosine"
    elif kind not in ("linear", "scaled_linear", "sigmoid"):
        raise settings.wrong("beta_schedule", "kerasgen has linear, scaled_linear, sigmoid and squaredcos_cap_v2 only")
    prediction = settings.take("prediction_type", "epsilon", str)
    if not settings.take("predict_epsilon", True, bool):  # of configs before there was prediction_type
        prediction = "sample"
    if prediction not in PREDICTIONS:
        raise settings.wrong("prediction_type", f"kerasgen has {', '.join(PREDICTIONS)} only")
    zero = settings.take("rescale_betas_zero_snr", False, bool)
    if zero and prediction == "epsilon":
        raise settings.wrong("rescale_betas_zero_snr", "a prediction of epsilon says nothing where all is noise")
    model = {"schedule": schedule, "num_steps": steps, "prediction": PREDICTIONS[prediction], "zero_terminal_snr": zero}
    settings.only("thresholding", False)
    settings.only("clip_sample_range", 1.0)
    settings.unused("dynamic_thresholding_ratio", "sample_max_value")  # of thresholding
    settings.unused("tensor_format", "timestep_values")  # of configs of 2022
    spacing = settings.take("timestep_spacing", "leading", str)
    if spacing not in SPACINGS:
        raise settings.wrong("timestep_spacing", f"kerasgen has {', '.join(SPACINGS)} only")
    if settings.take("steps_offset", 0, int) and spacing == "leading":
        raise settings.wrong("steps_offset", "kerasgen has 0 only")
    drawing = {"spacing": spacing, "clip": settings.take("clip_sample", True, bool)}
    if name == "DDPMScheduler":
        variance = settings.take("variance_type", "fixed_small", str)
        if variance not in VARIANCES:
            raise settings.wrong("variance_type", f"kerasgen has {', '.join(VARIANCES)} only")
        drawing |= {"sampler": DDPM(VARIANCES[variance]), "steps": steps}
    else:
        settings.only("set_alpha_to_one", True)
        drawing |= {"sampler": DDIM(), "steps": 50}
    settings.done()
    return model, drawing
