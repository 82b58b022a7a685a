"""What a training step of each family costs, in operations and bytes, and from that how well it would scale.

Operations are those of the step's program as XLA counts them, with the recipe's batch; bytes are those that devices
exchange: gradients, and the statistics that are taken over the whole batch. JAX lowers the program; nothing is run.

KERAS_BACKEND=jax python tools/scaling.py --output=scaling.json --markdown
"""

import json
from pathlib import Path

from absl import app, flags

OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures", required=True)
RECIPES = flags.DEFINE_list(
    "recipes",
    "ae-celeba,vae-celeba,vqvae-celeba,sngan-celeba,cyclegan-celeba-smile,glow-celeba,ddpm-cifar10,latent-flow-celeba",
    "zoo names",
)
MARKDOWN = flags.DEFINE_bool("markdown", False, "also print tables")

# An accelerator of 2024: operations a second that a network reaches (a third of 1e15 in bfloat16), and bytes a second
# to and from the others, of 8 in one machine and of 256 in many.
REACHED = 3.3e14
LINKS = {8: 4.5e11, 256: 5.0e10}


def cost(recipe):
    """Operations a step, and bytes exchanged: 4 a trainable parameter, and the moments of batch normalization."""
    import jax
    import keras
    import numpy as np

    from kerasgen.training.run import build

    model = build(recipe, recipe.training.precision)
    model.compile()
    batch, rng = recipe.training.batch_size, np.random.default_rng(0)
    x = rng.integers(0, 256, (batch, *model.source_shape), dtype=np.uint8)
    if model.target_shape is not None:
        y = rng.integers(0, 256, (batch, *model.target_shape), dtype=np.uint8)
    elif model.attributes:
        y = np.zeros((batch, model.num_classes), np.int32)
    else:
        y = None if model.num_classes is None else np.zeros(batch, np.int32)
    groups = [model.trainable_variables, model.non_trainable_variables, model.optimizer.variables]
    groups.append(model.metrics_variables)
    state = tuple([jax.ShapeDtypeStruct(v.shape, v.dtype) for v in group] for group in groups)
    data = tuple(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, y) if a is not None)
    flops = jax.jit(model.train_step).lower(state, data).cost_analysis()["flops"]
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    layers = [part for part in model._flatten_layers() if isinstance(part, keras.layers.BatchNormalization)]
    moments = sum(2 * int(layer.moving_mean.shape[0]) for layer in layers)
    return {"family": type(model).__name__, "batch": batch, "flops": float(flops), "bytes": 4 * (trainable + moments)}


def efficiency(found, devices):
    """Time of a step's operations over that with the exchange, each device with a batch as large as the recipe's.

    A ring sends and receives 2 (n - 1) / n times the bytes; none of it is taken to be hidden behind operations.
    """
    work = found["flops"] / REACHED
    exchange = 2.0 * (devices - 1) / devices * found["bytes"] / LINKS[devices]
    return work / (work + exchange)


def markdown(report):
    lines = ["| recipe | family | batch | GFLOP a step | MB exchanged | on 8 | on 256 |", "| --- " * 7 + "|"]
    for name, found in report.items():
        parts = [name, found["family"], found["batch"], f"{found['flops'] / 1e9:.1f}", f"{found['bytes'] / 1e6:.2f}"]
        parts += [f"{100.0 * found['efficiency'][str(n)]:.1f} %" for n in LINKS]
        lines.append("| " + " | ".join(map(str, parts)) + " |")
    return "\n".join(lines)


def main(_):
    from kerasgen.hub.registry import find

    report = {}
    for name in RECIPES.value:
        found = cost(find(name).recipe)
        report[name] = found | {"efficiency": {str(devices): efficiency(found, devices) for devices in LINKS}}
        print(name, report[name], flush=True)
    Path(OUTPUT.value).write_text(json.dumps(report, indent=1) + "\n")
    if MARKDOWN.value:
        print(markdown(report))


if __name__ == "__main__":
    app.run(main)
