"""Turns oneDNN on for TensorFlow, which else uses it only on processors with AVX512_VNNI, AMX or the like.

With it, convolutions run about twice as fast on others (docs/performance.md). TensorFlow decides once, when it is
imported, by the environment variable TF_ENABLE_ONEDNN_OPTS: so `kerasgen` imports this file before Keras.
"""

import os
import sys
import warnings

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


def prefer_onednn() -> None:
    """Sets the variable unless it is set; warns where TensorFlow was imported before, and decided against it."""
    if VARIABLE in os.environ:
        return
    if "tensorflow" not in sys.modules:
        os.environ[VARIABLE] = "1"
        return
    import keras
    from tensorflow.python.util import _pywrap_util_port

    if keras.backend.backend() == "tensorflow" and not _pywrap_util_port.IsMklEnabled():
        warnings.warn(
            "TensorFlow was imported before kerasgen, and computes without oneDNN, at about half the speed on this "
            "processor. Import kerasgen before keras and tensorflow, or add before these imports: "
            f'import os; os.environ["{VARIABLE}"] = "1"',
            stacklevel=4,  # the line that imports kerasgen
        )


prefer_onednn()
