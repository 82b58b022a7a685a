"""Races kerasgen's recipes against what its peers' own examples do: equal data, equal cores, equal minutes.

| race | data | kerasgen | peer | figure, lower is better |
| --- | --- | --- | --- | --- |
| diffusion | Fashion-MNIST | ddpm-fashion-mnist | diffusers, unconditional example | Fréchet distance |
| glow | CIFAR-10, JPEG copy | glow-cifar10 | normflows, example of Glow | bits per dimension |
| vae | MNIST | vae-mnist | pythae, example of a VAE | nats |
| gan | Fashion-MNIST | wgan-gp-fashion-mnist | PyTorch, example of a DCGAN | Fréchet distance |

tools/racing/ has a file for each contestant, which says what it trains and how, and the figures. Every contestant runs
in a process of its own, one after another, on the same cores, and imports nothing of another's. It trains until its
time is up and stops at the end of that step; tools/racing/contest.py says what the clock counts. Then the same code
measures both on the test split, outside of the time. Nothing of ours is tuned on a race.

`--output` gets results.json, a folder for each race with what its processes said, and RACE.png: the first 64 samples
of each, of the same seed, not picked. Races that results.json has already and that are not named again stay there, so
that several may run at a time, each on cores of its own: taskset --cpu-list=1 python tools/race.py --threads=1 ...

python tools/race.py --races=diffusion,glow,vae,gan --minutes=20 --output=/tmp/race
python tools/race.py --output=/tmp/race --table
"""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from absl import app, flags
from racing.contest import PEERS

OURS = "kerasgen"
TITLES = {
    "diffusion": ("Diffusion, Fashion-MNIST", "frechet_distance", "Fréchet distance"),
    "glow": ("Glow, CIFAR-10 (JPEG copy)", "bits_per_dim", "bits per dimension"),
    "vae": ("VAE, MNIST", "nats", "nats per image"),
    "gan": ("GAN, Fashion-MNIST", "frechet_distance", "Fréchet distance"),
}
EXTRACTOR = "resnet-fashion-mnist"  # of the zoo; both races that need one are of Fashion-MNIST
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "diffusers", "normflows", "pythae")
SHOWN = 64  # samples in a picture
ENOUGH = 10_000  # samples and test images of a race that counts
IMPORTANCE_SAMPLES = 32  # as vae-mnist's recipe has it

