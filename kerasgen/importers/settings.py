"""The config of a part of diffusers: what it may say, and what it says where it says nothing."""

import json
from pathlib import Path

from kerasgen.checkpoints.config import MAX_BYTES
from kerasgen.errors import CheckpointError
from kerasgen.typing import Any, Config


def read_json(path: Path) -> Config:
    """The table in a JSON file. Raises `CheckpointError`: there is none, or it is too long."""
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise CheckpointError(f"{path} is over {MAX_BYTES} bytes, which no config is.")
        found = json.loads(text)
    except (ValueError, RecursionError, OSError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} cannot be read as JSON ({str(error).splitlines()[0]}).") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds a {type(found).__name__}; expected a table.")
    return found


Sides = tuple[int, int] | None  # height and width of images; what the config says for `None`


class Settings:
    """The entries of a config, each asked for once: `done` refuses what nobody asked for."""

    def __init__(self, config: Config, where: str):
        self.config = {key: value for key, value in config.items() if not key.startswith("_")}
        self.where = where
        self.asked: set[str] = set()

    def take(self, key: str, default: Any, *kinds: type) -> Any:
        """The value of `key`, of one of these kinds. Raises `CheckpointError`: it is of another."""
        self.asked.add(key)
        value = self.config.get(key, default)
        number = isinstance(value, int) and float in kinds and not isinstance(value, bool)
        if kinds and type(value) not in kinds and not number:
            names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise self.wrong(key, f"expected {names}")
        return value

    def sizes(self, key: str, default: list[int]) -> list[int]:
        """A list of integers of at least 1, as many as it has."""
        value = list(self.take(key, default, list, tuple))
        if not value or not all(type(item) is int and item >= 1 for item in value):
            raise self.wrong(key, "expected a list of integers of at least 1")
        return value

    def sides(self, image_size: Sides, default: int | None) -> tuple[int, int]:
        """`image_size`, or else `sample_size`: height and width."""
        size = self.take("sample_size", default)
        height, width = image_size or (size if isinstance(size, (list, tuple)) and len(size) == 2 else (size, size))
        if not all(type(side) is int and side >= 1 for side in (height, width)):
            raise self.wrong("sample_size", "expected one or two integers; say which with image_size")
        return height, width

    def only(self, key: str, *values: Any) -> None:
        """Raises `CheckpointError`: the value is none of these, the first of which is the default."""
        if self.take(key, values[0]) not in values:
            raise self.wrong(key, f"kerasgen has {' and '.join(map(repr, values))} only")

    def unused(self, *keys: str) -> None:
        """Entries that say nothing of what the networks compute."""
        self.asked.update(keys)

    def wrong(self, key: str, told: str) -> CheckpointError:
        shown = repr(self.config.get(key))
        return CheckpointError(f"{key} in {self.where} is {shown[:80]}; {told}.")

    def done(self) -> None:
        """Raises `CheckpointError`: there are entries that were not asked for."""
        unknown = sorted(set(self.config) - self.asked)
        if unknown:
            raise CheckpointError(f"{self.where} has {', '.join(unknown)}, which kerasgen does not know.")
