"""What the site has beside docs/: pages and pictures of the zoo, made of its cards. A hook of MkDocs (see mkdocs.yml).

- `zoo/index.md`, a gallery, and a page for each entry, its card; `zoo/LEADERBOARD.md` and `zoo/METRICS.md`.
- A page for each notebook of `guides/`, with what it shows; the notebook itself lies beside it.
- Of the top level CONTRIBUTING.md, SECURITY.md and CHANGELOG.md.
- `<!-- entries: CLASS ... -->` in a page becomes the entries of these classes, each with its first picture.
- A link to a file of the repository that is no page becomes its name, since the site has no such file.
"""

import json
import posixpath
import re
import runpy
import tomllib
from pathlib import Path

import nbformat
from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
OF_PROJECT = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
OF_ZOO = ("LEADERBOARD.md", "METRICS.md")
FIGURES = 3  # of an entry, beside its picture
GALLERY = """# The zoo

Each picture is what its model draws with a seed of 0, not picked; each page is the entry's card, with its figures, how
they were measured, and what it was trained on. `kerasgen.load(NAME)` loads any of them.

"""


def entries():
    """Recipes of the zoo's entries that have weights, by their names."""
    found = {}
    for path in sorted((ROOT / "zoo").glob("*/recipe.toml")):
        if (path.parent / "model.weights.h5").exists():
            found[path.parent.name] = tomllib.loads(path.read_text())
    return found


def figures(name):
    """The first figures of an entry, in a sentence."""
    report = json.loads((ROOT / "zoo" / name / "metrics.json").read_text())
    title = runpy.run_path(str(ROOT / "kerasgen" / "hub" / "figure_names.py"))["title"]
    found = [f"{title(key)} {value['value']:.4g}" for key, value in list(report["metrics"].items())[:FIGURES]]
    hours = report["training"]["hours"]
    took = f"{hours:.1f} hours" if hours >= 2 else f"{max(60 * hours, 1):.0f} min"
    return f"{report['parameters']:,} parameters, {took}. Measured: {'; '.join(found)}."


def tiles(names, prefix):
    """Markdown: a picture, or the first lines of what a model writes, sentences and figures for each entry."""
    recipes = entries()
    lines = []
    for name in names:
        recipe = recipes[name]
        kind, page = recipe["model"]["class"], f"{prefix}{name}.md"
        lines += [f"### [{name}]({page})", "", f"{kind}. {recipe['description']}", ""]
        if (ROOT / "zoo" / name / "samples.png").exists():
            lines += [f"![What {name} shows of itself]({prefix}{name}/samples.png){{ loading=lazy width=480 }}", ""]
        elif (ROOT / "zoo" / name / "samples.txt").exists():
            text = (ROOT / "zoo" / name / "samples.txt").read_text().splitlines()[:12]
            lines += ["```text", *text, "```", ""]
        lines += [f"Trained on {recipe['dataset']['title']}: {figures(name)}", ""]
    return "\n".join(lines)


def card(name):
    """The card without its head, with pictures where the site has them."""
    text = re.sub(r"\A---\n.*?\n---\n", "", (ROOT / "zoo" / name / "README.md").read_text(), flags=re.DOTALL)
    return re.sub(r"\]\((?!\w+:)([\w.-]+\.png)\)", rf"]({name}/\1)", text)


def guide(path):
    """A notebook as Markdown, and its pictures `{name: bytes}`."""
    notebook = nbformat.read(path, as_version=4)
    names = {"unique_key": path.stem, "output_files_dir": path.stem}
    text, resources = MarkdownExporter().from_notebook_node(notebook, names)
    text = text.replace("![png](", "![What the code above shows](")
    link = f"[Take the notebook along]({path.name}), to run it here or in a hosted one."
    head, _, rest = text.partition("\n\n")
    return f"{head}\n\n{link}\n\n{rest}", resources["outputs"]


def on_files(files, config):
    """Adds the pages and pictures to those of docs/."""
    names = entries()

    def add(uri, text):
        files.append(File.generated(config, uri, content=text))

    for name in OF_PROJECT:
        add(name, (ROOT / name).read_text())
    for name in OF_ZOO:
        add(f"zoo/{name}", (ROOT / "zoo" / name).read_text())
    for path in sorted((ROOT / "docs" / "guides").glob("*.ipynb")):
        text, pictures = guide(path)
        add(f"guides/{path.stem}.md", text)
        for name, data in pictures.items():
            files.append(File.generated(config, f"guides/{name}", content=data))
    add("zoo/index.md", GALLERY + tiles(names, ""))
    for name in names:
        add(f"zoo/{name}.md", card(name))
        for picture in sorted((ROOT / "zoo" / name).glob("*.png")):
            files.append(File.generated(config, f"zoo/{name}/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Fills in entries, and mends links that lead out of the site."""
    folder = posixpath.dirname(page.file.src_uri)

    def of_classes(match):
        wanted = match[1].split()
        names = [name for name, recipe in entries().items() if recipe["model"]["class"] in wanted]
        return tiles(names, posixpath.relpath("zoo", folder or ".") + "/") if names else "None is bundled yet.\n"

    def link(match):
        text, target = match.groups()
        path = target.partition("#")[0]
        if re.match(r"\w+:", target) or not path:
            return match[0]
        # Where the file is in the repository: pages of the top level are generated there, others are in docs/.
        generated = page.file.src_uri in OF_PROJECT or page.file.src_uri.startswith("zoo/")
        place = posixpath.normpath(posixpath.join("" if generated else "docs", folder, path))
        inside = posixpath.normpath(place.removeprefix("docs/"))
        if files.get_file_from_path(inside) is not None:
            anchor = target[len(path) :]
            return f"[{text}]({posixpath.relpath(inside, folder or '.')}{anchor})"
        return text if text.startswith("`") else f"`{place}`"

    markdown = re.sub(r"<!-- entries: ([\w ]+?) -->", of_classes, markdown)
    return re.sub(r"(?<!!)\[([^\]\n]+)\]\(([^)\s]+)\)", link, markdown)
