"""2,000 damaged and hostile checkpoints: no code runs, memory is bounded, each ends in our error or a sound model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

NUM = 2000


@pytest.mark.slow
@pytest.mark.backend("tensorflow")
def test_hostile_checkpoints(tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("hostile.py")), str(tmp_path), str(NUM)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["refused"] + found["loaded"] == NUM
    assert found["refused"] > 0.6 * NUM
    assert found["GiB"] < 1.0
    assert not (tmp_path / "owned").exists()
