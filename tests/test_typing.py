"""Every public function and method of kerasgen/ says what it takes and what it gives.

`python tests/test_typing.py` counts by folder what does not.
"""

import ast
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "kerasgen"


def public(body, prefix=""):
    """`(name, function)` of the public functions of a module or a class, constructors among them."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
            yield f"{prefix}{node.name}", node


def lacking(name, function):
    """What has no annotation: names of arguments, and "return"."""
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    first = "." in name and not any(getattr(d, "id", None) == "staticmethod" for d in function.decorator_list)
    names = [argument.arg for argument in given[first:] if argument is not None and argument.annotation is None]
    return names + ["return"] * (function.returns is None and function.name != "__init__")


def incomplete():
    """`(folder, text)` of every signature that is not complete."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, function in public(ast.parse(path.read_text()).body):
            if names := lacking(name, function):
                where = path.relative_to(PACKAGE)
                yield where.parts[0], f"{where}:{function.lineno}: {name} does not say the type of {', '.join(names)}"


def test_public_signatures_are_complete():
    assert [text for _, text in incomplete()] == []


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


if __name__ == "__main__":
    print(*(text for _, text in incomplete()), sep="\n")
    print(Counter(folder for folder, _ in incomplete()))
