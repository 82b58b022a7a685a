"""What fine-tuning gains: a curve beside training from scratch, and a new class learnt beside old ones.

`--part=transfer`: a model of the zoo on another data set, by all its weights, by an adapter of low rank, and the same
network from scratch, all with one optimizer; every so many steps the Fréchet distance of samples to held-out images.

`--part=new_class`: one more class from a few images, trained together with the model's own samples of the classes that
it has (Shin et al. 2017, "Continual learning with deep generative replay"), and without them; the share of samples
recognised as their class before and after.

python tools/fine_tuning.py --part=transfer --output=transfer.json --picture=docs/fine-tuning.png
python tools/fine_tuning.py --part=new_class --output=new_class.json --picture=docs/new-class.png
"""

import json
import time
from pathlib import Path

import numpy as np
from absl import app, flags

PART = flags.DEFINE_enum("part", "transfer", ["transfer", "new_class"], "what to show")
MODEL = flags.DEFINE_string("model", "ddpm-fashion-mnist", "zoo name of a diffusion model with classes")
DATASET = flags.DEFINE_string("dataset", "mnist", "with classes, of images of the same shape")
EXTRACTOR = flags.DEFINE_string("extractor", "lenet-mnist", "classifier of that data set")
OWN_EXTRACTOR = flags.DEFINE_string("own_extractor", "resnet-fashion-mnist", "classifier of the model's own classes")
STEPS = flags.DEFINE_integer("steps", 1600, "of training", lower_bound=1)
BATCH = flags.DEFINE_integer("batch", 64, "examples in a step", lower_bound=1)
SAMPLES = flags.DEFINE_integer("samples", 1000, "to measure with", lower_bound=20)
RANK = flags.DEFINE_integer("rank", 4, "of the adapter", lower_bound=1)
LAYERS = flags.DEFINE_string("layers", "qkv|out$|hidden|scale_shift|classes|conv_a", "that the adapter is of")
NEW_CLASS = flags.DEFINE_integer("new_class", 8, "class of the data set to learn", lower_bound=0)
IMAGES = flags.DEFINE_integer("images", 500, "of the new class", lower_bound=1)
OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures", required=True)
PICTURE = flags.DEFINE_string("picture", None, "PNG file: the curves, or samples of each class")

DRAWING = {"sampler": "dpm++", "steps": 10, "guidance": 2.0, "seed": 0, "verbose": 0}


def optimizer(rate):
    import keras

    return keras.optimizers.Adam(rate, beta_2=0.99, global_clipnorm=1.0, use_ema=True, ema_momentum=0.999)


