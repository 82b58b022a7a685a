"""Texts of files as sequences of tokens: lines, windows, columns, lists; and a clear error for what is not."""

import json

import numpy as np
import pytest

from kerasgen import data
from kerasgen.errors import DatasetError
from kerasgen.modalities import Tokens

NAMES = Tokens((6,), ["", *"abcdn"])


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("anna\nbab\n\nd\ncadd\n" * 5)
    return path


def test_lines(names):
    found = data.load_text_arrays(names, "all", tokens=NAMES)
    assert found.dtype == np.int32
    assert NAMES.texts(found) == ["anna", "bab", "d", "cadd"] * 5
    np.testing.assert_array_equal(found[2], [4, 0, 0, 0, 0, 0])
    parts = [data.load_text_arrays(names, split, tokens=NAMES) for split in ("train[:60%]", "train[60%:]")]
    assert [len(part) for part in parts] == [12, 8]
    assert sorted(NAMES.texts(np.concatenate(parts))) == sorted(NAMES.texts(found))
    assert data.characters(names) == (["", *"abcdn"], 4)


def test_batches_are_a_function_of_the_seed_and_the_epoch(names):
    def batches(**settings):
        given = {"tokens": NAMES, "batch_size": 8, "shuffle": True, "seed": 1}
        return [batch.numpy() for batch in data.load_texts(names, "all", **given | settings)]

    assert [len(batch) for batch in batches()] == [8, 8, 4]
    np.testing.assert_array_equal(batches()[0], batches()[0])
    assert (batches()[0] != batches(first_epoch=1)[0]).any()
    whole, halves = batches(), [batches(shard=(number, 2)) for number in (0, 1)]
    np.testing.assert_array_equal(whole[1], np.concatenate([half[1] for half in halves]))


def test_one_text_in_windows(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("ab\ncd " * 4)  # 24 characters
    tokens = Tokens((5,), data.characters(path, "whole")[0])
    whole = data.load_text_arrays(path, "train", tokens=tokens, texts="whole")
    assert tokens.texts(whole) == ["ab\ncd", " ab\nc", "d ab\n", "cd ab"]
    every = data.load_text_arrays(path, "train[:50%]", tokens=tokens, texts="whole", stride=1)
    assert tokens.texts(every) == [("ab\ncd " * 2)[start : start + 5] for start in range(8)]
    last = data.load_text_arrays(path, "train[50%:]", tokens=tokens, texts="whole")
    assert tokens.texts(last) == ["ab\ncd", " ab\nc"]


def test_a_column_of_a_table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('number,name\n1,anna\n2,"bab"\n3,\n')
    assert NAMES.texts(data.load_text_arrays(path, tokens=NAMES, column="name")) == ["anna", "bab"]
    with pytest.raises(DatasetError, match="has no column 'nome'; expected one of number, name"):
        data.load_text_arrays(path, tokens=NAMES, column="nome")


def test_lines_within_texts(tmp_path):
    """A quoted field keeps its line breaks; other breaks than a line's end no text."""
    path = tmp_path / "table.csv"
    path.write_bytes(b'name\r\n"a\nb"\r\nd\r\n')
    tokens = Tokens((4,), ["", *"abd\n"])
    assert tokens.texts(data.load_text_arrays(path, tokens=tokens, column="name")) == ["a\nb", "d"]
    path.write_text('name\n"' + "a" * 200_000 + '"\n')
    with pytest.raises(DatasetError, match="is not CSV"):
        data.load_text_arrays(path, tokens=tokens, column="name")
    path = tmp_path / "lines.txt"
    path.write_bytes("a\u2028b\r\nd\n".encode())
    assert data.characters(path) == (["", "a", "b", "d", "\u2028"], 3)


def test_lists(tmp_path):
    path = tmp_path / "pieces.json"
    path.write_text(json.dumps({"train": [[[0, 1], [2, 3]], [4, 4, 4, 4, 4]], "valid": [["a", "b", 1, 1]]}))
    codes, letters = Tokens((4,), 5), Tokens((4,), "abcde")
    found = data.load_text_arrays(path, tokens=codes, texts="lists", stride=1)
    np.testing.assert_array_equal(found, [[0, 1, 2, 3], [4, 4, 4, 4], [4, 4, 4, 4]])
    np.testing.assert_array_equal(
        data.load_text_arrays(path, "validation", tokens=letters, texts="lists"), [[0, 1, 1, 1]]
    )
    with pytest.raises(DatasetError, match="no split 'test'"):
        data.load_text_arrays(path, "test", tokens=codes, texts="lists")
    with pytest.raises(DatasetError, match="piece 0 has 'a'; expected integers from 0 to 4"):
        data.load_text_arrays(path, "valid", tokens=codes, texts="lists")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"anna\nzoe\n", r"line 2: text 'zoe' has 'z', which is not in the vocabulary"),
        (b"anna\nbabbabba\n", r"line 2: text 'babbabba' has 8 tokens; this model takes 6"),
        (b"\xff\xfe\xff", "no text in UTF-8"),
        (b"\n\n", "has nothing of 6 tokens"),
        (None, "does not exist"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "names.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        data.load_text_arrays(path, tokens=NAMES)
