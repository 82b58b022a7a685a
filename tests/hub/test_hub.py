"""The Hub, over HTTP on loopback with the real client: round trips, and every fault at every request."""

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasgen
from kerasgen.checkpoints import save_checkpoint
from kerasgen.cli import main as cli
from kerasgen.errors import CheckpointError, HubError
from kerasgen.hub import client, registry
from kerasgen.hub.publication import write_package
from kerasgen.recipes import Recipe
from tests.model_case import assert_same

CHECKPOINT = ("config.json", "metadata.json", "model.weights.h5")


def make(seed=0, **arguments):
    keras.utils.set_random_seed(seed)
    return kerasgen.Autoencoder((8, 8, 1), 2, width=4, encoder="dense", decoder="dense", **arguments)


def code(model):
    """What tells one small model from another."""
    return model.encode(np.full((1, 8, 8, 1), 128, np.uint8), verbose=0)


@pytest.fixture
def quick_retries(monkeypatch):
    """The client tries again without waiting."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


@pytest.fixture
def hub(hub_server, monkeypatch):
    hub_server.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    return hub_server


@pytest.fixture
def published(hub):
    """The Hub with me/model on it, and the model."""
    model = make()
    model.push_to_hub("me/model")
    hub.restart()
    return hub, model


def run(script, *arguments, **environment):
    """A Python process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return stdout


# Round trips

ELSEWHERE = """
import sys, keras, numpy as np, kerasgen
model = kerasgen.load("hf://me/model", cache_dir=sys.argv[1])
x = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1), dtype=np.uint8)
model.compile()
model.fit(x, epochs=2, verbose=0)
model.fit_density(x)
print(model.push_to_hub("me/model", create_pr=True).revision)
print(model.push_to_hub("me/model", revision="tuned", commit_message="Tuned on noise").revision)
np.save(sys.argv[2], model.encode(x, verbose=0))
"""


def test_round_trip(published, tmp_path):
    """Published here, loaded, fine-tuned and published elsewhere; both revisions are loaded again."""
    hub, model = published
    output = finish(run(ELSEWHERE, tmp_path / "elsewhere", tmp_path / "codes.npy"))
    pull_request, tuned = output.split()[-2:]
    branches = hub.repositories["me/model"].branches
    assert branches["refs/pr/1"] == pull_request
    assert branches["tuned"] == tuned
    x = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1), dtype=np.uint8)
    first = kerasgen.load("me/model", cache_dir=tmp_path / "here")
    assert_same(first.encode(x), model.encode(x), 0.0)
    for handle in (f"me/model@{pull_request}", "hf://me/model@tuned", "me/model@refs/pr/1"):
        again = kerasgen.load(handle, cache_dir=tmp_path / "here")
        assert_same(again.encode(x), np.load(tmp_path / "codes.npy"), 1e-5)
    assert np.abs(again.encode(x) - first.encode(x)).max() > 1e-3
    card = hub.repositories["me/model"].commits[tuned]["README.md"].decode()
    assert "base_model: me/model" in card


def test_an_unchanged_publication_changes_nothing(published):
    hub, model = published
    before = hub.repositories["me/model"].branches["main"]
    again = model.push_to_hub("me/model")
    assert not again.changed
    assert again.revision == hub.repositories["me/model"].branches["main"] == before
    model.trainable_variables[0].assign_add(keras.ops.ones_like(model.trainable_variables[0].value))
    assert model.push_to_hub("me/model").changed


def test_publishing_a_folder_and_a_name(hub, tmp_path):
    model = make()
    save_checkpoint(model, tmp_path / "model")
    (tmp_path / "model" / "notes.txt").write_text("not for the Hub")
    kerasgen.publish(tmp_path / "model", "me/folder", private=True)
    repository = hub.repositories["me/folder"]
    assert repository.private
    assert set(repository.files) == {*CHECKPOINT, "README.md"}
    kerasgen.publish("vae-mnist", "me/vae-mnist")
    files = hub.repositories["me/vae-mnist"].files
    card = files["README.md"].decode()
    for part in ("library_name: keras", "model-index:", 'kerasgen.load("me/vae-mnist")', "pipeline_tag: unconditional"):
        assert part in card
    assert_same(kerasgen.load("me/vae-mnist").sample(2, seed=0), kerasgen.load("vae-mnist").sample(2, seed=0), 0.0)


