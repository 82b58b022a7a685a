"""What a checkpoint holds, told without loading it: no value of a weight is read and no model is built."""

import math

from kerasgen.checkpoints import CONFIG, WEIGHTS, config as configs, sha256, weights
from kerasgen.errors import CheckpointError
from kerasgen.hub.client import FILES, Auth, Dir, Handle, Revision
from kerasgen.hub.registry import checkpoint_folder, describe
from kerasgen.typing import Any


def inspect(
    handle: Handle, revision: Revision = None, token: Auth = None, cache_dir: Dir = None, local_files_only: bool = False
) -> dict[str, Any]:
    """Files, class, arguments, arrays and figures of a checkpoint, as a dictionary; and whether it would be refused.

    Arguments are those of `kerasgen.load`.

    Returns:
        `files` (name to bytes and SHA-256), `class`, `config`, `parameters`, `dtypes`, `recipe` (with the measured
        figures) as far as they are there, and `refused`: the reason why `load` would refuse it before building
        anything, or `None`.

    Raises:
        UnknownModelError, HubError: there is no such checkpoint.
    """
    folder = checkpoint_folder(handle, revision, token, cache_dir, local_files_only)
    paths = [folder / name for name in FILES if (folder / name).is_file()]
    files = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in paths}
    found: dict[str, Any] = {"folder": str(folder), "files": files, "refused": None}
    try:
        if not paths:
            raise CheckpointError(f"there is no checkpoint in {folder}.")
        config = configs.parse(configs.read(folder / CONFIG))
        found |= {"class": config["class_name"], "config": config["config"]}
        with open(folder / WEIGHTS, "rb") as file:
            shapes = weights.read_shapes(file)
        found["parameters"] = sum(math.prod(shape) for shape, _ in shapes.values())
        found["dtypes"] = sorted({str(dtype) for _, dtype in shapes.values()})
    except (CheckpointError, OSError) as error:
        found["refused"] = str(error)
    if (folder / "recipe.toml").is_file():
        found["recipe"] = describe(folder)
    return found
