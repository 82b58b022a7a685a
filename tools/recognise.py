"""Are conditional samples of the class asked for? Asks a classifier trained on the real training set.

The classifier is a small convolutional network. As samples of a VAE are smoother than photographs, its training images
are blurred and dimmed at random, so that it judges shapes; its accuracy on the untouched test set is printed beside.

    python tools/recognise.py --model vae-fashion-mnist
"""

import json
from pathlib import Path

import keras
import numpy as np
from absl import app, flags, logging
from keras import layers, ops

import kerasgen
from kerasgen.training.recipe import Recipe
from kerasgen.training.run import load_split
from kerasgen.zoo import find_recipe

MODEL = flags.DEFINE_string("model", None, "zoo name or checkpoint folder of a class-conditional model", required=True)
NUM_SAMPLES = flags.DEFINE_integer("num_samples", 1000, "samples, the classes in turn", lower_bound=10)
TEMPERATURES = flags.DEFINE_list("temperatures", ["1.0", "0.5"], "spreads of the latents")
SEED = flags.DEFINE_integer("seed", 0, "of the samples")
EPOCHS = flags.DEFINE_integer("epochs", 8, "of the classifier", lower_bound=1)
CLASSIFIER = flags.DEFINE_string("classifier", None, "file to keep the trained classifier in (.keras)")


class BlurAndDim(layers.Layer):
    """Mixes each image with its 2 x 2 and 4 x 4 means, and scales its brightness, in training only."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, x, training=False):
        if not training:
            return x
        shape = (ops.shape(x)[0], 1, 1, 1)
        for size in (3, 5):
            smooth = ops.average_pool(x, size, 1, "same")
            share = ops.maximum(keras.random.uniform(shape, -1.0, 1.0, seed=self.seed_generator), 0.0)
            x = x + share * (smooth - x)
        return x * keras.random.uniform(shape, 0.6, 1.0, seed=self.seed_generator)


def classifier(image_shape, num_classes):
    network = [keras.Input(image_shape), BlurAndDim()]
    for filters in (32, 64):
        network += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    network += [layers.Dropout(0.3), layers.Flatten(), layers.Dense(128, "relu"), layers.Dropout(0.3)]
    return keras.Sequential([*network, layers.Dense(num_classes)])


def main(_):
    logging.set_verbosity(logging.ERROR)
    keras.utils.set_random_seed(0)
    recipe = Recipe.load(find_recipe(MODEL.value)).override(["dataset.labels=true"])
    model = kerasgen.load(MODEL.value)
    images, labels = load_split(recipe, recipe.dataset.train_split)
    if CLASSIFIER.value and Path(CLASSIFIER.value).exists():
        network = keras.saving.load_model(CLASSIFIER.value, custom_objects={"BlurAndDim": BlurAndDim})
    else:
        network = classifier(model.image_shape, int(labels.max()) + 1)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"], jit_compile=False)
        network.fit(images / np.float32(255.0), labels, batch_size=256, epochs=EPOCHS.value, verbose=2)
        if CLASSIFIER.value:
            network.save(CLASSIFIER.value)
    test_images, test_labels = load_split(recipe, recipe.dataset.test_split)
    accuracy = network.evaluate(test_images / np.float32(255.0), test_labels, verbose=0, return_dict=True)["accuracy"]
    report = {"model": MODEL.value, "classifier_test_accuracy": round(accuracy, 4), "num_samples": NUM_SAMPLES.value}
    for temperature in map(float, TEMPERATURES.value):
        samples = model.sample(NUM_SAMPLES.value, seed=SEED.value, temperature=temperature)
        probabilities = keras.ops.convert_to_numpy(ops.softmax(network.predict(samples, verbose=0)))
        found = probabilities.argmax(axis=1)
        result = {"mean_confidence": round(float(probabilities.max(axis=1).mean()), 4)}
        if model.num_classes:
            asked = np.arange(NUM_SAMPLES.value) % model.num_classes
            result["match"] = round(float((found == asked).mean()), 4)
            result["match_by_class"] = [round(float((found == asked)[asked == c].mean()), 3) for c in range(10)]
        else:
            result["share_by_class"] = (np.bincount(found, minlength=10) / len(found)).round(3).tolist()
        report[f"temperature {temperature:g}"] = result
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    app.run(main)
