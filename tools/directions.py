"""Faces along the directions of attributes, a row each face: what `kerasgen.latents` does, as a picture.

python tools/directions.py --output=docs/directions.png
"""

import numpy as np
from absl import app, flags

MODEL = flags.DEFINE_string("model", "glow-celeba", "with encode and decode, of images with attributes")
DATASET = flags.DEFINE_string("dataset", "celeb_a_64", "with attributes, as for kerasgen.data.load")
COLUMNS = flags.DEFINE_list(
    "columns", ["31", "15", "20", "9"], "the attributes' numbers: smile, glasses, man, blond hair"
)
NUM_IMAGES = flags.DEFINE_integer("num_images", 3000, "training images that directions are taken from", lower_bound=10)
FACES = flags.DEFINE_integer("faces", 4, "the first images of the test split", lower_bound=1)
OUTPUT = flags.DEFINE_string("output", None, "PNG file", required=True)

AMOUNTS = (-3.0, -1.5, 0.0, 1.5, 3.0)  # in steps from the mean without to the mean with


def main(_):
    import kerasgen
    from kerasgen import data, latents

    model = kerasgen.load(MODEL.value)
    columns = [int(number) for number in COLUMNS.value]
    x, has = data.load_arrays(DATASET.value, f"train[:{NUM_IMAGES.value}]", labels="attributes", columns=columns)
    faces, _ = data.load_arrays(DATASET.value, f"test[:{FACES.value}]", labels="attributes", columns=columns)
    z = model.encode(x, verbose=0)
    along = [latents.direction(z, column == 1) for column in has.T]
    walks = np.stack([latents.traverse(model, faces, direction, AMOUNTS) for direction in along], axis=1)
    pictures = walks.reshape(-1, *model.shape)  # a row a face: the walks of its attributes beside each other
    model.modality.write(pictures, OUTPUT.value, len(columns) * len(AMOUNTS))


if __name__ == "__main__":
    app.run(main)
