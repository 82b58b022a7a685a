"""When oneDNN is turned on, in a process of its own each: TensorFlow decides once."""

import os
import subprocess
import sys

SAYS = "from tensorflow.python.util import _pywrap_util_port as port; print(port.IsMklEnabled(), os.environ.get(NAME))"


def run(code, **variables):
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", **variables}
    if not variables:
        environment.pop("TF_ENABLE_ONEDNN_OPTS", None)
    code = f'import os, sys; NAME = "TF_ENABLE_ONEDNN_OPTS"; {code}'
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return result.stdout.split(), result.stderr


def test_on_unless_the_user_says_otherwise():
    """And whoever imported TensorFlow before, without it, is told once."""
    assert run(f"import kerasgen; {SAYS}")[0] == ["True", "1"]
    late = 'del os.environ[NAME], sys.modules["kerasgen.onednn"]; import importlib; importlib.import_module'
    found, errors = run(f'import kerasgen; {SAYS}; {late}("kerasgen.onednn")', TF_ENABLE_ONEDNN_OPTS="0")
    assert found == ["False", "0"]
    assert errors.count("TensorFlow was imported before kerasgen") == 1
    assert 'os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"' in errors
