"""Texts as tokens: one text cut into windows, a text a line, a column of a CSV file, or lists of tokens in JSON."""

import csv
import io
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kerasgen.data.folders import parse_split, part_of, split_of
from kerasgen.data.sources import Source, no_split
from kerasgen.errors import DatasetError, InputError
from kerasgen.modalities import Notes, Tokens
from kerasgen.typing import Any, Array

MOST_BYTES = 2**30  # of a file, which is read whole


def text_source(
    path: str | os.PathLike,
    split: str,
    tokens: Tokens,
    form: str = "lines",
    column: str | None = None,
    stride: int | None = None,
    transpose: int = 0,
) -> Source:
    """A `Source` of sequences int32 `[L]`, and no labels.

    Args:
        path: of a file in UTF-8.
        split: "train" or "all" is all of the file, "train[:90%]" a part: of one text its beginning, of lines those that
            a hash of their numbers takes. Lists of JSON may be in a dictionary of splits.
        tokens: what the sequences are of.
        form: "whole" for one text, cut into windows of L tokens; "lines" for one a line, filled up with ends; "lists"
            for JSON: a list of pieces, each a list, maybe of lists, of numbers of tokens or of strings of the
            vocabulary, cut into windows.
        column: of a CSV file, whose values are then the lines.
        stride: tokens from the beginning of one window to that of the next; L by default.
        transpose: of notes, semitones up and down by which the windows are moved, too, as far as they fit.

    Raises `DatasetError`: the file cannot be read, or has what the vocabulary lacks, or nothing that is long enough.
    """
    path = Path(path).expanduser()
    name, *ends = parse_split(split)
    if form == "lists":
        pieces = _pieces(path, name, tokens)
        pieces = [pieces[index] for index in part_of([str(index) for index in range(len(pieces))], *ends)]
        windows = [_windows(piece, tokens.shape[0], stride) for piece in pieces if len(piece) >= tokens.shape[0]]
        found: Any = np.concatenate(windows) if windows else []
    elif name not in ("train", "all"):
        raise no_split(path, name, ["train", "all"])
    elif form == "whole":
        whole = _tokenized(_read(path), tokens, str(path))
        first, last = (None if end is None else _place(end, len(whole)) for end in ends)
        whole = whole[first:last]
        found = _windows(whole, tokens.shape[0], stride) if len(whole) >= tokens.shape[0] else []
    else:
        lines = _lines(path, column)
        taken = part_of([str(index) for index in range(len(lines))], *ends)
        found = [_row(tokens, *lines[index], path) for index in taken]
    if not len(found):
        raise DatasetError(f"{path}, {split}, has nothing of {tokens.shape[0]} tokens; take a larger part of it.")
    sequences = np.asarray(found)
    if transpose:
        if not isinstance(tokens, Notes):
            raise InputError(f"transpose is {transpose}, which is for notes.")
        moved = [tokens.transposed(sequences, semitones) for semitones in range(-transpose, transpose + 1)]
        sequences = np.concatenate(moved)
    contents: Any = sequences, None
    return Source(f"{path}, {split}", len(sequences), lambda: contents)


def characters(path: str | os.PathLike, form: str = "lines", column: str | None = None) -> tuple[list[str], int]:
    """The characters of a file of texts, sorted, for a vocabulary, and of its longest text how many; see `text_source`.

    Lines get an end, the empty string, first. Raises `DatasetError`: the file cannot be read, or is empty.
    """
    path = Path(path).expanduser()
    texts = [_read(path)] if form == "whole" else [text for _, text in _lines(path, column)]
    found = sorted(set(itertools.chain.from_iterable(texts)))
    if not found:
        raise DatasetError(f"{path} is empty; expected texts.")
    return found if form == "whole" else ["", *found], max(map(len, texts))


def _read(path: Path) -> str:
    if not path.is_file():
        raise DatasetError(f"{path} does not exist; expected a file of text.")
    if path.stat().st_size > MOST_BYTES:
        raise DatasetError(f"{path} has {path.stat().st_size:,} bytes; expected at most {MOST_BYTES:,}.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is no text in UTF-8 ({error}).") from error


def _lines(path: Path, column: str | None) -> list[tuple[int, str]]:
    """The texts of a file and the numbers of their lines; empty ones are left out."""
    if column is None:
        found = [(number, line.removesuffix("\r")) for number, line in enumerate(_read(path).split("\n"), 1)]
    else:
        reader = csv.DictReader(io.StringIO(_read(path), newline=""))
        if column not in (reader.fieldnames or ()):
            known = ", ".join(reader.fieldnames or ["none"])
            raise DatasetError(f"{path} has no column {column!r}; expected one of {known}.")
        try:
            found = [(reader.line_num, row[column] or "") for row in reader]
        except csv.Error as error:
            raise DatasetError(f"{path}, line {reader.line_num}, is not CSV ({error}).") from error
    return [(number, text) for number, text in found if text]


def _row(tokens: Tokens, number: int, text: str, path: Path) -> Array:
    try:
        return tokens.filled_up(tokens.tokenized(text), text)
    except InputError as error:
        raise DatasetError(f"{path}, line {number}: {error}") from error


def _tokenized(text: str, tokens: Tokens, where: str) -> Array:
    try:
        return tokens.tokenized(text)
    except InputError as error:
        raise DatasetError(f"{where}: {error}") from error


def _windows(whole: Array, length: int, stride: int | None) -> Array:
    """`[N, L]`, without a copy."""
    return np.lib.stride_tricks.sliding_window_view(whole, length)[:: stride or length]


def _place(end: str, num: int) -> int:
    return round(num * int(end[:-1]) / 100) if end[-1] == "%" else int(end)


def _pieces(path: Path, split: str, tokens: Tokens) -> list[Array]:
    """The tokens of each piece of a JSON file."""
    try:
        found = json.loads(_read(path))
    except ValueError as error:
        raise DatasetError(f"{path} is no JSON ({error}).") from error
    if isinstance(found, dict):
        wanted = split_of(split) or split
        named = {split_of(name) or name: pieces for name, pieces in found.items()}
        if wanted != "all" and wanted not in named:
            raise no_split(path, split, sorted(found))
        found = list(itertools.chain.from_iterable(named.values())) if wanted == "all" else named[wanted]
    elif split not in ("train", "all"):
        raise no_split(path, split, ["train", "all"])
    if not isinstance(found, list):
        raise DatasetError(f"{path} holds a {type(found).__name__}; expected a list of pieces, or splits with such.")
    return [_numbers(piece, tokens, f"{path}, piece {index}") for index, piece in enumerate(found)]


def _numbers(piece: Any, tokens: Tokens, where: str) -> Array:
    numbers = []
    for value in _flat(piece):
        number = tokens.token_of(value)
        if number is None:
            raise DatasetError(f"{where} has {value!r}; expected {tokens.values}.")
        numbers.append(number)
    return np.array(numbers, np.int32)


def _flat(values: Any) -> Iterator[Any]:
    if not isinstance(values, list):
        yield values
        return
    for value in values:
        yield from _flat(value)
