"""Makes damaged and hostile checkpoints, loads each, draws a sample of those that load, and prints how that went.

python hostile.py FOLDER NUMBER. No sample may take more than a GiB of memory that was not taken before.
"""

import base64
import contextlib
import copy
import gc
import json
import marshal
import os
import random
import resource
import shutil
import sys
from pathlib import Path

import h5py
import keras
import numpy as np

import kerasgen
from kerasgen.checkpoints import load_checkpoint, save_checkpoint
from kerasgen.errors import InputError, KerasgenError

folder, num = Path(sys.argv[1]), int(sys.argv[2])
model = kerasgen.VariationalAutoencoder((8, 8, 1), 2, width=4)
save_checkpoint(model, folder / "good")
load_checkpoint(folder / "good")
TEXT = (folder / "good" / "config.json").read_bytes()
WEIGHTS = (folder / "good" / "model.weights.h5").read_bytes()
CONFIG = json.loads(TEXT)
# One whose weights say nothing of the sizes that it works with.
layers = keras.layers
small = kerasgen.VariationalAutoencoder(
    (8, 8, 1),
    2,
    encoder=keras.Sequential(
        [keras.Input((8, 8, 1)), layers.UpSampling2D(2, name="up"), layers.GlobalAveragePooling2D(), layers.Dense(4)]
    ),
    decoder=keras.Sequential(
        [keras.Input((2,)), layers.Dense(1), layers.Reshape((1, 1, 1)), layers.UpSampling2D(8, name="grow")]
    ),
)
save_checkpoint(small, folder / "small")
SMALL = (folder / "small" / "config.json").read_bytes(), (folder / "small" / "model.weights.h5").read_bytes()
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
    "pickle.find_class",
    "os.remove",
    "os.rename",
)
armed = False


def watch(event, args):
    if armed and (event in FORBIDDEN or (event == "open" and set(args[1] or "r") & set("wax+"))):
        os.write(2, f"{event} {args}"[:500].encode())
        os._exit(66)


CODE = base64.b64encode(marshal.dumps((lambda x: Path("owned").touch()).__code__)).decode()
LAMBDA = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "registered_name": None,
    "config": {
        "name": "l",
        "function": {"class_name": "__lambda__", "config": {"code": CODE, "defaults": None, "closure": None}},
    },
}
FOREIGN = [
    LAMBDA,
    {"module": "os", "class_name": "system", "config": {"command": "touch owned"}},
    {"module": "builtins", "class_name": "eval", "config": {"source": "1"}, "registered_name": "eval"},
    {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"module": "x"}},
    {"module": "keras.src.models.model", "class_name": "Model", "config": {}},
    {"module": "subprocess", "class_name": "Popen", "config": {"args": "id"}, "registered_name": None},
    {"class_name": "function", "config": "system", "module": "os", "registered_name": "function"},
]
VALUES = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**30,
    1e308,
    -0.5,
    "",
    "../../etc/passwd",
    "x" * 5000,
    [],
    {},
    [[]] * 50,
    [10**6, 10**6, 3],
    [65536, 65536, 3],
    {"a": {}},
    *FOREIGN,
]


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def replaced(config, path, value):
    config = copy.deepcopy(config)
    if not path:
        return value
    target = config
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return config


def other_json(rng):
    path = rng.choice(list(places(CONFIG)))
    value = rng.choice(VALUES)
    config = replaced(CONFIG, path, copy.deepcopy(value))
    if rng.random() < 0.3 and isinstance(config, dict):
        config["config"] = (
            {**config.get("config", {}), rng.choice(["encoder", "decoder", "nonsense"]): value}
            if isinstance(config.get("config"), dict)
            else value
        )
    return json.dumps(config).encode(), WEIGHTS


def other_bytes(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        kind, at = rng.randrange(4), rng.randrange(max(len(data), 1))
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + rng.randrange(1, 16)]
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.randrange(1, 16))
        else:
            data[at : at + 8] = rng.choice([b"\xff" * 8, b"\x00" * 8, (2**62).to_bytes(8, "little")])
        if not data:
            break
    return bytes(data)


def other_header(rng):
    """Damage where HDF5 keeps its structure: in the first kilobytes, and around names."""
    data = bytearray(WEIGHTS)
    marks = [i for mark in (b"TREE", b"SNOD", b"HEAP", b"vars") for i in range(len(data)) if data.startswith(mark, i)]
    for _ in range(rng.choice([1, 2, 4])):
        at = rng.choice([rng.randrange(512), rng.choice(marks) + rng.randrange(64)])
        data[at % len(data)] = rng.choice([0, 1, 127, 255, rng.randrange(256)])
    return TEXT, bytes(data)


def by_h5py(change):
    path = folder / "made.h5"
    path.write_bytes(WEIGHTS)
    with h5py.File(path, "r+") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        change(file, names)
    return TEXT, path.read_bytes()


def swap(make):
    def change(file, names):
        shape = file[names[0]].shape
        del file[names[0]]
        make(file, names[0], shape, names)

    return lambda rng: by_h5py(change)


def virtual(file, name, shape, names):
    layout = h5py.VirtualLayout(shape, "f4")
    file.create_virtual_dataset(name, layout)


def in_use(shape, *settings):
    """A checkpoint of 30 kB for images of another shape, with `(layer, argument, value)` set."""
    config = json.loads(SMALL[0])
    text = json.dumps(config).replace("[null, 8, 8, 1]", json.dumps([None, *shape]))
    config = json.loads(text)
    config["config"]["shape"] = shape
    for part in ("encoder", "decoder"):
        for layer in config["config"][part]["config"]["layers"]:
            for name, argument, value in settings:
                if layer["config"].get("name") == name:
                    layer["config"][argument] = value
    return json.dumps(config).encode(), SMALL[1]


