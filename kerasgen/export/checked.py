"""Files that are kept only once their own runtime gives what the model does."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from kerasgen.errors import InputError
from kerasgen.export.formats import Format, quietly
from kerasgen.export.part import INPUTS, ROWS, Part
from kerasgen.files import replacing
from kerasgen.typing import Array, Callable, Config

TOLERANCE = 1e-4  # of the range of what the model gives


def check_path(path: Path, form: Format) -> None:
    """Raises `InputError`: the format cannot be written there."""
    if form.suffix and path.suffix != form.suffix:
        raise InputError(f"{path} ends in {path.suffix or 'no suffix'}; expected {form.suffix}.")
    if form.suffix and path.is_dir():
        raise InputError(f"{path} is a folder; expected a file.")
    if not form.suffix and path.exists() and not (path / "saved_model.pb").is_file():
        raise InputError(f"{path} exists and is no SavedModel; expected the path of one, or a new one.")


def write_checked(
    part: Part, expected: Array, form: Format, path: Path, make: Callable[[Path], int | None], about: Config
) -> Config:
    """Has `make` write a file, runs it on one example and on all, and moves it to `path` if it gives what is expected.

    `make` gives the size of the program's batches, or `None` for any. Beside the file stands `path`.json, which says
    what it takes and gives; that is also returned.

    Raises `InputError`: the path cannot be written to, the format cannot hold the part, or its runtime gives something
    else; nothing was kept.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}.") from error
    with folder:
        file = Path(folder.name) / path.name
        try:
            batch = make(file)
            starts = range(0, ROWS, batch or ROWS)
            pieces = [slice(0, 1), *(slice(start, start + (batch or ROWS)) for start in starts)]
            with quietly():
                results = [(form.run(file, part.rows(rows), part.output), expected[rows]) for rows in pieces]
        except InputError:
            raise
        except Exception as error:  # of the converter or of the runtime, whatever they have
            told = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise InputError(f"{about['format']} cannot hold the {about['part']}: {told.strip():.300}") from error
        report = about | {
            "batch": batch,
            "inputs": {name: _spec(x, batch) | {"about": INPUTS.get(name, "")} for name, x in part.read.items()},
            "output": {part.output: _spec(expected, batch)},
            "settings": part.settings,
            "runtime": form.runtime,
            "max_difference": max(difference(*pair, part.levels) for pair in results),
        }
        _move(file, path, Path(folder.name) / "before")
    with replacing(path.with_name(f"{path.name}.json")) as text:
        text.write(json.dumps(report, indent=2).encode() + b"\n")
    return report


def _spec(x, batch):
    return {"shape": [batch, *x.shape[1:]], "dtype": x.dtype.name}


def difference(found: Array, expected: Array, levels: int | None) -> float:
    """The greatest difference, as a share of the range. Raises `InputError`: it is more than `TOLERANCE`.

    Values that are rounded to levels may fall to either side of a boundary: of them some may be a level apart, and it
    is the mean difference.
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        told = f"gives {found.shape}, all finite: {np.isfinite(found).all()}; expected {expected.shape}, all finite"
        raise InputError(f"the exported program {told}. Nothing was kept.")
    apart = np.abs(found.astype(np.float64) - expected) / max(1.0, np.ptp(expected))
    measured = apart.max()
    if levels is not None and measured < 1.5 / (levels - 1):
        measured = apart.mean()
    if measured > TOLERANCE:
        raise InputError(
            f"the exported program differs from the model by {measured:.2g} of the range, more than {TOLERANCE:g}; "
            "nothing was kept."
        )
    return float(measured)


def _move(file, path, before):
    """Puts a file or folder in the place of `path`; what was there goes to `before`, and back if that fails."""
    if not path.is_dir():
        os.replace(file, path)
        return
    os.rename(path, before)
    try:
        os.rename(file, path)
    except BaseException:
        os.rename(before, path)
        raise
