"""Measures speed against peers in one run, as ratios.

- vae, gan, glow, unet, gpt, gpt-dropout: training and sampling, and peak memory, against peers of the same layers: see
  tools/contestants.py. Each model has a process of its own with nothing else in it; all take turns.
- import: what `import kerasgen` adds to `import keras`.
- cold: from the start of a process to the first image, against diffusers with a network of the same size.
- gate: what the checks of `fit` cost: seconds of an epoch of `fit`, over those of `keras.Model.fit` without them, of a
  VAE and a diffusion model on a `tf.data.Dataset` and on an array; the two take turns.
- slider: seconds of each of 20 temperatures of `ddpm-mnist`, 4 images, after the first, and what memory grows by.

The report names the processor, its flags and the settings of threads and instructions. Of a processor with AVX-512,
one without is imitated by ONEDNN_MAX_CPU_ISA=AVX2 (TensorFlow, PyTorch), ATEN_CPU_CAPABILITY=avx2 (PyTorch, eager),
TORCHINDUCTOR_CPP_SIMDLEN=256 (PyTorch, compiled) and XLA_FLAGS=--xla_cpu_max_isa=AVX2 (JAX) together.

python tools/benchmark.py --benchmarks=vae,glow --repeats=5 --output=results.json
"""

import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags
from contestants import CHANNELS, OURS, PEER_MODES, SIDE, UNET

BENCHMARKS = flags.DEFINE_list("benchmarks", ["import"], "which to run, of those above")
REPEATS = flags.DEFINE_integer("repeats", 5, "measurements; the median counts", lower_bound=1)
OUTPUT = flags.DEFINE_string("output", None, "also write the figures to this JSON file")
TABLE = flags.DEFINE_string("table", None, "print the table of this JSON file, and measure nothing")


IMPORTS = """
import time
start = time.perf_counter()
import keras
middle = time.perf_counter()
import kerasgen
print(middle - start, time.perf_counter() - middle)
"""

NETWORK = {"class": "UNet", "width": UNET[0], "multipliers": [1, 2], "blocks": 2, "attention": [1]}
COLD = {  # what makes a folder, and what draws from it
    "kerasgen": (
        f"""
import sys, kerasgen
shape = ({SIDE}, {SIDE}, {CHANNELS})
kerasgen.DiffusionModel(shape, network={NETWORK}, schedule="linear", prediction="epsilon").save(sys.argv[1])
""",
        """
import sys, kerasgen
kerasgen.load(sys.argv[1]).sample(1, seed=0, sampler="ddim", steps=10, verbose=0)
""",
    ),
    "diffusers": (
        f"""
import sys, diffusers
network = diffusers.UNet2DModel(
    sample_size={SIDE}, in_channels={CHANNELS}, out_channels={CHANNELS}, layers_per_block=2, block_out_channels={UNET},
    down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    norm_num_groups=8,
)
diffusers.DDIMPipeline(network, diffusers.DDIMScheduler(num_train_timesteps=1000)).save_pretrained(sys.argv[1])
""",
        """
import sys, diffusers
pipeline = diffusers.DDIMPipeline.from_pretrained(sys.argv[1])
pipeline.set_progress_bar_config(disable=True)
pipeline(batch_size=1, num_inference_steps=10, output_type="np")
""",
    ),
}
# Of threads and instructions.
SETTINGS = (
    "OMP_",
    "TF_ENABLE_",
    "TF_NUM_",
    "TF_XLA_",
    "ONEDNN_",
    "DNNL_",
    "ATEN_",
    "XLA_",
    "MALLOC_",
    "GLIBC_",
    "TORCHINDUCTOR_",
)


def import_time(repeats):
    """Seconds of `import keras`, and of `import kerasgen` after it, each the median over fresh interpreters."""
    runs = [
        subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(repeats)
    ]
    keras, added = (statistics.median(float(run[part]) for run in runs) for part in (0, 1))
    return {
        "import keras, seconds": round(keras, 3),
        "added by import kerasgen, seconds": round(added, 3),
        "ratio": round((keras + added) / keras, 4),
    }


