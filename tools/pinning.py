"""What tools write into a recipe.toml, in text that is otherwise left as it is."""

import json
import re
import tomllib
from pathlib import Path

from kerasgen.errors import RecipeError
from kerasgen.files import replacing
from kerasgen.recipes import Recipe


def set_weights(path: str | Path, **values: str) -> None:
    """Sets entries under `[weights]`, such as `sha256`, in a recipe.toml.

    Raises:
        RecipeError: the file is not a recipe, or would not be one with these values.
    """
    Recipe.load(path).override([f"weights.{key}={json.dumps(value)}" for key, value in values.items()])
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    for key, value in values.items():
        _set_weight(lines, key, json.dumps(value))
    text = "\n".join(lines) + "\n"
    weights = tomllib.loads(text)["weights"]
    if any(weights.get(key) != value for key, value in values.items()):
        raise RecipeError(f"{path}: [weights] is written in a way that cannot be edited; set {values} there.")
    with replacing(Path(path)) as file:
        file.write(text.encode())


def _set_weight(lines, key, value):
    headers = [i for i, line in enumerate(lines) if re.match(r"\s*\[", line)]
    start = next((i for i in headers if re.match(r"\s*\[\s*weights\s*\]", lines[i])), None)
    if start is None:
        lines += ["", "[weights]"]
        start = len(lines) - 1
    stop = next((i for i in headers if i > start), len(lines))
    entry = next((i for i in range(start + 1, stop) if re.match(rf"\s*{key}\s*=", lines[i])), None)
    if entry is None:
        lines.insert(start + 1, f"{key} = {value}")
    else:
        lines[entry] = re.sub(r"""=\s*(?:"[^"]*"|'[^']*')""", lambda _: f"= {value}", lines[entry], count=1)
