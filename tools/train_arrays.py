"""Trains a recipe on a machine without TensorFlow and without its data set, such as a borrowed GPU: by JAX or PyTorch.

    python tools/train_arrays.py --recipe=zoo/NAME/recipe.toml --pack=PACK --part_bytes=40000000
    KERAS_BACKEND=jax python tools/train_arrays.py --recipe=zoo/NAME/recipe.toml --packed=PACK --minutes=5 --output=OUT
    python tools/train_arrays.py --recipe=zoo/NAME/recipe.toml --taken=OUT --workdir=RUN

The first, where the data set is, writes images as they are stored there and their labels, in files of that size. The
second, there, trains as `kerasgen train` does, in as many whole epochs as the minutes have room for: a first model is
trained for at most a tenth of them to measure the pace. The third, here again, measures and describes the model, as
the end of `kerasgen train`; the recipe then has to have the epochs that it says (tools/bundle.py checks them).
"""

import concurrent.futures
import functools
import json
import time
from pathlib import Path

import keras
import numpy as np
from absl import app, flags
from racing.contest import LEAST_STEPS, Clock
from racing.pace import Pace

from kerasgen import data
from kerasgen.data.images import decode, prepare
from kerasgen.data.opening import open_source
from kerasgen.recipes import Recipe
from kerasgen.training import hardware
from kerasgen.training.callbacks import Log, StopAtNonFiniteLoss
from kerasgen.training.datasets import source_of
from kerasgen.training.optimizers import optimizer_of
from kerasgen.training.run import build, finish, losses_of

RECIPE = flags.DEFINE_string("recipe", None, "a recipe.toml", required=True)
PACK = flags.DEFINE_string("pack", None, "folder to write the data set's splits to")
PART_BYTES = flags.DEFINE_integer("part_bytes", 40_000_000, "size of a file there", lower_bound=1)
PACKED = flags.DEFINE_string("packed", None, "such a folder, to train on")
MINUTES = flags.DEFINE_float("minutes", 5.0, "to train", lower_bound=0.01)
OUTPUT = flags.DEFINE_string("output", None, "folder for weights.npz, log.csv and facts.json")
STEPS = flags.DEFINE_integer("steps_per_execution", 1, "of compile", lower_bound=1)
TAKEN = flags.DEFINE_string("taken", None, "such a folder, to measure and describe")
WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run that it becomes")

SHARE = 0.1  # of the minutes, to measure the pace
SPLITS = ("train", "validation")


