import numpy as np
import pytest

from kerasgen import data
from kerasgen.errors import DatasetError


def test_tables_with_and_without_names(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a, b,kind\n1,2.5,normal\n-3e2,4,odd\n\n")
    rows, labels, names = data.load_table(path, "kind")
    np.testing.assert_array_equal(rows, [[1.0, 2.5], [-300.0, 4.0]])
    assert list(labels) == ["normal", "odd"]
    assert names == ["a", "b"]
    path.write_text("1;2\n".replace(";", ",") + "3,4\n")
    rows, labels, names = data.load_table(path)
    np.testing.assert_array_equal(rows, [[1.0, 2.0], [3.0, 4.0]])
    assert labels is None
    assert names == ["x0", "x1"]
    np.testing.assert_array_equal(data.load_table(path, "x1")[0], [[1.0], [3.0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2,3\n", "line 2, has 3 values; expected 2"),
        ("a,b\n1,\n", "column b, has an empty value"),
        ("a,b\n1,red\n", "column b, has 'red'"),
        ("a,b\n1,nan\n", "has 'nan'"),
        ("a,b\n1,2\n", "no column 'c'"),
        ("a,b,a\n1,2,3\n", "two columns 'a'"),
        ("a,\n1,2\n", "without a name"),
        ("0,1\n5,6\n", "begins with 0, 1"),
        ("inf\n1\n", "has 'inf'"),
    ],
)
def test_what_is_no_table(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        data.load_table(path, "c" if "column 'c'" in message else None)


def test_labels_of_what_is_normal():
    labels = np.array(["0", "0.00", "-0", "Normal", "1", "odd", "2.0"])
    np.testing.assert_array_equal(data.is_normal(labels), [True, True, True, True, False, False, False])
    for bad, message in ((["0", ""], "empty"), (["0", "NaN"], "empty"), (["1", "2"], "expected some of 0")):
        with pytest.raises(DatasetError, match=message):
            data.is_normal(np.array(bad))


def test_other_files(tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        data.load_table(tmp_path / "none.csv")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(DatasetError, match="no CSV file of text"):
        data.load_table(tmp_path / "photo.png")