RACES = flags.DEFINE_list("races", list(PEERS), f"which to run, of {', '.join(PEERS)}")
MINUTES = flags.DEFINE_float("minutes", 20.0, "to train, for each contestant", lower_bound=0.01)
OUTPUT = flags.DEFINE_string("output", None, "folder of results.json and pictures", required=True)
THREADS = flags.DEFINE_integer("threads", None, "cores of each contestant; by default all", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of weights, batches, noise and samples", lower_bound=0)
EVALUATED = flags.DEFINE_integer("evaluated", ENOUGH, "samples, and images of the test split", lower_bound=SHOWN)
TRIAL = flags.DEFINE_bool("trial", False, f"allow --evaluated below {ENOUGH:,}: to see that it works, not who wins")
TABLE = flags.DEFINE_bool("table", False, "only print the table of the results that are there")
STAGE = flags.DEFINE_string("stage", None, "for this tool itself: the part of a race that a process does")
flags.register_validator(RACES, lambda names: set(names) <= set(PEERS), f"--races takes any of {', '.join(PEERS)}")


def folder_of(race):
    return Path(OUTPUT.value) / race


# What the processes of a race do


def read_data(race):
    """Writes the arrays that both contestants get."""
    import numpy as np
    from racing import kerasgen_recipes

    np.savez(folder_of(race) / "data.npz", **vars(kerasgen_recipes.read(race)))


def contend(race, name):
    """Trains a contestant and measures its likelihood; writes its result and its samples."""
    import numpy as np
    from racing.contest import Clock, Data

    with np.load(folder_of(race) / "data.npz", allow_pickle=False) as arrays:
        given = Data(**arrays)
    contestant = importlib.import_module(f"racing.{'kerasgen_recipes' if name == OURS else PEERS[race][1]}")
    clock = Clock(60.0 * MINUTES.value)
    others, begun = others_seconds(), time.perf_counter()
    trained = contestant.train(race, given, clock, SEED.value, computes_in_bfloat16())
    others = (others_seconds() - others) / (time.perf_counter() - begun) / len(cores())

    start = time.perf_counter()
    num, drawn = EVALUATED.value, EVALUATED.value if TITLES[race][1] == "frechet_distance" else SHOWN
    samples = trained.sample(drawn, SEED.value)
    seconds = time.perf_counter() - start
    np.save(folder_of(race) / f"{slug(name)}.npy", samples)

    from racing import figures  # imports Keras, after a peer has trained without it

    found, test = {}, given.test[:num]
    if trained.log_density is not None:
        values = figures.bits_per_dim(trained.log_density, test, given.test_labels[:num], SEED.value)
        found["bits_per_dim"] = figures.mean(values)
    if trained.posterior is not None:
        values = figures.nats(trained.posterior, trained.logits, test, IMPORTANCE_SAMPLES, SEED.value)
        found["nats"] = figures.mean(values) | {"importance_samples": IMPORTANCE_SAMPLES}
    result = {
        "figures": found,
        "steps": trained.steps,
        "images_seen": trained.steps * trained.batch_size,
        "seconds": round(clock.seconds, 2),
        "parameters": trained.parameters,
        "batch_size": trained.batch_size,
        "samples": {"number": drawn, "seconds": round(seconds, 1)},
        "threads": threads_of_this_process(),
        "share_of_cores_taken_by_others": round(others, 3),
        "settings": trained.settings,
    }
    (folder_of(race) / f"{slug(name)}.json").write_text(json.dumps(result, indent=2))


def judge(race):
    """Measures the samples of both, where the race is one of samples, and draws them side by side."""
    import numpy as np
    from PIL import Image, ImageDraw
    from racing import figures

    from kerasgen import pictures
    from kerasgen.training.extractors import load_extractor

    with np.load(folder_of(race) / "data.npz", allow_pickle=False) as arrays:
        test = arrays["test"]
    panels = []
    for name in contestants(race):
        samples = np.load(folder_of(race) / f"{slug(name)}.npy")
        if TITLES[race][1] == "frechet_distance":
            path = folder_of(race) / f"{slug(name)}.json"
            result = json.loads(path.read_text())
            result["figures"] |= figures.of_samples(samples, test, load_extractor(EXTRACTOR), SEED.value)
            path.write_text(json.dumps(result, indent=2))
        panel = pictures.grid(samples[:SHOWN] / np.float32(255.0), columns=8, scale=1)
        panels.append((name, Image.fromarray(panel[..., 0] if panel.shape[-1] == 1 else panel)))
    width, height = panels[0][1].size
    picture = Image.new(panels[0][1].mode, (2 * width + 16, height + 16), "white")
    for place, (name, panel) in enumerate(panels):
        picture.paste(panel, (place * (width + 16), 16))
        ImageDraw.Draw(picture).text((place * (width + 16) + 4, 2), name, fill="black")
    picture.save(Path(OUTPUT.value) / f"{race}.png", optimize=True)


# What is known of the machine


def processor():
    """Name and flags of the processor."""
    facts = {}
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    kinds = ("sse4", "avx", "fma", "f16c", "amx")
    found = sorted(flag for flag in facts.get("flags", "").split() if flag.startswith(kinds))
    return {"name": facts.get("model name") or platform.processor() or platform.machine(), "flags": found}


def computes_in_bfloat16():
    return any(flag in processor()["flags"] for flag in ("avx512_bf16", "amx_bf16"))


def cores():
    """The cores that a contestant runs on."""
    if not hasattr(os, "sched_getaffinity"):
        raise app.UsageError("a race gives each contestant the same cores, which only Linux can")
    there = sorted(os.sched_getaffinity(0))
    num = THREADS.value or len(there)
    if num > len(there):
        raise app.UsageError(f"--threads is {num}; there are {len(there)} cores")
    return there[:num]


def others_seconds():
    """Seconds, since the machine started, for which others than this process kept its cores busy."""
    names = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    lines = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    # user, nice, system, idle, iowait, irq, softirq, steal: man 5 proc
    busy = sum(int(n) for name, *times in lines if name in names for n in (*times[:3], *times[5:8]))
    return busy / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


def threads_of_this_process():
    """What a contestant's framework computes with; no framework is imported for it."""
    found = {"cores": len(os.sched_getaffinity(0))}
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "TF_ENABLE_ONEDNN_OPTS"):
        found |= {name: os.environ[name]} if name in os.environ else {}
    if "torch" in sys.modules:
        found["torch.get_num_threads"] = sys.modules["torch"].get_num_threads()
    return found


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


# The races, and their results


def contestants(race):
    return OURS, PEERS[race][0]


def slug(name):
    return name.lower().replace("'s ", "-").replace(" ", "-")