HANDMADE = [
    lambda rng: in_use([8, 8, 1], ("up", "size", [4096, 4096])),
    lambda rng: in_use([8192, 8192, 1], ("grow", "size", [8192, 8192])),
    lambda rng: in_use([2048, 2048, 1], ("grow", "size", [2048, 2048]), ("up", "size", [16, 16])),
    lambda rng: in_use([1, 65536, 64], ("grow", "size", [1, 65536])),
    swap(lambda f, n, s, names: f.__setitem__(n, h5py.ExternalLink("/etc/passwd", "/"))),
    swap(lambda f, n, s, names: f.__setitem__(n, h5py.SoftLink("/" + names[1]))),
    swap(lambda f, n, s, names: f.__setitem__(n, h5py.SoftLink("/" + n))),
    swap(lambda f, n, s, names: f.__setitem__(n, f[names[1]])),
    swap(virtual),
    swap(lambda f, n, s, names: f.create_dataset(n, s, "f4", compression="gzip", chunks=True)),
    swap(lambda f, n, s, names: f.create_dataset(n, (2**40,), "f4")),
    swap(lambda f, n, s, names: f.create_dataset(n, (2**20, 2**20), "f4", chunks=(1, 1))),
    swap(lambda f, n, s, names: f.create_dataset(n, s, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])),
    swap(lambda f, n, s, names: f.create_dataset(n, data=np.full(s, np.nan, "f4"))),
    swap(lambda f, n, s, names: f.create_dataset(n, data=np.full(s, b"x", "S1"))),
    swap(lambda f, n, s, names: f.create_dataset(n, s, h5py.vlen_dtype(np.float32))),
    swap(lambda f, n, s, names: f.create_dataset("../" + n, s, "f4")),
    lambda rng: (b"[" * 100_000, WEIGHTS),
    lambda rng: (b'{"a":' * 100_000, WEIGHTS),
    lambda rng: (b"[" * 500 + b"]" * 500, WEIGHTS),
    lambda rng: (TEXT + b" " * 2**23, WEIGHTS),
    lambda rng: (b"", WEIGHTS),
    lambda rng: (TEXT, b""),
    lambda rng: (b"\xff\xfe" + TEXT, WEIGHTS),
    lambda rng: (b"9" * 10_000, WEIGHTS),
    lambda rng: (b"NaN", WEIGHTS),
    lambda rng: (b"null", WEIGHTS),
    lambda rng: (json.dumps(replaced(CONFIG, ("config", "shape"), [65536, 65536, 3])).encode(), WEIGHTS),
    lambda rng: (json.dumps(replaced(CONFIG, ("config", "width"), 65536)).encode(), WEIGHTS),
    lambda rng: (json.dumps(replaced(CONFIG, ("config", "latent_dim"), 65536)).encode(), WEIGHTS),
    *[lambda rng, value=value: (json.dumps(value).encode(), WEIGHTS) for value in FOREIGN],
    *[
        lambda rng, value=value: (json.dumps(replaced(CONFIG, ("config", "encoder"), value)).encode(), WEIGHTS)
        for value in FOREIGN
    ],
]
KINDS = [
    other_json,
    lambda rng: (other_bytes(TEXT, rng), WEIGHTS),
    lambda rng: (TEXT, other_bytes(WEIGHTS, rng)),
    other_header,
    lambda rng: (TEXT, WEIGHTS[: rng.randrange(len(WEIGHTS))]),
]


def check(bad):
    """ "refused" or "loaded"."""
    global armed
    armed = True
    try:
        found = load_checkpoint(bad)
        with contextlib.suppress(InputError):  # it asks for data first
            found.sample(1, verbose=0)
    except KerasgenError as error:
        assert str(error)
        return "refused"
    finally:
        armed = False
    for weight in found.get_weights():
        assert np.isfinite(weight).all()
    return "loaded"


def status(key):
    """GiB of this process, by /proc: not getrusage's peak, which a child inherits from what started it."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[key].split()[0]) / 2**20


for good in ("good", "small"):
    load_checkpoint(folder / good).sample(1, verbose=0)
start = status("VmHWM")
resource.setrlimit(resource.RLIMIT_AS, (int((status("VmSize") + 1.5) * 2**30),) * 2)  # threads take up addresses, too
sys.addaudithook(watch)
outcomes = {"refused": 0, "loaded": 0}
for number in range(num):
    rng = random.Random(number)
    make = HANDMADE[number] if number < len(HANDMADE) else KINDS[number % len(KINDS)]
    text, weights = make(rng)
    bad = folder / "bad"
    bad.mkdir()
    (bad / "config.json").write_bytes(text)
    (bad / "model.weights.h5").write_bytes(weights)
    shutil.copyfile(folder / "good" / "metadata.json", bad / "metadata.json")
    try:
        outcome = check(bad)
    except Exception as error:
        print(json.dumps({"number": number, "error": repr(error)}))
        raise
    assert number >= len(HANDMADE) or outcome == "refused", number
    outcomes[outcome] += 1
    shutil.rmtree(bad)
    if number % 50 == 0:
        gc.collect()  # models are cycles, which Python gets to late where much else is alive
# Links out of the folder are read as what they point to: no kerasgen config, no HDF5.
bad.mkdir()
(bad / "config.json").symlink_to("/etc/passwd")
(bad / "metadata.json").symlink_to("/etc/passwd")
(bad / "model.weights.h5").symlink_to("/dev/null")
assert check(bad) == "refused"
print(json.dumps(outcomes | {"GiB": status("VmHWM") - start}))
