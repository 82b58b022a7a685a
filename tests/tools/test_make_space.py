"""tools/make_space.py: its folder is a Space, which serves one model to strangers, and nothing else of the machine."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from huggingface_hub import SpaceCard
from packaging.requirements import Requirement

import kerasgen
from kerasgen.hub.registry import find

pytest.importorskip("gradio")
ROOT = Path(__file__).parents[2]
PATIENCE = 120  # seconds
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
ENVIRONMENT.pop("GRADIO_SERVER_NAME", None)


def make_space(*arguments):
    command = [sys.executable, str(ROOT / "tools" / "make_space.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)


def get(url, body=None, seconds=PATIENCE):
    """The status and text of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    folder = tmp_path_factory.mktemp("space")
    kerasgen.VariationalAutoencoder((8, 8, 3), latent_dim=2, width=4).save(folder / "mine-1.5")
    done = make_space(folder / "mine-1.5", "--output", folder / "made")
    assert done.returncode == 0, done.stderr
    assert f"hf upload USER/NAME {folder / 'made'} --repo-type=space" in done.stdout
    return folder / "made"


@pytest.fixture(scope="module")
def served(space):
    """The address of a running Space."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = ENVIRONMENT | {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    del environment["PYTHONPATH"]  # what it serves is in its folder
    with subprocess.Popen([sys.executable, "app.py"], cwd=space, env=environment) as process:
        try:
            url, end = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
            while True:
                try:
                    get(url, seconds=5)
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < end
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()


def test_front_matter_and_files(space):
    card = SpaceCard.load(space / "README.md")
    told = card.data.to_dict()
    assert told["title"] == "mine-1.5"
    assert told["sdk"] == "gradio" and told["app_file"] == "app.py" and told["pinned"] is False
    assert told["python_version"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    names = {Requirement(line).name for line in (space / "requirements.txt").read_text().splitlines()}
    assert {"keras", "tensorflow", "gradio"} <= names
    assert "kerasgen-zoo" not in names
    assert (space / "models" / "mine-1.5" / "model.weights.h5").is_file()
    assert (space / "kerasgen" / "demo" / "page.py").is_file()
    assert not list(space.rglob("__pycache__"))


def test_the_space_of_an_entry(tmp_path):
    made = tmp_path / "made"
    done = make_space("vae-mnist", f"--output={made}")
    assert done.returncode == 0, done.stderr
    assert SpaceCard.load(made / "README.md").data.license == find("vae-mnist").recipe.weights.license
    assert [path.name for path in (made / "zoo").iterdir()] == ["vae-mnist"]
    assert "MODEL = 'vae-mnist'" in (made / "app.py").read_text()


def test_what_is_wrong_is_told_in_a_line(space, tmp_path):
    before = sorted(space.rglob("*"))
    for model, folder, message in (
        ("vae-mnist", space, "is there and not empty"),
        ("user/repo", tmp_path / "made", "user/repo is no name of the zoo and no checkpoint"),
        (tmp_path, tmp_path / "made", "has no config.json"),
    ):
        done = make_space(model, "--output", folder)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("make_space: ") and message in done.stderr
    assert sorted(space.rglob("*")) == before
    assert not (tmp_path / "made").exists()


def choose(url, name, session):
    """What the Space says to a visitor who names a model."""
    config = json.loads(get(f"{url}/config")[1])
    body = {"data": [name], "fn_index": config["dependencies"][0]["id"], "session_hash": session}
    assert get(f"{url}/gradio_api/queue/join", body)[0] == 200
    with urllib.request.urlopen(f"{url}/gradio_api/queue/data?session_hash={session}", timeout=PATIENCE) as lines:
        messages = (json.loads(line[5:]) for line in lines if line.startswith(b"data:"))
        return next(message for message in messages if message["msg"] == "process_completed")


def test_strangers_have_its_model_alone(served, space, tmp_path):
    status, text = get(served)
    assert status == 200 and "kerasgen" in text
    assert choose(served, "./models/mine-1.5", "first")["success"]
    for number, name in enumerate(("user/repo", str(tmp_path), "vae-mnist", "./models")):
        answer = choose(served, name, f"other{number}")
        assert not answer["success"] and "not in the list of choices" in answer["output"]["error"]
    for path in ("/etc/passwd", space / "app.py", space / "models" / "mine-1.5" / "config.json"):
        assert get(f"{served}/gradio_api/file={path}")[0] == 403
    config = json.loads(get(f"{served}/config")[1])
    assert config["max_file_size"] == 20 << 20
