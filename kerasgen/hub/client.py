"""The Hugging Face Hub: a checkpoint comes down at one revision, verified, and goes up in one commit, validated."""

import contextlib
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasgen.checkpoints import FILES as CHECKPOINT_FILES, METADATA, sha256
from kerasgen.errors import HubError
from kerasgen.version import __version__ as version

HANDLE = re.compile(r"(?:hf://)?(?P<repo_id>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[^\s@]+))?")
ADAPTER = ("adapter.json", "adapter.weights.h5")  # of an adapter, in place of a checkpoint
SHEETS = ("samples.png", "samples.txt")
FILES = (*CHECKPOINT_FILES, *ADAPTER, "recipe.toml", "metrics.json", "log.csv", *SHEETS, "README.md")
# What tells of networks of diffusers, without their weights.
DESCRIPTIONS = (
    *("model_index.json", "scheduler_config.json", "scheduler/scheduler_config.json"),
    *("unet/config.json", "vae/config.json", "*diffusion_pytorch_model.safetensors.index.json"),
)
LIBRARY: dict[str, Any] = {"library_name": "kerasgen", "library_version": version}
Handle = str | os.PathLike[str]  # of a model: see `kerasgen.load`
Revision = str | None  # a branch, tag or commit; the main one for `None`
Auth = str | bool | None  # a token, or whether to use the one you logged in with, as the client takes them
Dir = str | os.PathLike[str] | None  # of the client's cache, or its own for `None`


@dataclass(frozen=True)
class Published:
    """Where a publication is: its commit, and the page of the commit or of the pull request."""

    repo_id: str
    revision: str  # of the commit
    url: str
    changed: bool  # False if the repository held all of it already


def parse_handle(handle: str, revision: Revision = None) -> tuple[str, str | None]:
    """`(repo_id, revision or None)` of "hf://user/repo[@revision]" or "user/repo[@revision]".

    Raises `HubError`: it is neither, or names another revision than `revision`.
    """
    match = HANDLE.fullmatch(handle)
    if match is None:
        raise HubError(f"{handle!r} is no repository; expected user/repo, hf://user/repo or hf://user/repo@revision.")
    if revision is not None and match["revision"] not in (None, revision):
        raise HubError(f"{handle!r} and revision={revision!r} name different revisions; give one of them.")
    return match["repo_id"], match["revision"] or revision


@contextlib.contextmanager
def _one_line(subject, action, token):
    """Whatever the client raises becomes a `HubError` of one line that says what to do, and never the token."""
    try:
        yield
    except HubError:
        raise
    except Exception as error:  # of the client, of the HTTP library below it, and OSError of the disk
        text = f"{subject} was not {action}: {_meaning(error)}"
        for secret in {token if isinstance(token, str) else None, os.environ.get("HF_TOKEN")} - {None, ""}:
            text = text.replace(secret, "***")
        raise HubError(text) from error


def _meaning(error):
    from huggingface_hub import errors

    cause = error
    while cause is not None:
        name = next((name for name in MEANINGS if isinstance(cause, getattr(errors, name))), None)
        if name is not None:
            return MEANINGS[name]
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if status is not None:
            said = getattr(cause, "server_message", None) or str(cause).splitlines()[0]
            return f"the Hub answered {status} ({' '.join(said.split())}); {STATUS.get(status, 'try again later.')}"
        if isinstance(cause, errors.HFValidationError):
            return str(cause).splitlines()[0]
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            "it is not in the cache, or not whole, and the Hub cannot be reached or was not to be asked; connect, or "
            "download it once with `kerasgen download`."
        )
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        return f"{said}; check the disk, and try again."
    return f"{type(error).__name__}: {said[:200]}; check the connection, and try again."


# Errors of the client, special ones first, and answers by their status.
MEANINGS = {
    "GatedRepoError": "it is gated; ask for access on its page, and log in with `hf auth login` or pass token=...",
    "RepositoryNotFoundError": "there is no such repository, or it is private; check the name, and log in with "
    "`hf auth login` or pass token=...",
    "RevisionNotFoundError": "it has no such revision; check the branch, tag or commit.",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set; unset it, or download it once with `kerasgen download`.",
}
STATUS = {
    400: "the request was refused as malformed; report this.",
    401: "log in with `hf auth login`, or pass a token=... that is valid.",
    403: "your token does not allow this; use one with the right to read, or to write, this repository.",
    404: "check the name.",
    409: "another change is in progress; try again.",
    412: "somebody else committed meanwhile; try again.",
    429: "too many requests; wait a few minutes and try again.",
}