def curve(model, rate, x, y, measure):
    """`{steps: figure}` after 0, 1/32, 1/16, ... of all steps."""
    marks = [0, *(STEPS.value // 2**k for k in range(5, -1, -1))]
    model.compile(optimizer(rate))
    rng, found = np.random.default_rng(0), {}
    for before, mark in zip([0, *marks], marks, strict=False):
        if mark > before:
            chosen = rng.integers(0, len(x), (mark - before) * BATCH.value)
            model.fit(x[chosen], y[chosen], batch_size=BATCH.value, shuffle=False, verbose=0)
        found[mark] = measure(model)
        print(f"{mark} steps: {found[mark]:.3f}", flush=True)
    return found


def transfer(report):
    import keras

    import kerasgen
    from kerasgen import charts, data, metrics
    from kerasgen.training.extractors import load_extractor

    x, y = data.load_arrays(DATASET.value, "train[:55000]")
    held, labels = data.load_arrays(DATASET.value, "train[55000:]", limit=SAMPLES.value)
    extractor = load_extractor(EXTRACTOR.value)

    def moments(images):
        return metrics.Moments().update(extractor.extract(images, verbose=0)[0]).result()

    real = moments(held)

    def measure(model):
        return metrics.frechet_distance(*real, *moments(model.sample(len(held), labels=labels, **DRAWING)))

    def whole():
        return kerasgen.load(MODEL.value), 1e-3

    def adapter():
        model = kerasgen.load(MODEL.value)
        model.enable_lora(RANK.value, LAYERS.value)
        return model, 1e-2

    def scratch():
        keras.utils.set_random_seed(0)
        loaded = kerasgen.load(MODEL.value)
        return type(loaded).from_config(loaded.get_config()), 1e-3

    for name, make in (("all weights", whole), ("adapter", adapter), ("from scratch", scratch)):
        if name in report:
            continue
        print(name)
        start = time.monotonic()
        model, rate = make()
        found = curve(model, rate, x, y, measure)
        report[name] = {"frechet_distance": found, "seconds": time.monotonic() - start}
        if name == "adapter":
            folder = Path(OUTPUT.value).with_suffix("")
            model.save_adapter(folder)
            report[name]["bytes"] = sum(path.stat().st_size for path in folder.iterdir())
    if PICTURE.value:
        curves = {
            name: np.array([(int(mark), value) for mark, value in found["frechet_distance"].items()][1:])
            for name, found in report.items()
        }
        lines = {name: (points[:, 0], np.log10(points[:, 1])) for name, points in curves.items()}
        charts.save(Path(PICTURE.value), [charts.Chart("steps", "log10 distance", lines)])


def new_class(report):
    import kerasgen
    from kerasgen import data
    from kerasgen.training.extractors import load_extractor

    model = kerasgen.load(MODEL.value)
    old = model.num_classes
    x, y = data.load_arrays(DATASET.value, "train")
    x = x[y == NEW_CLASS.value][: IMAGES.value]
    own, other = (load_extractor(name.value) for name in (OWN_EXTRACTOR, EXTRACTOR))
    labels = np.arange(SAMPLES.value) % old

    def recognised(model):
        """Of samples of the old classes as their own, and of the new one, if there is one."""
        found = own.extract(model.sample(len(labels), labels=labels, **DRAWING), verbose=0)[1].argmax(axis=1)
        figures = {"old": float((found == labels).mean())}
        if model.num_classes > old:
            samples = model.sample(len(labels) // old, labels=np.full(len(labels) // old, old), **DRAWING)
            figures["new"] = float((other.extract(samples, verbose=0)[1].argmax(axis=1) == NEW_CLASS.value).mean())
        return figures

    report["before"] = recognised(model)
    replayed = np.arange(4 * IMAGES.value) % old
    again = np.rint(255.0 * model.sample(len(replayed), labels=replayed, **DRAWING | {"seed": 1})).astype(np.uint8)
    for name, images, classes in (
        ("with replay", np.concatenate([again, np.repeat(x, 2, axis=0)]), [replayed, np.full(2 * len(x), old)]),
        ("without replay", x, [np.full(len(x), old)]),
    ):
        larger = model.with_num_classes(old + 1)
        larger.compile(optimizer(3e-4))
        chosen = np.random.default_rng(0).integers(0, len(images), STEPS.value * BATCH.value)
        larger.fit(images[chosen], np.concatenate(classes)[chosen], batch_size=BATCH.value, shuffle=False, verbose=0)
        report[name] = recognised(larger)
        print(name, report[name], flush=True)
        if PICTURE.value and name == "with replay":
            every = np.tile(np.arange(old + 1), 6)
            larger.modality.write(larger.sample(len(every), labels=every, **DRAWING), Path(PICTURE.value), old + 1)


def main(_):
    from kerasgen.training import hardware

    output = Path(OUTPUT.value)
    report = json.loads(output.read_text()) if output.exists() else {}  # what is there is not measured again
    report |= hardware.describe() | {"model": MODEL.value, "dataset": DATASET.value, "steps": STEPS.value}
    (transfer if PART.value == "transfer" else new_class)(report.setdefault(PART.value, {}))
    output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
