"""Images from TFDS names, TFDS folders, image folders and arrays, as `tf.data` pipelines or arrays."""

from kerasgen.data.augmentation import augment_with as augment_with
from kerasgen.data.moving import load_moving as load_moving, load_moving_arrays as load_moving_arrays
from kerasgen.data.pipeline import (
    class_names as class_names,
    default_split as default_split,
    load as load,
    load_arrays as load_arrays,
    load_domain_arrays as load_domain_arrays,
    load_domains as load_domains,
    load_pair_arrays as load_pair_arrays,
    load_pairs as load_pairs,
    load_text_arrays as load_text_arrays,
    load_texts as load_texts,
    load_whole as load_whole,
    recipe_splits as recipe_splits,
    steps_per_epoch as steps_per_epoch,
)
from kerasgen.data.sounds import (
    load_sound_arrays as load_sound_arrays,
    load_sounds as load_sounds,
    load_whole_sounds as load_whole_sounds,
)
from kerasgen.data.tables import is_normal as is_normal, load_table as load_table
from kerasgen.data.texts import characters as characters
from kerasgen.data.videos import load_video as load_video