def download(
    handle: str,
    revision: Revision = None,
    token: Auth = None,
    cache_dir: Dir = None,
    local_files_only: bool = False,
    patterns: Sequence[str] = FILES,
) -> Path:
    """The folder of a repository in the client's cache, all of one revision, with its files of these patterns verified.

    Other arguments are those of `kerasgen.load`.

    Raises `HubError`: it cannot be had; nothing of a broken download stays in the cache.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import filter_repo_objects

    repo_id, revision = parse_handle(handle, revision)
    subject = f"{repo_id}@{revision or 'main'}"
    with _one_line(subject, "downloaded", token):
        how: dict[str, Any] = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only, **LIBRARY}
        folder = Path(snapshot_download(repo_id, revision=revision, allow_patterns=list(patterns), **how))
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        for name in filter_repo_objects(names, allow_patterns=list(patterns)):
            _verify(folder / name, subject)
    return folder


def _verify(path, subject):
    """Removes a cached file, and says so, whose contents are not those that its name in the cache promises.

    The cache names a file by its ETag, which on the Hub is the SHA-256 of large files and Git's hash of others.
    """
    blob = path.resolve()
    if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", blob.name) and blob.name not in _hashes(blob):
        path.unlink()
        blob.unlink(missing_ok=True)
        fault = "is damaged: its hash is not the Hub's. It was removed; load it again."
        raise HubError(f"{path.name} of {subject} {fault}")


def upload(
    folder: Path,
    repo_id: str,
    private: bool = False,
    revision: Revision = None,
    create_pr: bool = False,
    commit_message: str | None = None,
    token: Auth = None,
) -> Published:
    """Sends the files of a folder, as `publish` has written and tried them; arguments and errors are as there."""
    from huggingface_hub import HfApi

    api, made = HfApi(token=token, **LIBRARY), []  # (what was made for this, how to take it back)
    with _one_line(repo_id, "published", token):
        try:
            if not api.repo_exists(repo_id):
                made.append(("repository", lambda: _delete_empty(api, repo_id)))
                _create(made, api.create_repo, repo_id, private=private)
            if revision is not None and not api.revision_exists(repo_id, revision):
                made.append((f"branch {revision}", lambda: _delete_branch(api, repo_id, revision)))
                _create(made, api.create_branch, repo_id, branch=revision)
            message = commit_message or f"Publish with kerasgen {version}"
            return _commit(api, folder, repo_id, revision, create_pr, message)
        except BaseException as error:
            for what, take_back in reversed(made):
                try:
                    take_back()
                except Exception as second:
                    raise HubError(
                        f"{repo_id} was not published: {_meaning(error)} The {what} made for it is still there, empty; "
                        f"remove it by hand ({_meaning(second)})"
                    ) from error
            raise


def holds(repo_id: str, folder: Path, revision: Revision = None, token: Auth = None) -> bool:
    """Whether a repository has the files of a folder already, so that `upload` would change nothing.

    Raises `HubError`: the Hub does not say.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token, **LIBRARY)
    with _one_line(repo_id, "looked up", token):
        if not api.repo_exists(repo_id) or (revision is not None and not api.revision_exists(repo_id, revision)):
            return False
        return _holds(api.model_info(repo_id, revision=revision, files_metadata=True), folder)


def _create(made, create, *args, **kwargs):
    """Makes what was last noted in `made`. It stays noted if that fails, as only the answer may have been lost."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        create(*args, **kwargs)
    except HfHubHTTPError as error:
        if error.response.status_code == 409:
            made.pop()  # somebody else made it meanwhile
        raise


def _delete_empty(api, repo_id):
    if api.repo_exists(repo_id) and set(api.list_repo_files(repo_id)) <= {".gitattributes"}:
        api.delete_repo(repo_id)


def _delete_branch(api, repo_id, branch):
    if api.revision_exists(repo_id, branch):
        api.delete_branch(repo_id, branch=branch)


def _commit(api, folder, repo_id, revision, create_pr, message):
    from huggingface_hub import CommitOperationAdd

    head = api.model_info(repo_id, revision=revision, files_metadata=True)
    page = f"{api.endpoint}/{repo_id}/commit"
    if _holds(head, folder):
        return Published(repo_id, head.sha, f"{page}/{head.sha}", changed=False)
    try:
        files = [CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())]
        how = {"commit_message": message, "revision": revision, "create_pr": create_pr, "parent_commit": head.sha}
        commit = api.create_commit(repo_id, files, **how)
    except Exception:
        # It may be the answer that was lost on its way, and not the commit.
        try:
            now = None if create_pr else api.model_info(repo_id, revision=revision, files_metadata=True)
        except Exception:
            now = None
        if now is None or now.sha == head.sha or not _holds(now, folder):
            raise
        return Published(repo_id, now.sha, f"{page}/{now.sha}", changed=True)
    return Published(repo_id, commit.oid, commit.pr_url or commit.commit_url, changed=True)


def _holds(info, folder):
    """Whether a revision has all files of a folder; metadata.json, which has the date, may differ."""
    remote = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings}
    return all(
        path.name in remote and (path.name == METADATA or remote[path.name] in _hashes(path))
        for path in folder.iterdir()
    )


def _hashes(path):
    """The two names that a file's contents can have on the Hub: SHA-256, and Git's hash."""
    git = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(2**20):
            git.update(chunk)
    return sha256(path), git.hexdigest()
