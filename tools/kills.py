"""Kills a run again and again, at random moments, within its saves too, and compares it with one that nothing stopped.

python tools/kills.py --recipe=recipe.toml --kills=50 --output=kills.json
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

RECIPE = flags.DEFINE_string("recipe", None, "zoo name or recipe.toml of a run that takes many steps", required=True)
KILLS = flags.DEFINE_integer("kills", 50, "how often to kill it", lower_bound=1)
SPAN = flags.DEFINE_float("span", 0.5, "seconds of training within which each kill comes", lower_bound=0.0)
SEED = flags.DEFINE_integer("seed", 0, "of the moments")
OUTPUT = flags.DEFINE_string("output", None, "JSON file for what was found", required=True)


def begin(workdir):
    """A run in a process of its own, with a backup after every step."""
    command = [sys.executable, "-m", "kerasgen", "train", RECIPE.value, "--workdir", str(workdir)]
    return subprocess.Popen([*command, "--backup-every", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process):
    _, stderr = process.communicate()
    if process.returncode:
        raise SystemExit(stderr.decode())


def newest(workdir):
    """The name of the newest backup, "" before the first."""
    return max((path.name for path in (workdir / "backups").glob("step-*.npz")), default="")


def kill(workdir, moments):
    """Starts a run, kills it in training; returns the newest backup, and whether another was being written."""
    process, before = begin(workdir), newest(workdir)
    while newest(workdir) == before:
        if process.poll() is not None:
            told = process.stderr.read().decode()
            raise SystemExit(f"the run ended before it was killed: give it more steps. {told}")
        time.sleep(0.005)
    time.sleep(moments.uniform(0.0, SPAN.value))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return newest(workdir), bool(list((workdir / "backups").glob("*.tmp")))


def differences(one, other):
    """Names of what differs between two runs that have ended."""
    found = []
    with np.load(one / "backups" / newest(one)) as a, np.load(other / "backups" / newest(other)) as b:
        facts = [json.loads(str(file["facts"])) for file in (a, b)]
        paths = facts[0]["paths"]
        if facts[0]["step"] != facts[1]["step"] or paths != facts[1]["paths"]:
            return ["steps or variables"]
        found += [path for index, path in enumerate(paths) if not np.array_equal(a[f"{index}"], b[f"{index}"])]
    for name in ("log.csv", "checkpoint/model.weights.h5"):
        if (one / name).read_bytes() != (other / name).read_bytes():
            found.append(name)
    return found


def main(_):
    moments = random.Random(SEED.value)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        finish(begin(whole))
        kills = []
        for number in range(KILLS.value):
            step, saving = kill(killed, moments)
            kills.append({"newest": step, "while_saving": saving})
            print(f"kill {number + 1}: {step}{', while it saved' * saving}", flush=True)
        finish(begin(killed))
        different = differences(whole, killed)
    report = {"kills": kills, "while_saving": sum(k["while_saving"] for k in kills), "differences": different}
    Path(OUTPUT.value).write_text(json.dumps(report, indent=1) + "\n")
    print(f"{len(kills)} kills, {report['while_saving']} of them while it saved: {different or 'no difference'}")
    if different:
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