def test_keras_opens_what_we_publish_and_we_what_keras_does(published, tmp_path):
    _, model = published
    opened = keras.saving.load_model("hf://me/model")
    assert_same(code(opened), code(model), 0.0)
    x = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), dtype=np.uint8)
    model.compile()
    model.fit(x, verbose=0)
    model.save("hf://me/plain")
    assert_same(code(kerasgen.load("me/plain", cache_dir=tmp_path)), code(model), 1e-6)


def test_a_broken_model_is_not_published(hub):
    """One that computes something that its config and variables do not say; one with NaN."""
    model = make()
    encode_step = type(model).encode_step
    model.encode_step = lambda *args: 2.0 * encode_step(model, *args)
    with pytest.raises(CheckpointError, match="computes something else"):
        model.push_to_hub("me/model")
    model = make()
    model.trainable_variables[0].assign(np.nan * model.trainable_variables[0])
    with pytest.raises(CheckpointError, match="not finite"):
        model.push_to_hub("me/model")
    assert not hub.repositories
    assert not hub.log


# Faults


def comes_or_says_why(cache, files):
    """One `HubError` of one line, or the right files. Whether it was the files."""
    try:
        folder = client.download("me/model", cache_dir=cache)
    except HubError as error:
        assert "\n" not in str(error)
        assert "hf_writer" not in str(error)
        return False
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    return True


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Two publications, written and not sent."""
    folders = [tmp_path_factory.mktemp(f"package{seed}") for seed in (0, 1)]
    for seed, folder in enumerate(folders):
        write_package(make(seed), folder, "me/model")
    return folders


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("fault", ["cut", "truncate", "damage", 401, 403, 404, 409, 429, 500])
def test_faults_of_downloads(hub, packages, fault, tmp_path, quick_retries):
    """The fault at each request in turn; afterwards the same cache serves the right model."""
    client.upload(packages[0], "me/model")
    files = contents(packages[0])
    hub.restart()
    assert comes_or_says_why(tmp_path / "whole", files)
    requests = len(hub.log)
    assert requests > len(CHECKPOINT)
    for number in range(requests):
        hub.restart()
        hub.fault = lambda n, method, path, number=number: fault if n == number else None
        cache = tmp_path / str(number)
        comes_or_says_why(cache, files)
        hub.restart()
        assert comes_or_says_why(cache, files), hub.log


@pytest.mark.parametrize("fault", ["cut", "lose", 401, 403, 404, 409, 412, 429, 500])
@pytest.mark.parametrize("branch", [None, "tuned"])
@pytest.mark.parametrize("new", [True, False])
def test_faults_of_uploads(hub, packages, fault, new, branch, quick_retries):
    """Nothing half-published: either all is there, or all is as it was."""
    old = contents(packages[1])
    if not new:
        client.upload(packages[1], "me/model")
        hub.restart()
    client.upload(packages[0], "me/model", revision=branch)
    requests = len(hub.log)
    assert requests > 5
    for number in range(requests):
        hub.clear()
        if not new:
            client.upload(packages[1], "me/model")
            hub.restart()
        hub.fault = lambda n, method, path, number=number: fault if n == number else None
        try:
            client.upload(packages[0], "me/model", revision=branch)
        except HubError as error:
            assert "\n" not in str(error)
            if new:
                assert not hub.repositories or "by hand" in str(error)
            else:
                assert hub.repositories["me/model"].files == old
                assert set(hub.repositories["me/model"].branches) == {"main"}
        else:
            repository = hub.repositories["me/model"]
            assert repository.commits[repository.branches[branch or "main"]] == contents(packages[0])


def test_a_hub_that_stays_away(hub, packages, tmp_path, quick_retries):
    """From each request on, all are cut."""
    client.upload(packages[0], "me/model")
    files = contents(packages[0])
    hub.restart()
    assert comes_or_says_why(tmp_path / "whole", files)
    for number in range(len(hub.log)):
        hub.restart()
        hub.fault = lambda n, method, path, number=number: "cut" if n >= number else None
        assert not comes_or_says_why(tmp_path / str(number), files)
        hub.restart()
        assert comes_or_says_why(tmp_path / str(number), files)


def test_a_commit_between_two_requests(published, tmp_path):
    """A download is of one revision."""
    hub, _ = published
    for number in range(1, 8):
        hub.restart()
        repository = hub.repositories["me/model"]
        old = dict(repository.files)

        def commit(n, method, path, number=number, repository=repository, old=old):
            if n == number:
                repository.commit("main", {name: b"x" * len(data) for name, data in old.items()})

        hub.before = commit
        assert comes_or_says_why(tmp_path / str(number), old)
        hub.restart()
        repository.commit("main", old)


def test_a_commit_during_a_publication(published):
    hub, _ = published
    repository = hub.repositories["me/model"]

    def commit(number, method, path):
        if "/preupload/" in path:
            repository.commit("main", repository.files | {"theirs.txt": b"hello"})

    hub.before = commit
    with pytest.raises(HubError, match=r"412.*committed meanwhile"):
        make(seed=1).push_to_hub("me/model")
    assert repository.files["theirs.txt"] == b"hello"


def test_rights(published, monkeypatch, tmp_path):
    hub, model = published
    repository = hub.repositories["me/model"]
    for token, message in (("hf_reader", "403"), ("hf_nobody", "401")):
        with pytest.raises(HubError, match=message):
            kerasgen.publish(make(seed=1), "me/model", token=token)
        with pytest.raises(HubError, match=message):
            kerasgen.publish(model, "me/other", token=token)
    repository.gated = True
    with pytest.raises(HubError, match="gated"):
        kerasgen.load("me/model", token="hf_reader", cache_dir=tmp_path / "a")
    repository.gated, repository.private = False, True
    with pytest.raises(HubError, match="private"):
        kerasgen.load("me/model", token="hf_nobody", cache_dir=tmp_path / "b")
    kerasgen.load("me/model", token="hf_reader", cache_dir=tmp_path / "b")
    for handle, message in (("me/absent", "no such repository"), ("me/model@v9", "no such revision")):
        with pytest.raises(HubError, match=message):
            kerasgen.load(handle)
    with pytest.raises(HubError, match="different revisions"):
        kerasgen.load("me/model@v1", revision="v2")
    repository.commit("main", {"README.md": b"nothing else"})
    with pytest.raises(HubError, match="is no checkpoint"):
        kerasgen.load("me/model", cache_dir=tmp_path / "b")


def test_the_registry_pins(published, tmp_path, monkeypatch):
    """A zoo name without bundled weights comes from the revision that its recipe names, if the SHA-256 is right."""
    hub, model = published
    revision = hub.repositories["me/model"].branches["main"]
    folder = tmp_path / "zoo" / "mine"
    folder.mkdir(parents=True)
    monkeypatch.setattr(registry, "zoo_folder", lambda: tmp_path / "zoo")
    recipe = (Path(__file__).parents[2] / "zoo" / "vae-mnist" / "recipe.toml").read_text()
    recipe = recipe[: recipe.index("[weights]")].replace('"vae-mnist"', '"mine"')
    right = hashlib.sha256(hub.repositories["me/model"].files["model.weights.h5"]).hexdigest()
    hub.repositories["me/model"].commit("main", {})
    for sha, outcome in ((right, None), ("0" * 64, "SHA-256")):
        text = f'{recipe}[weights]\nhandle = "me/model"\nrevision = "{revision}"\nsha256 = "{sha}"\n'
        (folder / "recipe.toml").write_text(text)
        if outcome is None:
            assert_same(code(kerasgen.load("mine", cache_dir=tmp_path / "cache")), code(model), 0.0)
        else:
            with pytest.raises(CheckpointError, match=outcome):
                kerasgen.load("mine", cache_dir=tmp_path / "cache")


def test_a_full_disk(published, tmp_path):
    """Files cannot grow beyond a size, as on a disk with no space left; then there is space again."""
    hub, model = published
    assert len(hub.repositories["me/model"].files["model.weights.h5"]) > 2000
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        with pytest.raises(HubError, match="disk"):
            kerasgen.load("me/model", cache_dir=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert_same(code(kerasgen.load("me/model", cache_dir=tmp_path)), code(model), 0.0)


LOAD = """
import sys, numpy as np, kerasgen
model = kerasgen.load("me/model", cache_dir=sys.argv[1])
np.save(sys.argv[2], model.encode(np.full((1, 8, 8, 1), 128, np.uint8), verbose=0))
"""


def test_two_processes_at_once(published, tmp_path):
    _, model = published
    both = [run(LOAD, tmp_path / "cache", tmp_path / f"{index}.npy") for index in range(2)]
    for index, process in enumerate(both):
        finish(process)
        assert_same(np.load(tmp_path / f"{index}.npy"), code(model), 1e-5)


def test_killed_during_a_download(published, tmp_path):
    """SIGKILL at each request; then the same cache serves the right model."""
    hub, model = published
    for number in (1, 4, 6):
        hub.restart()
        process = run(LOAD, tmp_path / "cache", tmp_path / "code.npy")

        def kill(n, method, path, process=process, number=number):
            if n == number:
                process.send_signal(signal.SIGKILL)
                time.sleep(0.2)

        hub.before = kill
        process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL
        hub.restart()
        assert_same(code(kerasgen.load("me/model", cache_dir=tmp_path / "cache")), code(model), 0.0)
        assert not list((tmp_path / "cache").rglob("*.npy"))
        shutil.rmtree(tmp_path / "cache")


OFFLINE = """
import sys
from kerasgen.errors import HubError
from kerasgen.hub import client
for cache in sys.argv[1:]:
    try:
        print("folder", client.download("me/model", cache_dir=cache))
    except HubError as error:
        print("error", error)
