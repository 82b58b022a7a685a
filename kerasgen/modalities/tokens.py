"""Tokens: `[L]`, integers that stand for the strings of a vocabulary."""

from pathlib import Path

from kerasgen.errors import InputError
from kerasgen.files import replacing
from kerasgen.modalities.modality import Modality
from kerasgen.typing import Array, ArrayLike, Sequence

ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})  # a text stays one line


class Tokens(Modality):
    """Sequences of one length of the integers 0 to `len(vocabulary) - 1`; `vocabulary` holds distinct strings."""

    noun, axes, rank = "tokens", "length", 1
    dtypes, dtype = ("int",), "int32"
    suffixes = (".txt", ".npy")

    def __init__(self, shape: int | Sequence[int], vocabulary: Sequence[str]) -> None:
        super().__init__(shape)
        strings = isinstance(vocabulary, Sequence) and all(isinstance(text, str) for text in vocabulary)
        if not strings or not 0 < len(vocabulary) == len(set(vocabulary)):
            raise InputError(f"vocabulary is {vocabulary!r:.60}; expected a sequence of distinct strings.")
        self.vocabulary, self.values = tuple(vocabulary), f"integers from 0 to {len(vocabulary) - 1}"

    def check(self, x: ArrayLike) -> Array:
        x = self.to_array(x)
        if x.min() < 0 or x.max() >= len(self.vocabulary):
            raise InputError(f"tokens range over {x.min()}..{x.max()}; expected {self.values}.")
        return self.to_storage(x)

    def save(self, x: Array, path: Path, columns: int | None) -> None:
        texts = ["".join(self.vocabulary[token] for token in row) for row in self.check(x)]
        with replacing(path) as file:
            file.writelines(f"{text.translate(ESCAPES)}\n".encode() for text in texts)
