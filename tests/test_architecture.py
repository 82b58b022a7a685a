"""The architecture of kerasgen/, read from its source: who may import whom, and who may know what a model is.

`python tests/test_architecture.py [FOLDER]` prints the layers, what each imports, and what breaks the rules.
"""

import ast
import functools
import sys
from pathlib import Path

import keras
import pytest

PACKAGE = Path(__file__).parents[1] / "kerasgen"
# A layer, which is a folder or a file at the top, imports from those below it alone.
LAYERS = (
    *("__main__", "__init__", "cli", "demo", "training", "hub", "metrics", "importers", "latents"),
    *("detectors", "diffusion", "sequences", "gans", "flows", "autoencoders", "classifiers"),
    *("base", "export", "networks", "data", "modalities", "checkpoints", "recipes", "backend"),
    *("charts", "pictures", "tiles", "noise", "inputs", "files", "typing", "errors", "onednn", "version"),
)
# The folders of families, and what other family each may use.
FAMILIES = {
    "diffusion": {"autoencoders"},
    "sequences": {"autoencoders"},
    "gans": set(),
    "flows": set(),
    "autoencoders": set(),
    "classifiers": set(),
    "detectors": set(),
}
MOST_LINES = 350  # of a file
# What models are called; of these no attribute is an ordinary one.
MODEL_NAMES = ("model", "student", "classifier", "autoencoder", "gan", "flow", "source", "shipped")
# (layer, attribute) of objects of other libraries.
FOREIGN = {
    ("data", "features"),  # of a builder of TensorFlow Datasets
    ("backend", "outputs"),  # of an operation of TensorFlow
}


class Source:
    """The parsed files of a package, and what breaks the rules in them."""

    base = "BaseModel"

    def __init__(self, folder=PACKAGE):
        self.folder = Path(folder)
        self.trees = {path: ast.parse(path.read_text(), str(path)) for path in sorted(self.folder.rglob("*.py"))}
        self.lines = {path: path.read_text().count("\n") for path in self.trees}
        self.nodes = [(path, node) for path, tree in self.trees.items() for node in ast.walk(tree)]

    def layer(self, path):
        return path.relative_to(self.folder).parts[0].removesuffix(".py")

    def name(self, path):
        return path.relative_to(self.folder.parent)

    # Imports

    def file(self, module):
        """The file of a dotted name of this package, or `None` if it is no module."""
        path = self.folder.parent.joinpath(*module.split("."))
        files = (path / "__init__.py", path.with_suffix(".py"))
        return next((file for file in files if file in self.trees), None)

    def targets(self, path, node):
        """The modules of this package that a node imports."""
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = self.name(path).parts[: -node.level] if node.level else ()
            module = ".".join([*parents, *filter(None, [node.module])])
            found = [f"{module}.{alias.name}" for alias in node.names]
            found = [name if self.file(name) else module for name in found]
        elif called(node) in ("import_module", "__import__"):
            found = [text_of(argument).rstrip(".") for argument in node.args[:1]]
        else:
            return []
        return [name for name in found if name.partition(".")[0] == self.folder.name]

    @functools.cached_property
    def imports(self):
        """`(layer, layer, file, line)` of every import from one layer of another."""
        found = []
        for path, node in self.nodes:
            for module in self.targets(path, node):
                file = self.file(module)
                edge = self.layer(path), self.layer(file) if file else f"{module}, which is not there"
                if edge[0] != edge[1]:
                    found.append((*edge, self.name(path), node.lineno))
        return found

    def wrong_imports(self):
        """Imports that run up, or from another family."""
        for importing, imported, file, line in self.imports:
            if importing not in LAYERS or imported not in LAYERS:
                yield f"{file}:{line}: {importing} imports {imported}; not both are layers"
            elif LAYERS.index(importing) >= LAYERS.index(imported):
                yield f"{file}:{line}: {importing} imports {imported}, which is above it"
            elif imported in FAMILIES and imported not in FAMILIES.get(importing, FAMILIES):
                yield f"{file}:{line}: {importing} imports {imported}, another family"

    # What a family alone knows

    @functools.cached_property
    def classes(self):
        return [(self.layer(path), node) for path, node in self.nodes if isinstance(node, ast.ClassDef)]

    @functools.cached_property
    def models(self):
        """Names of the base class of models, of those that it is made of, of all below it and of their mix-ins."""
        known, names = {c.name for _, c in self.classes}, {self.base}
        while more := {last_name(b) for _, c in self.classes if c.name in names for b in c.bases} & known - names:
            names |= more
        while more := {c.name for _, c in self.classes if names & set(map(last_name, c.bases))} - names:
            names |= more
        of_families = [c for layer, c in self.classes if layer in FAMILIES]
        bases = {last_name(base) for c in of_families if c.name in names for base in c.bases}
        return names | {c.name for c in of_families if c.name in bases}

    @functools.cached_property
    def families(self):
        """`{class: folder}` of the models in the folders of families, intermediate classes among them."""
        return {c.name: layer for layer, c in self.classes if layer in FAMILIES and c.name in self.models}

    @functools.cached_property
    def members(self):
        """`{attribute: layers}`, of models and of all other classes."""
        of_models, of_others = {}, {}
        for layer, definition in self.classes:
            for name in members_of(definition):
                (of_models if definition.name in self.models else of_others).setdefault(name, set()).add(layer)
        return of_models, of_others

    @functools.cached_property
    def attributes(self):
        """`{attribute: folder}` of what the models of one family's folder alone have."""
        alone = {name: min(layers) for name, layers in self.members[0].items() if len(layers) == 1}
        return {n: folder for n, folder in alone.items() if folder in FAMILIES and not hasattr(keras.Model, n)}

    def strangers(self, folder):
        """`(path, nodes)` of the files that are to know nothing of a family's folder."""
        for path, tree in self.trees.items():
            layer = self.layer(path)
            if layer not in (folder, "__init__") and folder not in FAMILIES.get(layer, ()):
                yield path, tree

    def questions(self):
        """Where a model is asked for its class, by `isinstance`, by `type`, or by the name of the class."""
        for name, folder in self.families.items():
            for path, tree in self.strangers(folder):
                names = aliases(tree, name)
                for node in ast.walk(tree):
                    if asks(node, names) or (isinstance(node, ast.Constant) and node.value == name):
                        yield f"{self.name(path)}:{node.lineno}: asks for {name}, a class of {folder}"

    def knowledge(self):
        """Where something that could be a model is asked for what the models of one family's folder alone have."""
        for path, tree in self.trees.items():
            layer, imported = self.layer(path), imported_names(tree)
            no_models = layer not in ("base", *FAMILIES)
            for node in ast.walk(tree):
                for owner, name in uses(node):
                    folder = self.attributes.get(name, layer)
                    known = folder in (layer, *FAMILIES.get(layer, ())) or (layer, name) in FOREIGN
                    ordinary = self.members[1].get(name, set()) - {folder} or hasattr(str, name)
                    ordinary = ordinary and last_name(owner) not in MODEL_NAMES
                    ordinary = ordinary or root(owner) in imported or (last_name(owner) == "self" and no_models)
                    if not known and not ordinary:
                        yield f"{self.name(path)}:{node.lineno}: uses {name}, which models of {folder} alone have"

    # Size

    def long_files(self):
        for path, lines in self.lines.items():
            if lines > MOST_LINES:
                yield f"{self.name(path)} has {lines} lines; at most {MOST_LINES}"


