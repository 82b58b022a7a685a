"""Formats of programs: how each is written, from a TensorFlow function, and run by its own runtime."""

import contextlib
import importlib.util
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from kerasgen.errors import InputError
from kerasgen.inputs import check_choice
from kerasgen.typing import Any, Array


class Format:
    """A format: the suffix of its files ("" for a folder) and the packages that write and run it, the last one runs."""

    suffix = ""
    packages: tuple[str, ...] = ()
    batches: tuple[int | None, ...] = (None,)  # sizes to try in turn; `None` is any

    def write(self, program: Any, path: Path) -> None:
        """Writes a `tf.function` of named inputs that gives a dictionary of one output."""
        raise NotImplementedError

    def run(self, path: Path, inputs: dict[str, Array], output: str) -> Array:
        """What the program in the file makes of the inputs."""
        raise NotImplementedError

    @property
    def runtime(self) -> str:
        """Name and version of the runtime."""
        return f"{self.packages[-1]} {version(self.packages[-1])}"


class SavedModel(Format):
    """TensorFlow's own: the function is `serve`, and the signature "serving_default"."""

    packages = ("tensorflow",)

    def write(self, program: Any, path: Path) -> None:
        import tensorflow as tf

        module = tf.Module()
        module.serve = program
        tf.saved_model.save(module, str(path), signatures=program)

    def run(self, path: Path, inputs: dict[str, Array], output: str) -> Array:
        import tensorflow as tf

        signature = tf.saved_model.load(str(path)).signatures["serving_default"]
        return signature(**{name: tf.constant(array) for name, array in inputs.items()})[output].numpy()


class Onnx(Format):
    """ONNX, by tf2onnx."""

    suffix = ".onnx"
    packages = ("onnx", "tf2onnx", "onnxruntime")

    def write(self, program: Any, path: Path) -> None:
        import tf2onnx

        handlers: dict[str, tuple] = {"Erfc": (_erfc, [])}
        tf2onnx.convert.from_function(
            program, program.input_signature, opset=18, custom_op_handlers=handlers, output_path=str(path)
        )

    def run(self, path: Path, inputs: dict[str, Array], output: str) -> Array:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return session.run([output], inputs)[0]


def _erfc(graph, node, name, args):
    """TensorFlow's complementary error function, of gelu, which tf2onnx has not: 1 - Erf."""
    shapes, dtypes, output = node.output_shapes, node.output_dtypes, node.output
    (x,) = node.input
    graph.remove_node(node.name)
    one = graph.make_const(f"{name}_one", np.float32(1.0)).output[0]
    erf = graph.make_node("Erf", [x], shapes=shapes, dtypes=dtypes).output[0]
    return graph.make_node("Sub", [one, erf], outputs=output, name=name, shapes=shapes, dtypes=dtypes)


class LiteRT(Format):
    """LiteRT, once TensorFlow Lite, with its own operations alone."""

    suffix = ".tflite"
    packages = ("tensorflow", "ai-edge-litert")
    batches = (None, 1)  # convolutions need sides that are known, which enlarging loses where the batch is not

    def write(self, program: Any, path: Path) -> None:
        import tensorflow as tf

        with tempfile.TemporaryDirectory() as folder:
            SavedModel().write(program, Path(folder))
            try:
                path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())
            except Exception as error:
                missing = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", str(error))))
                if not missing:
                    raise
                raise InputError(f"LiteRT has no {', '.join(missing)}, which this part needs.") from error

    def run(self, path: Path, inputs: dict[str, Array], output: str) -> Array:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_path=str(path)).get_signature_runner()(**inputs)[output]


FORMATS: dict[str, Format] = {"tf_saved_model": SavedModel(), "onnx": Onnx(), "litert": LiteRT()}


def find_format(name: str) -> Format:
    """The format of a name, if what it needs is installed. Raises `InputError`."""
    form = FORMATS[check_choice("format", name, FORMATS)]
    missing = [package for package in form.packages if not importlib.util.find_spec(package.replace("-", "_"))]
    if missing:
        raise InputError(
            f'format {name!r} needs {" and ".join(missing)}: pip install "kerasgen-zoo[export]", which has all.'
        )
    return form


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keeps from the terminal what converters and runtimes say there, from C++ too: what matters they raise."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
