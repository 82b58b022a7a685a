"""Exported files, run as their users run them."""

import numpy as np


def saved_model(path, inputs):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    (result,) = loaded.signatures["serving_default"](**{name: tf.constant(x) for name, x in inputs.items()}).values()
    (served,) = loaded.serve(*inputs.values()).values()
    np.testing.assert_array_equal(served, result)
    return result.numpy()


def onnx(path, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert {one.name for one in session.get_inputs()} == set(inputs)
    (result,) = session.run(None, inputs)
    return result


def litert(path, inputs):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(path)).get_signature_runner()
    (result,) = runner(**inputs).values()
    return result


RUN = {"tf_saved_model": saved_model, "onnx": onnx, "litert": litert}
SUFFIX = {"tf_saved_model": "", "onnx": ".onnx", "litert": ".tflite"}
