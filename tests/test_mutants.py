"""The list of tools/mutants.py is of code and tests that are there; the tool itself tries them."""

import ast
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MUTANTS = runpy.run_path(str(ROOT / "tools" / "mutants.py"))["MUTANTS"]


def test_every_change_applies_and_names_a_test():
    """Once in its file, to code that still parses; by a test of that name."""
    assert len(MUTANTS) >= 60
    assert len(set(MUTANTS)) == len(MUTANTS)
    shared = "".join(path.read_text() for path in (ROOT / "tests").glob("*_case.py"))
    for mutant in MUTANTS:
        ast.parse(mutant.applied_to((ROOT / mutant.path).read_text()))
        file, *names = mutant.test.split("::")
        text = (ROOT / "tests" / file).read_text() + shared
        for name in names:
            name = name.partition("[")[0]
            assert f"def {name}(" in text or f"class {name}(" in text, mutant.test


def test_what_is_not_there_once_is_an_error():
    mutant = MUTANTS[0]
    for text in ("", 2 * (ROOT / mutant.path).read_text()):
        with pytest.raises(ValueError, match="expected once"):
            mutant.applied_to(text)
