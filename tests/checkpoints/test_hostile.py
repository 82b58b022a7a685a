"""2,000 damaged and hostile checkpoints: no code runs, each ends in our error or a sound model, which draws a sample.

None takes a GiB of memory more than a small model takes. The first of them, made by hand, are tried always.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("num", [70, pytest.param(2000, marks=pytest.mark.slow)])
def test_hostile_checkpoints(num, tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("hostile.py")), str(tmp_path), str(num)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["refused"] + found["loaded"] == num
    assert found["refused"] > 0.6 * num
    assert found["loaded"] > 0
    assert found["GiB"] < 1.0
    assert not (tmp_path / "owned").exists()
