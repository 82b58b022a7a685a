"""Publishing on the Hugging Face Hub."""

import os
import tempfile
from pathlib import Path
from typing import Any

from kerasgen.hub.client import Published, parse_handle, upload
from kerasgen.hub.package import write_package
from kerasgen.hub.registry import checkpoint_folder


def publish(
    source: Any,
    repo_id: str,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    commit_message: str | None = None,
    token: str | bool | None = None,
) -> Published:
    """Publishes a model, a checkpoint folder or a name of the zoo as one commit; returns a `Published`.

    All files are written to a temporary folder, loaded from there, and compared with the source in one forward pass
    before anything is sent. If the repository holds the same already, nothing is committed. After a failure the
    repository is as it was; a repository or branch that was made for this is removed again.

    Args:
        source: a model, a folder, or a name.
        repo_id: "user/repo"; made if it does not exist.
        private: of a new repository.
        revision: a branch; made from "main" if it does not exist.
        create_pr: open a pull request instead of committing.
        commit_message: "Publish with kerasgen VERSION" if `None`.
        token: of the Hub; the one you logged in with if `None`.

    Raises:
        CheckpointError: what was written is not what was to be published.
        HubError: the Hub did not take it.
    """
    repo_id, _ = parse_handle(repo_id)
    if isinstance(source, (str, os.PathLike)):
        source = checkpoint_folder(source)
    with tempfile.TemporaryDirectory(prefix="kerasgen-") as folder:
        write_package(source, Path(folder), repo_id)
        return upload(Path(folder), repo_id, private, revision, create_pr, commit_message, token)