def last_name(node):
    """`c` of the expression `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def root(node):
    """`a` of the expression `a.b(c).d`."""
    while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return last_name(node)


def called(node):
    """The name of the function that a node calls, or `None`."""
    return last_name(node.func) if isinstance(node, ast.Call) else None


def text_of(node):
    """The text of a string, or what one begins with whose rest is computed."""
    node = node.values[0] if isinstance(node, ast.JoinedStr) else node
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def members_of(definition):
    """Names of the methods and attributes that a class defines, but for those of Python."""
    names = set()
    for node in ast.walk(definition):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and last_name(node.value) == "self":
            names.add(node.attr)
    for node in definition.body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return {name for name in names if not name.startswith("__")}


def imported_names(tree):
    """What a file calls the things that it imports."""
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}


def aliases(tree, name):
    """What a file calls a class: its name, that by which it is imported, and tuples and tables that hold it."""
    names = {name}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or name for alias in node.names if alias.name == name}
        elif isinstance(node, ast.Assign) and names & set(map(last_name, ast.walk(node.value))):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def asks(node, names):
    """Whether a node asks if something is, or is of, a class of these names."""
    if called(node) in ("isinstance", "issubclass"):
        parts = node.args[1:]
    elif isinstance(node, ast.Compare):
        parts = [node.left, *node.comparators]
    else:
        parts = [node.cls] if isinstance(node, ast.MatchClass) else []
    return any(last_name(part) in names for whole in parts for part in ast.walk(whole))


def uses(node):
    """`(owner, name)` of each attribute that a node takes of something, also by `getattr` and its like."""
    if isinstance(node, ast.Attribute):
        yield node.value, node.attr
    elif called(node) in ("getattr", "hasattr", "setattr", "delattr") and len(node.args) > 1:
        yield node.args[0], text_of(node.args[1])
    elif called(node) in ("attrgetter", "methodcaller"):
        yield from ((ast.Name("model"), text_of(argument)) for argument in node.args)
    elif isinstance(node, ast.MatchClass):
        yield from ((node.cls, name) for name in node.kwd_attrs)


@pytest.fixture(scope="module")
def source():
    return Source()


RULES = ("wrong_imports", "questions", "knowledge", "long_files")


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(source, rule):
    assert list(getattr(source, rule)()) == []


def test_the_rules_know_the_families(source):
    """All that are registered, the classes between them and `BaseModel`, and something of each that it alone has."""
    from kerasgen.base.family import FAMILIES as registered

    built_in = {name for name, cls in registered.items() if cls.__module__.startswith("kerasgen.")}
    assert built_in | {"Flow", "Denoiser", "Translator", "AdversarialModel"} <= set(source.families)
    alone = {
        "super_resolution": "diffusion",
        "discriminator_steps": "gans",
        "couplings": "flows",
        "beta": "autoencoders",
    }
    assert alone | {"backbone": "classifiers"} == {n: source.attributes[n] for n in (*alone, "backbone")}


GOOD = {
    "__init__.py": "from kerasgen.gans.gan import GAN as GAN\nfrom kerasgen.flows.flow import Flow as Flow\n",
    "errors.py": "",
    "base/__init__.py": "",
    "base/model.py": "from kerasgen import errors\nclass BaseModel:\n    shape = None\n",
    "gans/__init__.py": "",
    "gans/gan.py": "from kerasgen.base import model\nclass GAN(model.BaseModel):\n"
    "    def __init__(self):\n        self.truncation = 1\n    def critic(self): ...\n",
    "flows/__init__.py": "",
    "flows/flow.py": "from kerasgen.base.model import BaseModel\nclass Flow(BaseModel):\n    levels = 2\n",
    "flows/glow.py": "from .flow import Flow\nclass Glow(Flow): ...\n",
    "cli/__init__.py": "",
    "cli/sample.py": "def run(model):\n    return isinstance(model, dict) or model.shape\n",
}
BAD = [
    ("wrong_imports", "base/model.py", "from kerasgen.gans import gan"),
    ("wrong_imports", "errors.py", "def f():\n    import kerasgen.base.model"),
    ("wrong_imports", "base/model.py", "from kerasgen import GAN"),
    ("wrong_imports", "base/model.py", "from ..flows import flow"),
    ("wrong_imports", "base/model.py", "import importlib\nimportlib.import_module(f'kerasgen.cli.{1}')"),
    ("wrong_imports", "flows/flow.py", "def f():\n    from kerasgen.gans.gan import GAN"),
    ("wrong_imports", "gans/gan.py", "from kerasgen.flows.flow import Flow"),
    ("wrong_imports", "house/__init__.py", "from kerasgen import errors"),
    ("questions", "cli/sample.py", "from kerasgen import gans\nok = isinstance(model, (dict, gans.gan.GAN))"),
    (
        "questions",
        "cli/sample.py",
        "from kerasgen.flows.flow import Flow as F\nKINDS = (F,)\nok = issubclass(x, KINDS)",
    ),
    ("questions", "cli/sample.py", "from kerasgen.flows.glow import Glow\nok = type(model) is Glow"),
    ("questions", "cli/sample.py", "ok = type(model).__name__ == 'Glow'"),
    ("questions", "cli/sample.py", "from kerasgen.gans.gan import GAN\nmatch model:\n    case GAN(): ..."),
    ("questions", "base/model.py", "def f(self):\n    return isinstance(self, Flow)"),
    ("knowledge", "cli/sample.py", "ok = model.truncation"),
    ("knowledge", "cli/sample.py", "ok = load(name).critic()"),
    ("knowledge", "cli/sample.py", "ok = hasattr(model, 'levels')"),
    ("knowledge", "base/model.py", "def f(self):\n    return getattr(self, 'truncation', None)"),
    ("knowledge", "flows/flow.py", "def f(other):\n    return other.critic()"),
    ("knowledge", "cli/sample.py", "class Grid:\n    levels = 1\nok = model.levels"),
    ("long_files", "errors.py", "\n" * 351),
]


def broken(folder, file, code):
    """The rules that are broken in a small package that keeps them all, but for this code at the end of a file."""
    for name, text in (GOOD | {file: GOOD.get(file, "") + code}).items():
        path = folder / "kerasgen" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    source = Source(folder / "kerasgen")
    return [rule for rule in RULES if list(getattr(source, rule)())]


@pytest.mark.parametrize(("rule", "file", "code"), BAD)
def test_every_rule_tells(rule, file, code, tmp_path):
    assert broken(tmp_path, file, code) == [rule]


@pytest.mark.parametrize(
    "code", ["", "import levels\nok = levels.truncation", "class Grid:\n    levels = 1\nok = grid.levels"]
)
def test_what_is_allowed(code, tmp_path):
    """What modules have, and attributes of a class that is no model, of something that is not called one."""
    assert broken(tmp_path, "cli/sample.py", code) == []


def report(source):
    """Text of the layers, what each imports, and what breaks the rules."""
    edges = {edge[:2] for edge in source.imports}
    rank = {layer: index for index, layer in enumerate(LAYERS)}
    for layer in sorted({source.layer(path) for path in source.trees}, key=lambda name: rank.get(name, -1)):
        yield f"{layer} -> {', '.join(sorted((b for a, b in edges if a == layer), key=lambda b: rank.get(b, -1)))}"
    for rule in RULES:
        found = list(getattr(source, rule)())
        yield from ("", f"{rule}: {len(found)}", *found)
    yield f"\n{sum(source.lines.values())} lines"


if __name__ == "__main__":
    print("\n".join(report(Source(*sys.argv[1:]))))
