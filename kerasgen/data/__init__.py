"""Images from TFDS names, TFDS folders, image folders and arrays, as `tf.data` pipelines or arrays."""

from kerasgen.data.augmentation import augment_with as augment_with
from kerasgen.data.pipeline import (
    class_names as class_names,
    load as load,
    load_arrays as load_arrays,
    load_domain_arrays as load_domain_arrays,
    load_domains as load_domains,
    steps_per_epoch as steps_per_epoch,
)
