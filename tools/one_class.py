"""One class of images as normal, all others as anomalous: ten rows a data set, and the failure of plain likelihoods.

For each class a model is trained on its training images alone, and scores the whole test set; a figure is the AUROC of
the class against the rest (Ruff et al. 2018, section 5.2).

It goes on where a run with the same output was stopped.

python tools/one_class.py --dataset=mnist --output=one_class.json
python tools/one_class.py --model=glow-fashion-mnist --normal=fashion_mnist --anomalous=mnist --output=likelihood.json
"""

import json
import time
from pathlib import Path

import numpy as np
from absl import app, flags

DATASET = flags.DEFINE_string("dataset", None, "with classes, as for kerasgen.data.load")
EPOCHS = flags.DEFINE_integer("epochs", 15, "of each model", lower_bound=1)
MODEL = flags.DEFINE_string("model", None, "of the zoo: how it tells two data sets apart, by each of its scorers")
NORMAL = flags.DEFINE_string("normal", None, "data set that the model was trained on")
ANOMALOUS = flags.DEFINE_string("anomalous", None, "another data set")
NUM_IMAGES = flags.DEFINE_integer("num_images", 1000, "of each, for --model", lower_bound=10)
OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures", required=True)

CORRUPTION = {"class": "gaussian", "stddev": 0.2}
BATCH = 64


def vae(shape):
    import kerasgen

    return kerasgen.VariationalAutoencoder(shape, 16)


def denoising_autoencoder(shape):
    import kerasgen

    return kerasgen.Autoencoder(shape, 16, corruption=CORRUPTION, num_components=0)


MODELS = (  # by name: what makes one, and the way it scores
    ("VAE", vae, "likelihood"),
    ("denoising autoencoder", denoising_autoencoder, "reconstruction"),
)


def one_class(report, keep):
    """Adds the AUROC of each class to the lists of `report`, by model, and calls `keep()`."""
    import keras

    from kerasgen import data, metrics

    x, y = data.load_arrays(DATASET.value, "train")
    tested, labels = data.load_arrays(DATASET.value, "test")
    for label in range(int(y.max()) + 1):
        some = x[y == label]
        for name, make, scorer in MODELS:
            if len(report.setdefault(name, [])) > label:
                continue
            start = time.monotonic()
            keras.utils.set_random_seed(label)
            model = make(x.shape[1:])
            steps = EPOCHS.value * (len(some) // BATCH)
            model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)))
            model.fit(some, batch_size=BATCH, epochs=EPOCHS.value, verbose=0)
            scores = model.anomaly_scorers()[scorer](tested, batch_size=500, verbose=0)
            value = metrics.auroc(scores[labels == label], scores[labels != label])
            report[name].append(value)
            keep()
            print(f"{label}, {name}: {value:.4f} ({time.monotonic() - start:.0f} s)", flush=True)
    for name, values in report.items():
        print(f"mean, {name}: {np.mean(values):.4f}")


def two_sets(report):
    import kerasgen
    from kerasgen import data, metrics

    model = kerasgen.load(MODEL.value)
    form = {"image_size": model.shape[:2], "channels": model.shape[2], "limit": NUM_IMAGES.value}
    normal, _ = data.load_arrays(NORMAL.value, "test", **form)
    anomalous, _ = data.load_arrays(ANOMALOUS.value, "test", **form)
    for name, score in model.anomaly_scorers().items():
        # Of a model with classes, each image as the class that it scores as least strange.
        classes = [None] if model.num_classes is None else range(model.num_classes)
        usual, strange = (np.min([score(x, labels=c, verbose=0) for c in classes], axis=0) for x in (normal, anomalous))
        report[name] = metrics.auroc(usual, strange)
        print(f"{name}: {report[name]:.4f}", flush=True)


def main(_):
    from kerasgen.training import hardware

    output = Path(OUTPUT.value)
    report = hardware.describe()
    if MODEL.value:
        report |= {"model": MODEL.value, "normal": NORMAL.value, "anomalous": ANOMALOUS.value, "n": NUM_IMAGES.value}
        two_sets(report.setdefault("auroc", {}))
    else:
        report |= {"dataset": DATASET.value, "epochs": EPOCHS.value}
        before = json.loads(output.read_text()) if output.exists() else {}
        if before and {key: before.get(key) for key in report} != report:
            raise app.UsageError(
                f"{output} has figures of another data set, machine or number of epochs; choose another."
            )
        report["auroc"] = before.get("auroc", {})
        one_class(report["auroc"], lambda: output.write_text(json.dumps(report, indent=1) + "\n"))
    output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
