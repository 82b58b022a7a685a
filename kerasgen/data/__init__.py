"""Images from TFDS names, TFDS folders, image folders and arrays, as `tf.data` pipelines or arrays."""

from kerasgen.data.augmentation import augment_with
from kerasgen.data.pipeline import class_names, load, load_arrays, load_domain_arrays, load_domains, steps_per_epoch

__all__ = [
    "augment_with",
    "class_names",
    "load",
    "load_arrays",
    "load_domain_arrays",
    "load_domains",
    "steps_per_epoch",
]
