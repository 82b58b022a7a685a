"""Programs: a part of a model with its weights, written by TensorFlow here or, under another backend, in a child."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
from keras import ops

from kerasgen.errors import InputError
from kerasgen.export.formats import Format, quietly
from kerasgen.export.part import Part
from kerasgen.typing import Any

CHILD = """
import json, sys, keras, kerasgen
folder, path, settings = sys.argv[1:]
keras.saving.load_model(folder).export(path, **json.loads(settings))
"""


def write(part: Part, variables: list, form: Format, path: Path) -> int | None:
    """Writes a part to a file, with the values of the variables as constants.

    The result is the size of its batches: `None` for any, or what the format falls back to.
    """
    *some, last = form.batches
    for batch in some:
        with quietly(), contextlib.suppress(Exception):  # what it raises then comes from the last one, too
            form.write(program(part, variables, batch), path)
            return batch
    with quietly():
        form.write(program(part, variables, last), path)
    return last


def program(part: Part, variables: list, batch: int | None) -> Any:
    """The `tf.function` of a part, in which the variables have the values that they have now."""
    import tensorflow as tf

    values = [(variable, ops.convert_to_numpy(variable)) for variable in variables]
    specs = [tf.TensorSpec((batch, *x.shape[1:]), x.dtype, name=name) for name, x in part.read.items()]

    @functools.partial(tf.function, input_signature=specs, autograph=False)
    def function(*tensors):
        with keras.StatelessScope(state_mapping=[(v, tf.constant(value)) for v, value in values]):
            return {part.output: part.call(*tensors)}

    return function


def write_in_child(model: Any, path: Path, **settings: Any) -> int | None:
    """As `write`, by a process of its own, on TensorFlow, that loads the model. Raises `InputError`: it failed."""
    try:
        given = json.dumps(settings)
    except TypeError as error:
        raise InputError(f"outside of TensorFlow, settings of export are plain values: {error}.") from error
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model", dtype="float32")
        command = [sys.executable, "-c", CHILD, str(Path(folder) / "model"), str(path), given]
        environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode:
        said = (run.stderr.strip() or f"exit status {run.returncode}").splitlines()[-1]
        raise InputError(f"TensorFlow, which writes exports in a process of its own, could not: {said}")
    return json.loads(path.with_name(f"{path.name}.json").read_text())["batch"]