def run(race, stage):
    """Runs a part of a race in a process of its own, on the cores of all contestants."""
    arguments = [f"--{flag.name}={flag.value}" for flag in (MINUTES, OUTPUT, SEED, EVALUATED, TRIAL)]
    # For PyTorch; TensorFlow goes by the cores that it may use.
    environment = os.environ | {"OMP_NUM_THREADS": str(len(cores()))}
    if stage == PEERS[race][0]:
        environment["KERAS_BACKEND"] = "torch"  # of the figures, so that a peer's process never imports TensorFlow
    log = folder_of(race) / f"{slug(stage)}.log"
    with open(log, "w") as file:
        command = [sys.executable, __file__, f"--races={race}", f"--stage={stage}", *arguments]
        how = {"stdout": file, "stderr": subprocess.STDOUT, "env": environment}
        code = subprocess.run(command, preexec_fn=lambda: os.sched_setaffinity(0, cores()), **how).returncode
    if code:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SystemExit(f"{race}: {stage} failed (exit status {code}). {log} ends in:\n{last}")


def protocol():
    """What races must have in common to be in one results.json."""
    return {
        "minutes": MINUTES.value,
        "seed": SEED.value,
        "threads": len(cores()),
        "evaluated": EVALUATED.value,
        "trial": TRIAL.value,
        "processor": processor(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def counted(cores):
    return "one core" if cores == 1 else f"{cores} cores"


def read_results():
    path = Path(OUTPUT.value) / "results.json"
    return json.loads(path.read_text()) if path.is_file() else None


def table(results):
    """Markdown of results.json."""
    how = results["protocol"]
    machine, versions = how["processor"], how["versions"]
    found = ", ".join(f"{package} {number}" for package, number in versions.items() if number)
    head = "**A trial, of which no figure counts.** " if how["trial"] else ""
    lines = [
        f"{head}{how['minutes']:g} minutes each on {counted(how['threads'])} of {machine['name']} "
        f"({' '.join(machine['flags'])}), seed {how['seed']}, {how['evaluated']:,} samples or test images. "
        f"The last column is the share of these cores that other processes took. {found}.",
        "",
        "| race | contestant | lower is better | precision | recall | steps | images | seconds | parameters | others |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for race, both in results["races"].items():
        title, main_figure, unit = TITLES[race]
        values = [entry["figures"][main_figure]["value"] for entry in both.values()]
        best = min((value for value in values if value is not None), default=None)
        for (name, entry), value in zip(both.items(), values, strict=True):
            figure = entry["figures"][main_figure]
            text = f"not finite for {figure['not_finite']} of {figure['n']}" if value is None else ""
            text = text or f"{value:.4g} ± {figure['standard_error']:.2g} {unit}"
            text = f"**{text}**" if value is not None and value == best else text
            others = (entry["figures"].get(other) for other in ("precision", "recall"))
            others = ["-" if other is None else f"{other['value']:.3f}" for other in others]
            counts = [f"{entry[key]:,}" for key in ("steps", "images_seen", "seconds", "parameters")]
            counts.append(f"{entry['share_of_cores_taken_by_others']:.1%}")
            lines.append("| " + " | ".join([title, name, text, *others, *counts]) + " |")
    return "\n".join(lines)


def main(_):
    if STAGE.value is not None:
        (race,) = RACES.value
        parts = {"data": read_data, "judge": judge}
        return parts[STAGE.value](race) if STAGE.value in parts else contend(race, STAGE.value)
    results = read_results()
    if TABLE.value:
        if results is None:
            raise app.UsageError(f"{OUTPUT.value} has no results.json; run the races first")
        return print(table(results))
    if EVALUATED.value < ENOUGH and not TRIAL.value:
        raise app.UsageError(f"--evaluated is {EVALUATED.value}; a race takes {ENOUGH:,}, and --trial fewer")
    if missing := [PEERS[race][2] for race in RACES.value if importlib.util.find_spec(PEERS[race][2]) is None]:
        advice = "pip install -e '.[peers,race,torch]'"
        raise app.UsageError(f"{', '.join(missing)} cannot be found; {advice} installs the peers")
    results = results or {"protocol": protocol(), "races": {}}
    if results["protocol"] != protocol():
        raise app.UsageError(f"{OUTPUT.value}/results.json is of races by another protocol; take another folder")
    for race in RACES.value:
        folder_of(race).mkdir(parents=True, exist_ok=True)
        for stage in ("data", *contestants(race), "judge"):
            print(f"{race}: {stage}", flush=True)
            run(race, stage)
        (folder_of(race) / "data.npz").unlink()
        both = {name: json.loads((folder_of(race) / f"{slug(name)}.json").read_text()) for name in contestants(race)}
        results = read_results() or results  # of races that ran meanwhile on other cores
        results["races"][race] = both
        (Path(OUTPUT.value) / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print(table(results))


if __name__ == "__main__":
    app.run(main)
