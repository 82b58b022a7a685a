"""The site is built without a warning, its links lead somewhere, and no page asks for anything from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import keras
import pytest

pytest.importorskip("mkdocs")
pytest.importorskip("material")
pytest.importorskip("nbconvert")
pytest.importorskip("mkdocstrings_handlers.python")
if keras.backend.backend() != "tensorflow":
    pytest.skip("the site is the same on each backend", allow_module_level=True)

ROOT = Path(__file__).parents[1]


class Page(HTMLParser):
    """What a page links, what it loads, and what may be linked in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        elif tag == "link" and attributes.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(attributes["href"])
        elif attributes.get("src"):
            self.loads.append(attributes["src"])


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {path.relative_to(folder).as_posix(): Page(path) for path in folder.rglob("*.html")}, folder


def test_every_link_leads_somewhere(pages):
    pages, folder = pages
    assert len(pages) > 50
    broken = []
    for name, page in pages.items():
        if name == "404.html":
            continue  # its links are from the root
        for target in page.links + page.loads:
            path, anchor = urldefrag(unquote(target))
            if re.match(r"[a-z]+:", path):
                continue
            found = ((folder / name).parent / path).resolve() if path else folder / name
            found = found / "index.html" if found.is_dir() else found
            other = pages.get(found.relative_to(folder).as_posix())
            if not found.exists() or (other is not None and anchor not in other.anchors):
                broken.append((name, target))
    assert broken == []


def test_no_page_needs_a_network(pages):
    for name, page in pages[0].items():
        assert [path for path in page.loads if re.match(r"(https?:)?//", path)] == [], name


def test_every_entry_has_a_page_and_a_place(pages):
    """In the gallery, and with its family, classifiers aside."""
    pages, _ = pages
    entries = {path.parent.name for path in (ROOT / "zoo").glob("*/model.weights.h5")}
    assert {name.removeprefix("zoo/").removesuffix(".html") for name in pages if name.startswith("zoo/")} >= entries
    linked = {link for name, page in pages.items() if name.startswith("families/") for link in page.links}
    recipes = {name: (ROOT / "zoo" / name / "recipe.toml").read_text() for name in entries}
    generative = {name for name, recipe in recipes.items() if 'class = "Classifier"' not in recipe}
    assert {f"../zoo/{name}.html" for name in generative} <= linked
    assert {f"{name}.html" for name in entries} <= set(pages["zoo/index.html"].links)