"""


def test_offline(published, tmp_path):
    """With a copy in the cache: without a request. Without: what to do."""
    hub, model = published
    assert_same(code(kerasgen.load("me/model", cache_dir=tmp_path / "cache")), code(model), 0.0)
    # HF_HOME is where the cache is, and a Hub that is not there is no hindrance to a copy that is.
    home, load = tmp_path / "home", LOAD.replace(", cache_dir=sys.argv[1]", "")
    finish(run(load, "-", tmp_path / "first.npy", HF_HOME=str(home)))
    assert list((home / "hub").glob("models--me--model/snapshots/*/model.weights.h5"))
    hub.restart()
    offline = run(OFFLINE, tmp_path / "cache", tmp_path / "empty", HF_HUB_OFFLINE="1")
    finish(run(load, "-", tmp_path / "code.npy", HF_HOME=str(home), HF_ENDPOINT="http://127.0.0.1:9"))
    assert_same(np.load(tmp_path / "code.npy"), code(model), 1e-5)
    there, missing = finish(offline).splitlines()
    assert there.startswith("folder")
    assert "HF_HUB_OFFLINE is set; unset it" in missing
    with pytest.raises(HubError, match="kerasgen download"):
        kerasgen.load("me/model", cache_dir=tmp_path / "empty", local_files_only=True)
    assert_same(code(kerasgen.load("me/model", cache_dir=tmp_path / "cache", local_files_only=True)), code(model), 0.0)
    assert not hub.log


def test_tokens_are_in_no_log_error_or_card(hub, tmp_path, caplog, quick_retries):
    """Each request of an upload and of a download fails in turn, with all that is logged kept."""
    secret = "hf_" + "secret"
    caplog.set_level("DEBUG")
    write_package(make(), tmp_path, "me/model")
    hub.tokens[secret] = "write"
    client.upload(tmp_path, "me/model", token=secret)
    uploads = len(hub.log)
    client.download("me/model", token=secret, cache_dir=tmp_path / "cache")
    told = [data.decode(errors="ignore") for data in hub.repositories["me/model"].files.values()]
    shutil.rmtree(tmp_path / "cache")
    for number in range(uploads):
        hub.clear()
        hub.tokens[secret] = "write"
        hub.fault = lambda n, method, path, number=number: (403, "cut")[n % 2] if n >= number else None
        with pytest.raises(HubError) as error:
            client.upload(tmp_path, "me/model", token=secret)
        told.append(str(error.value))
        with pytest.raises(HubError) as error:
            client.download("me/model", token=secret, cache_dir=tmp_path / "cache")
        told.append(str(error.value))
        told += traceback.format_exception(error.value)
    assert "403" in " ".join(told)
    assert caplog.records
    assert secret not in " ".join(told) + caplog.text


def test_publishing_the_zoo(hub, tmp_path):
    """Tried out first, cut off at the second entry, and taken up again."""
    top = Path(__file__).parents[2]
    shutil.copytree(top / "kerasgen", tmp_path / "kerasgen")
    for name in ("ae-fashion-mnist", "vae-mnist"):
        shutil.copytree(top / "zoo" / name, tmp_path / "zoo" / name)
    recipes = [path.read_text() for path in sorted(tmp_path.glob("zoo/*/recipe.toml"))]

    def publish_zoo(*arguments):
        command = [sys.executable, top / "tools" / "publish_zoo.py", "--organisation", "org", *arguments]
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

    done = publish_zoo("--dry_run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["org/ae-fashion-mnist would be published", "org/vae-mnist would be published"]
    assert not hub.repositories
    assert recipes == [path.read_text() for path in sorted(tmp_path.glob("zoo/*/recipe.toml"))]
    hub.fault = lambda number, method, path: 403 if "vae-mnist/commit" in path else None
    done = publish_zoo()
    assert done.returncode == 1, done.stderr
    assert re.search(r"org/ae-fashion-mnist was published: .*\norg/vae-mnist failed: .*403", done.stdout)
    assert set(hub.repositories) == {"org/ae-fashion-mnist"}
    hub.restart()
    done = publish_zoo()
    assert done.returncode == 0, done.stderr
    assert re.search(r"org/ae-fashion-mnist is there already: .*\norg/vae-mnist was published", done.stdout)
    for name, before in zip(("ae-fashion-mnist", "vae-mnist"), recipes, strict=True):
        recipe = Recipe.load(tmp_path / "zoo" / name / "recipe.toml")
        repository = hub.repositories[f"org/{name}"]
        assert recipe.weights.handle == f"org/{name}"
        assert recipe.weights.revision == repository.branches["main"]
        assert recipe.weights.sha256 == hashlib.sha256(repository.files["model.weights.h5"]).hexdigest()
        assert recipe.unpublished() == Recipe.load(top / "zoo" / name / "recipe.toml").unpublished()
        assert set(before.splitlines()) < set((tmp_path / "zoo" / name / "recipe.toml").read_text().splitlines())


def command(*arguments):
    """Exit status of the command."""
    return cli.execute(cli.parser().parse_args(arguments))


def test_the_command(hub, tmp_path, capsys):
    model = make()
    save_checkpoint(model, tmp_path / "model")
    assert command("publish", str(tmp_path / "model"), "me/model", "--message", "First") == 0
    assert "/me/model/commit/" in capsys.readouterr().out
    assert command("publish", str(tmp_path / "model"), "me/model") == 0
    assert "holds the same already" in capsys.readouterr().out
    assert command("download", "me/model", "--cache_dir", str(tmp_path / "cache")) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert (folder / "model.weights.h5").read_bytes() == hub.repositories["me/model"].files["model.weights.h5"]
    assert command("inspect", "me/model") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["class"] == "Autoencoder"
    assert found["parameters"] >= model.count_params()
    assert found["refused"] is None
    assert set(found["files"]) == {*CHECKPOINT, "README.md"}
    hub.repositories["me/model"].commit("main", hub.repositories["me/model"].files | {"config.json": b'{"a": 1}'})
    assert command("inspect", "me/model") == 0
    assert "not a kerasgen model" in json.loads(capsys.readouterr().out)["refused"]
    assert command("inspect", "me/absent") == 1
    assert "no such repository" in capsys.readouterr().err


def test_the_card_runs_as_printed(hub):
    kerasgen.publish("vae-mnist", "me/vae-mnist")
    card = hub.repositories["me/vae-mnist"].files["README.md"].decode()
    names = {}
    exec(re.search(r"```python\n(.*?)```", card, re.DOTALL)[1], names)
    assert names["images"].shape == (16, 28, 28, 1)
