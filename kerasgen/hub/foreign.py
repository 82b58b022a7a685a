"""Repositories, folders and files of other libraries, imported into checkpoints of ours (docs/importing.md)."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerasgen.checkpoints import CONFIG, FILES as CHECKPOINT_FILES, WEIGHTS, save_checkpoint
from kerasgen.checkpoints.safetensors import SUFFIX
from kerasgen.errors import HubError, InputError
from kerasgen.hub import client
from kerasgen.hub.client import Auth, Dir, Handle, Revision

CACHE = "kerasgen-1"  # of imported checkpoints, beside the revisions of a repository; another number imports them anew


def checkpoint(
    handle: str, revision: Revision = None, token: Auth = None, cache_dir: Dir = None, local_files_only: bool = False
) -> Path:
    """The folder of a repository's checkpoint in the client's cache; one of diffusers is imported there, once.

    Arguments are those of `kerasgen.load`.

    Raises:
        HubError: it cannot be had, or is no checkpoint.
        CheckpointError: it cannot be imported.
    """
    where = (token, cache_dir, local_files_only)
    folder = client.download(handle, revision, *where, patterns=(*client.FILES, *client.DESCRIPTIONS))
    missing = [name for name in CHECKPOINT_FILES if not (folder / name).is_file()]
    if not missing or (folder / client.ADAPTER[0]).is_file():
        return folder
    if not _recognised(folder):
        told = f"has no {', '.join(missing)}; it is no checkpoint of kerasgen or Keras, nor of diffusers"
        raise HubError(f"{'@'.join(filter(None, client.parse_handle(handle, revision)))} {told}.")
    made = folder.parents[1] / CACHE / folder.name
    if not (made / CONFIG).is_file():  # which is the last to come
        model, _ = _from_folder(_with_weights(folder, handle, None, where), None, None)
        save_checkpoint(model, made)
    return made


def _with_weights(folder, handle, part, where):
    """The folder of a revision, once the weights of the network are in it that is to be imported."""
    from kerasgen.importers import folders

    source = folders.find(folder, part)
    within = source.config.parent.relative_to(folder)
    patterns = [(within / pattern).as_posix() for pattern in source.patterns]
    return client.download(client.parse_handle(handle)[0], folder.name, *where, patterns=patterns)


def _recognised(folder):
    from kerasgen.importers import folders

    return folders.recognised(folder)


def _from_folder(folder, part, image_size):
    from kerasgen.importers import convert

    return convert.from_folder(folder, part, image_size)


@contextlib.contextmanager
def imported(path: Path) -> Iterator[Path]:
    """The path of a checkpoint: the one given, or that of what a folder of diffusers there becomes, for a while.

    Raises:
        CheckpointError: it cannot be imported.
        InputError: it is a file of tensors, which does not say what it is of.
    """
    if path.suffix == SUFFIX:
        raise InputError(f"{path} holds tensors alone; import it first: kerasgen import {path} OUTPUT --format ...")
    if not path.is_dir() or (path / WEIGHTS).is_file() or not _recognised(path):
        yield path
        return
    model, _ = _from_folder(path, None, None)
    with tempfile.TemporaryDirectory(prefix="kerasgen-") as folder:
        save_checkpoint(model, folder)
        del model
        yield Path(folder)


def import_checkpoint(
    source: Handle,
    output: str | os.PathLike,
    part: str | None = None,
    image_size: tuple[int, int] | None = None,
    format: str | None = None,
    **settings: Any,
) -> tuple[Any, dict[str, Any]]:
    """Writes a checkpoint of ours with the weights of a repository, folder or file of another library.

    Args:
        source: "hf://user/repo[@revision]", "user/repo", the path of a folder of diffusers, or of a safetensors file.
        output: the folder or `.keras` file to write.
        part: of a pipeline with several networks, the sub-folder of the one meant.
        image_size: `(height, width)` of images, where it is not told, or is to be another.
        format: of a file: "dcgan" or "glow".
        settings: of the format: `num_bits` of a Glow.

    Returns the model, and arguments of its `sample` that draw as the source's scheduler does.

    Raises:
        HubError: the repository cannot be had.
        CheckpointError: it cannot be imported.
        InputError: the arguments do not go together.
    """
    from kerasgen.importers import convert

    path, sampling = Path(source).expanduser(), dict[str, Any]()
    if format is not None:
        if part is not None:
            raise InputError("part is of folders, and format of files; give one of them.")
        if not path.is_file():
            raise InputError(f"{source} is no file; a format is of {SUFFIX} files.")
        model = convert.from_file(path, format, image_size, **settings)
    elif settings:
        raise InputError(f"{', '.join(settings)} is a setting of formats of files; give format.")
    elif path.is_file():
        raise InputError(f"{source} holds tensors alone: give format, one of {', '.join(convert.FORMATS)}.")
    else:
        if not path.is_dir():
            handle = os.fspath(source)
            path = client.download(handle, patterns=(*client.DESCRIPTIONS, CONFIG))
            path = _with_weights(path, handle, part, ())
        model, sampling = convert.from_folder(path, part, image_size)
    save_checkpoint(model, output)
    return model, sampling