def some_images(num, side, channels):
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (num, side, side, channels), dtype=np.uint8)


class Contestant:
    """One model in a process of its own, which waits until it is asked."""

    def __init__(self, pair, name):
        command = [sys.executable, Path(__file__).with_name("contestants.py"), pair, name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = dict(os.environ)
        if name == "compiled":  # PyTorch 2.13 crashes on the two together
            environment.pop("ATEN_CPU_CAPABILITY", None)
        self.process = subprocess.Popen(command, env=environment, **pipes)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{pair}, {name}: {self.process.stderr.read()}")
        self.parameters = json.loads(line)["parameters"]

    def images_per_second(self, work):
        print(work, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def peak_memory(self):
        """MiB; the process ends."""
        return float(self.process.communicate()[0])


def compare(pair, repeats):
    """Images a second of both models of a pair, medians over rounds; a ratio, ours to theirs, is the median of rounds'.

    All take turns in every round, so that other load on the machine meets all of them.
    """
    names = ["kerasgen", *PEER_MODES]
    contestants = {name: Contestant(pair, name) for name in names}
    kinds = ["training", "reconstruction" if pair == "vae" else "sampling"]
    rounds = {(kind, name): [] for kind in kinds for name in names}
    for number in range(repeats):
        for kind in kinds:
            for name in names[number % len(names) :] + names[: number % len(names)]:
                rounds[kind, name].append(contestants[name].images_per_second(kind))
    report = {"parameters": {name: contestants[name].parameters for name in names[:2]}}
    for kind in kinds:
        report[kind] = {"images a second": {name: round(statistics.median(rounds[kind, name]), 1) for name in names}}
        for peer in PEER_MODES:
            ratios = sorted(a / b for a, b in zip(rounds[kind, "kerasgen"], rounds[kind, peer], strict=True))
            report[kind][f"ratio to {peer}: median, lowest, highest"] = [
                round(value, 2) for value in (statistics.median(ratios), ratios[0], ratios[-1])
            ]
    memory = {name: round(contestants[name].peak_memory()) for name in names}
    return report | {"peak memory, MiB": memory}


def cold_start(repeats):
    """Seconds from the start of a process to its first image, by 10 steps of DDIM, of a model from a folder."""
    images = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (make, use) in COLD.items():
            subprocess.run([sys.executable, "-c", make, f"{folder}/{name}"], check=True, capture_output=True)
            images[name] = [sys.executable, "-c", use, f"{folder}/{name}"]
        rounds = {name: [] for name in images}
        for number in range(repeats + 1):
            for name, command in images.items():
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                if number:  # the first one fills the cache of files
                    rounds[name].append(time.perf_counter() - start)
    report = {f"{name}, seconds": round(statistics.median(times), 2) for name, times in rounds.items()}
    return report | {"ratio": round(statistics.median(a / b for a, b in zip(*rounds.values(), strict=True)), 2)}


def gate_cost(repeats):
    """Of `fit` with its checks over `fit` without them."""
    import keras
    import tensorflow as tf

    import kerasgen

    images = some_images(2048, 28, 1)
    families = {
        "VariationalAutoencoder": kerasgen.VariationalAutoencoder((28, 28, 1)),
        "DiffusionModel": kerasgen.DiffusionModel((28, 28, 1), network={"class": "UNet", "width": 16}),
    }
    report = {}
    for name, model in families.items():
        model.compile()
        for kind, data in {"data set": tf.data.Dataset.from_tensor_slices(images).batch(64), "array": images}.items():
            num = 1024 if name == "DiffusionModel" else 2048
            data = data.take(num // 64) if kind == "data set" else data[:num]
            settings = {"verbose": 0, "shuffle": False} | ({"batch_size": 64} if kind == "array" else {})

            def seconds(fit, data=data, settings=settings):
                start = time.perf_counter()
                fit(data, **settings)
                return time.perf_counter() - start

            fits = [model.fit, lambda data, model=model, **settings: keras.Model.fit(model, data, **settings)]
            for fit in fits:
                seconds(fit)  # warm-up
            rounds = [
                [seconds(fit) for fit in fits[:: 1 if turn % 2 else -1]][:: 1 if turn % 2 else -1]
                for turn in range(repeats)
            ]
            ratios = sorted(ours / plain for ours, plain in rounds)
            report[f"{name}, {kind}"] = {
                "milliseconds a step": round(1000.0 * statistics.median(plain for _, plain in rounds) / (num // 64), 2),
                "ratio": round(statistics.median(ratios), 4),
                "lowest and highest ratio of a round": [round(ratios[0], 4), round(ratios[-1], 4)],
            }
    return report


def slider(_):
    """Of temperatures that a user moves through."""
    import resource

    import kerasgen

    def memory():
        """MiB that this process holds, now or, where that is not told, at most so far."""
        if Path("/proc/self/statm").exists():
            return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    model = kerasgen.load("ddpm-mnist")
    report = {}
    for name, values in {
        "temperature": [0.5 + 0.025 * index for index in range(21)],
        "guidance": [1.5 + 0.1 * index for index in range(21)],
    }.items():
        times, held = [], []
        for value in values:
            start = time.perf_counter()
            model.sample(4, seed=0, verbose=0, **{name: value})
            times.append(time.perf_counter() - start)
            held.append(memory())
        report[name] = {
            "first, seconds": round(times[0], 3),
            "others, median and most, seconds": [round(statistics.median(times[1:]), 3), round(max(times[1:]), 3)],
            "memory grows by, MiB": round(held[-1] - held[0], 1),
        }
    return report


RUNS = {
    **{pair: functools.partial(compare, pair) for pair in OURS},
    **{"import": import_time, "cold": cold_start, "gate": gate_cost, "slider": slider},
}
flags.register_validator(
    BENCHMARKS, lambda names: set(names) <= set(RUNS), message=f"--benchmarks takes any of {', '.join(RUNS)}"
)


def table(report):
    """Markdown: a line for each pair and kind of work."""
    titles = ["kerasgen", *(f"PyTorch, {mode}" for mode in PEER_MODES), *(f"over {mode}" for mode in PEER_MODES)]
    yield f"| images a second | {' | '.join(titles)} |"
    yield "| --- |" + " --- |" * len(titles)
    for pair in OURS:
        for kind in ("training", "sampling", "reconstruction"):
            if kind not in report.get(pair, {}):
                continue
            found = report[pair][kind]
            cells = [f"{value:,.4g}" for value in found["images a second"].values()]
            for mode in PEER_MODES:
                median, low, high = found[f"ratio to {mode}: median, lowest, highest"]
                cells.append(f"**{median}** ({low} to {high})")
            yield f"| {pair}, {kind} | {' | '.join(cells)} |"
    for pair in OURS:
        if pair in report:
            memory = " | ".join(map(str, report[pair]["peak memory, MiB"].values()))
            yield f"| {pair}, peak memory, MiB | {memory} | | | |"


def main(_):
    if TABLE.value:
        return print("\n".join(table(json.loads(Path(TABLE.value).read_text()))))
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the CPU for all of them
    from kerasgen.training.hardware import describe, processor_flags

    settings = {name: value for name, value in sorted(os.environ.items()) if name.startswith(SETTINGS)}
    report = describe() | {"flags": " ".join(processor_flags()), "settings": settings}
    report |= {name: RUNS[name](REPEATS.value) for name in BENCHMARKS.value}
    text = json.dumps(report, indent=2)
    if OUTPUT.value:
        Path(OUTPUT.value).write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    app.run(main)
