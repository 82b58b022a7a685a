"""Tokens: `[L]`, integers that stand for the strings of a vocabulary."""

import re
from pathlib import Path

import numpy as np

from kerasgen.checkpoints.config import MAX_VOCABULARY
from kerasgen.errors import InputError
from kerasgen.files import replacing
from kerasgen.modalities.modality import Modality, to_numpy
from kerasgen.typing import Any, Array, ArrayLike, Sequence

ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})  # a text stays one line


def unescaped(written: str) -> list[str]:
    """The texts of a file that `Tokens.save` has written."""
    lines = written.removesuffix("\n").split("\n")
    return [re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), line) for line in lines]


def is_texts(x: Any) -> bool:
    """Whether it is a NumPy array of strings, or of objects, of which some may be strings."""
    return isinstance(x, np.ndarray) and x.dtype.kind in "UO" and x.ndim == 1 and len(x) > 0


class Tokens(Modality):
    """Sequences of one length of the integers 0 to `len(vocabulary) - 1`; `vocabulary` holds distinct strings.

    An empty string among them ends a text: what follows it are ends, up to the length. Texts are taken, too; at each
    place the longest string of the vocabulary is the token. A vocabulary that is a number stands for codes without
    texts, such as those of a `VQVAE`.
    """

    noun, axes, rank = "tokens", "length", 1
    counted = "sequences"
    dtypes, dtype = ("int",), "int32"
    suffixes: tuple[str, ...] = (".txt", ".npy")
    tokens_per_step = 1

    def __init__(self, shape: int | Sequence[int], vocabulary: Any) -> None:
        super().__init__(shape)
        self.written = not isinstance(vocabulary, int) or isinstance(vocabulary, bool)
        num = len(vocabulary) if isinstance(vocabulary, (list, tuple)) else 0 if self.written else vocabulary
        if num > MAX_VOCABULARY:
            raise InputError(f"vocabulary has {num:,} tokens; expected at most {MAX_VOCABULARY:,}.")
        known: Any = vocabulary if self.written else [f"{code} " for code in range(vocabulary)]
        strings = isinstance(known, Sequence) and all(isinstance(text, str) for text in known)
        if not strings or not 0 < len(known) == len(set(known)):
            raise InputError(f"vocabulary is {vocabulary!r:.60}; expected distinct strings, or a number.")
        self.vocabulary, self.values = tuple(known), f"integers from 0 to {len(known) - 1}"
        self.number = {text: token for token, text in enumerate(self.vocabulary)}
        self.end = self.number.get("")
        longest_first = sorted(filter(None, self.vocabulary), key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest_first)), re.DOTALL)
        if self.written:
            self.values += ", or texts"

    @property
    def num_tokens(self) -> int:
        """Values of a token."""
        return len(self.vocabulary)

    def token_of(self, value: Any) -> int | None:
        """The token that a number, or a string of the vocabulary, stands for; `None` if it stands for none."""
        token = self.number.get(value) if isinstance(value, str) else value
        return token if type(token) is int and 0 <= token < self.num_tokens else None

    def tokenized(self, text: str) -> Array:
        """The tokens of a text, int32 `[T]`, without an end. Raises `InputError`: it has what the vocabulary lacks."""
        if not self.written:
            raise InputError(f"these are tokens without texts; expected {self.values}.")
        found = self.pattern.findall(text)
        if sum(map(len, found)) != len(text):  # it has passed over something
            ends = [0, *(match.end() for match in self.pattern.finditer(text))]
            starts = [*(match.start() for match in self.pattern.finditer(text)), len(text)]
            unknown = next(text[end] for end, start in zip(ends, starts, strict=True) if end != start)
            raise InputError(f"text {text!r:.60} has {unknown!r}, which is not in the vocabulary.")
        return np.array([self.number[token] for token in found], np.int32)

    def to_array(self, x: ArrayLike) -> Array:
        if isinstance(x, str):
            raise InputError(f"{self.noun} is a str; expected a list of texts, or an array.")
        x = np.asarray(x).tolist() if is_texts(x) else x
        if isinstance(x, (list, tuple)) and any(isinstance(text, (str, bytes)) for text in x):
            odd = next((text for text in x if not isinstance(text, str)), None)
            if odd is not None or None in x:
                raise InputError(f"among the texts is {odd!r}; expected strings alone.")
            return np.stack([self.filled_up(self.tokenized(text), text) for text in x])
        return super().to_array(x)

    def filled_up(self, tokens: Array, text: Any) -> Array:
        """Tokens `[L]`, ends behind those of a shorter text. Raises `InputError`: it has too many, or too few."""
        length, num = self.shape[0], len(tokens)
        if num > length or (num < length and self.end is None):
            raise InputError(f"text {text!r:.60} has {num} tokens; this model takes {length}.")
        return np.pad(tokens, (0, length - num), constant_values=self.end or 0)

    def check(self, x: ArrayLike) -> Array:
        x = self.to_array(x)
        if x.min() < 0 or x.max() >= self.num_tokens:
            raise InputError(f"tokens range over {x.min()}..{x.max()}; expected {self.values}.")
        if self.end is not None and ((x[:, :-1] == self.end) & (x[:, 1:] != self.end)).any():
            raise InputError(f"tokens go on after the end, {self.end}; expected ends up to the length.")
        return self.to_storage(x)

    def cut(self, x: Array) -> Array:
        """Tokens `[N, L]` with nothing but ends after the first of them."""
        if self.end is None:
            return x
        return np.where(np.maximum.accumulate(x == self.end, axis=1), np.int32(self.end), x)

    def counts(self, x: Array) -> Array:
        """Tokens up to the first end, with it, of each sequence `[N, L]`: float32 `[N]`."""
        return np.minimum((x != (-1 if self.end is None else self.end)).sum(axis=1) + 1, x.shape[1]).astype(np.float32)

    def characters(self, x: Array) -> Array:
        """Characters of the text of each checked sequence, the end counted as one: float32 `[N]`."""
        ended = x[:, -1] == (-1 if self.end is None else self.end)
        return (np.array([len(text) for text in self.texts(x)]) + ended).astype(np.float32)

    def check_given(self, x: Any, num: int, blank: str | None = None) -> Array:
        """What is known of `num` sequences, int32 `[num, L]` with -1 for what is open.

        Args:
            x: one for all or one for each: a text, or integers `[T]` or `[num, T]` with -1 for open places. What
                follows it is open. `None`: all is.
            blank: what stands for an open place in texts.

        Raises `InputError`: it is none of these, or longer than L.
        """
        given = np.full((num, self.shape[0]), -1, np.int32)
        if x is None:
            return given
        texts = [x] if isinstance(x, str) else x.tolist() if is_texts(x) else x
        if isinstance(texts, (list, tuple)) and texts and all(isinstance(text, str) for text in texts):
            rows = [self.with_blanks(text, blank) for text in texts]
        else:
            rows = list(np.atleast_2d(to_numpy("given tokens", x)))
        if not rows or len(rows) not in (1, num) or rows[0].ndim != 1 or rows[0].dtype.kind not in "iu":
            raise InputError(f"given tokens are {len(rows)} rows; expected texts or integers, one row or {num}.")
        for index in range(num):
            row = rows[index % len(rows)]
            if len(row) > self.shape[0]:
                raise InputError(f"{len(row)} tokens are given; this model's sequences have {self.shape[0]}.")
            if len(row) and (row.min() < -1 or row.max() >= self.num_tokens):
                raise InputError(f"given tokens range over {row.min()}..{row.max()}; expected {self.values}, or -1.")
            given[index, : len(row)] = row
        if self.end is not None:
            ended = np.maximum.accumulate(given == self.end, axis=1)
            if (ended & (given >= 0) & (given != self.end)).any():
                raise InputError(f"given tokens go on after the end, {self.end}; expected ends, or -1, behind it.")
        return given

    def with_blanks(self, text: str, blank: str | None) -> Array:
        """The tokens of a text, -1 for each `blank` in it. Raises `InputError`: the vocabulary has that, too."""
        if blank is None:
            return self.tokenized(text)
        if not isinstance(blank, str) or len(blank) != 1 or any(blank in known for known in self.vocabulary):
            raise InputError(f"blank is {blank!r}; expected one character that is not in the vocabulary.")
        pieces = [self.tokenized(piece) for piece in text.split(blank)]
        return np.concatenate([part for piece in pieces for part in (piece, np.array([-1], np.int32))][:-1])

    def texts(self, x: ArrayLike) -> list[str]:
        """The texts of tokens `[N, L]`, up to their ends."""
        return ["".join(self.vocabulary[token] for token in row) for row in self.check(x)]

    def save(self, x: Array, path: Path, columns: int | None) -> None:
        with replacing(path) as file:
            file.writelines(f"{text.translate(ESCAPES)}\n".encode() for text in self.texts(x))