def pack(recipe, folder):
    """Writes train-0.npz, ..., validation-0.npz, ...: stored images one behind the other, their ends, and labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SPLITS:
        split = getattr(recipe.dataset, f"{name}_split")
        if split is None:
            continue
        source = source_of(recipe, split)
        opened = open_source(source["source"], split, None if recipe.dataset.pairs else source["labels"])
        images = [image if isinstance(image, bytes) else image.read_bytes() for image in opened.images]
        sizes = np.cumsum([len(image) for image in images])
        parts = np.split(np.arange(opened.num), np.flatnonzero(np.diff(sizes // PART_BYTES.value)) + 1)
        for number, part in enumerate(parts):
            stored = np.frombuffer(b"".join(images[i] for i in part), np.uint8)
            ends = np.cumsum([len(images[i]) for i in part])
            labels = np.zeros(0) if opened.labels is None else opened.labels[part]
            np.savez(folder / f"{name}-{number}.npz", stored=stored, ends=ends, labels=labels)


def unpack(recipe, folder, name):
    """Images uint8 `[N, H, W, C]` and labels or `None` of a split; `None` if it was not packed."""

    def image(encoded):
        return prepare(decode(encoded), recipe.dataset.image_size, recipe.dataset.channels)

    stored, labels = [], []
    for path in sorted(Path(folder).glob(f"{name}-*.npz"), key=lambda p: int(p.stem.split("-")[1])):
        with np.load(path) as arrays:
            stored += map(bytes, np.split(arrays["stored"], arrays["ends"][:-1]))
            labels.append(arrays["labels"])
    if not stored:
        return None
    with concurrent.futures.ThreadPoolExecutor() as pool:
        images = np.stack(list(pool.map(image, stored)))
    labels = np.concatenate(labels)
    return images, (labels.astype(bool) if labels.ndim == 2 else labels) if len(labels) else None


def examples(recipe, images, labels):
    """x and y as the model trains on them."""
    dataset = recipe.dataset
    if dataset.pairs is not None:
        return data.load_pair_arrays(images, pairs=dataset.pairs)
    if dataset.domain is not None:
        return data.load_domain_arrays((images, labels), domain=dataset.domain)
    return data.load_arrays((images, labels) if dataset.labels else images, columns=dataset.columns)


class Batches(keras.utils.PyDataset):
    """Full batches in an order, and with mirrorings, that follow from the seed and the epoch.

    `kinds`: x and y are of two kinds, each of which has an order of its own.
    """

    def __init__(self, x, y, batch_size, seed, flip, kinds):
        super().__init__()
        self.arrays = [a for a in (x, y) if a is not None]
        self.batch_size, self.seed, self.flip, self.kinds = batch_size, seed, flip, kinds
        self.epoch = -1
        self.on_epoch_end()

    def __len__(self):
        return min(map(len, self.arrays)) // self.batch_size

    def on_epoch_end(self):
        self.epoch += 1
        self.orders = []
        for kind, array in enumerate(self.arrays):
            rng = np.random.default_rng([self.seed, self.epoch, kind if self.kinds else 0])
            self.orders.append((rng.permutation(len(array)), rng.random(len(array)) < 0.5))

    def __getitem__(self, index):
        batch = []
        for array, (order, mirrored) in zip(self.arrays, self.orders, strict=True):
            chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
            rows = array[chosen]
            if self.flip and rows.ndim == 4:
                rows = np.where(mirrored[chosen, None, None, None], rows[:, :, ::-1], rows)
            batch.append(rows)
        return tuple(batch) if len(batch) > 1 else batch[0]


def train(recipe, folder):
    """Trains, and writes weights, the log and facts."""
    begin, training = time.perf_counter(), recipe.training
    x, y = examples(recipe, *unpack(recipe, PACKED.value, "train"))
    held_out = unpack(recipe, PACKED.value, "validation")
    make = functools.partial(Batches, batch_size=training.batch_size, seed=training.seed)
    make = functools.partial(make, flip=recipe.dataset.flip, kinds=recipe.dataset.domain is not None)
    print(f"{len(x)} examples unpacked in {time.perf_counter() - begin:.0f} s", flush=True)

    def made(num_steps):
        keras.utils.set_random_seed(training.seed % 2**32)
        model = build(recipe, training.precision)
        how = {"steps_per_execution": STEPS.value, **losses_of(model, training)}
        model.compile(optimizer_of(model, training, num_steps), **how)
        return model

    clock = Clock(60.0 * MINUTES.value)
    clock.start()
    pace = Pace(clock, SHARE * clock.limit, LEAST_STEPS)
    made(10**6).fit(make(x, y), epochs=10**6, callbacks=[pace], verbose=0)
    steps = len(make(x, y))
    left = clock.limit - clock.elapsed - pace.marks[0][1]  # it compiles again
    epochs = max(1, int(left / (pace.seconds_a_step * steps)))
    print(f"{1.0 / pace.seconds_a_step:.1f} steps a second: {epochs} epochs of {steps}", flush=True)
    model, start = made(epochs * steps), time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    callbacks = [StopAtNonFiniteLoss(), Log(folder / "log.csv", 0)]
    model.fit(make(x, y), epochs=epochs, callbacks=callbacks, verbose=2)
    hours = round((time.perf_counter() - start) / 3600, 3)
    facts = hardware.describe() | {"epochs": epochs, "steps": epochs * steps, "hours": hours}
    np.savez(folder / "weights.npz", *model.get_weights())
    (folder / "facts.json").write_text(json.dumps(facts, indent=2) + "\n")
    if held_out is not None:
        held_out = examples(recipe, *held_out)
        num = min(len(a) for a in held_out if a is not None)
        found = model.evaluate(*(None if a is None else a[:num] for a in held_out), verbose=0, return_dict=True)
        print("validation", found, flush=True)


def take(recipe, folder, workdir):
    """Makes a run of what was trained there."""
    facts = json.loads((folder / "facts.json").read_text())
    recipe = recipe.override([f"training.epochs={facts['epochs']}"])
    model = build(recipe)
    with np.load(folder / "weights.npz") as arrays:
        model.set_weights([arrays[f"arr_{index}"] for index in range(len(arrays))])
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "log.csv").write_text((folder / "log.csv").read_text())
    print(f"training.epochs = {facts['epochs']}; {finish(recipe, model, facts, workdir)}")


def main(_):
    recipe = Recipe.load(RECIPE.value)
    if PACK.value:
        pack(recipe, Path(PACK.value))
    if PACKED.value:
        train(recipe, Path(OUTPUT.value))
    if TAKEN.value:
        take(recipe, Path(TAKEN.value), Path(WORKDIR.value))


if __name__ == "__main__":
    app.run(main)
