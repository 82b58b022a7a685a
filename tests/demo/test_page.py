"""The page in a browser: what visitors click, upload and stop."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

import kerasgen
from kerasgen.demo import acts

pytest.importorskip("gradio")
sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("there is no Chromium", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")  # of Gradio's threads, about other libraries
DONE = re.compile(r"^\d+\.\d s$")
PATIENCE = 120_000  # milliseconds


class Visitor:
    def __init__(self, browser, url, **settings):
        self.page = browser.new_page(**settings)
        self.page.set_default_timeout(PATIENCE)
        self.outside = []
        self.page.on("request", lambda request: self.note(request.url))
        self.page.goto(url)

    def note(self, url):
        if not url.startswith(("http://127.0.0.1", "data:", "blob:")):
            self.outside.append(url)

    @property
    def panel(self):
        return self.page.locator("[role=tabpanel]:visible")

    def choose(self, label):
        box = self.page.get_by_label("model", exact=True).first
        box.click()
        box.fill(label)
        self.page.get_by_role("option", name=label, exact=True).click()

    def tab(self, title):
        self.page.get_by_role("tab", name=title, exact=True).click()

    def click(self, title):
        self.panel.get_by_role("button", name=title, exact=True).last.click()

    def saves(self, title):
        """The file that a button downloads."""
        with self.page.expect_download() as download:
            self.click(title)
        return download.value.path()

    def sees(self, text):
        self.panel.get_by_text(text).first.wait_for()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    page = pytest.importorskip("kerasgen.demo.page")
    folder = tmp_path_factory.mktemp("models")
    kerasgen.VariationalAutoencoder((8, 8, 3), latent_dim=2, width=4, num_classes=3).save(folder / "vae")
    network = {"class": "Transformer", "width": 8, "depth": 1, "heads": 1}
    kerasgen.AutoregressiveTransformer((6,), ["", *"abc"], network).save(folder / "gpt")
    names = [str(folder / name) for name in ("vae", "gpt")]
    blocks = page.launch(names, names[0])
    yield blocks.local_url, names
    blocks.close()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visitor(served, browser):
    visitor = Visitor(browser, served[0])
    yield visitor
    visitor.page.close()


def test_drawing_and_writing(visitor, served):
    visitor.click("Draw")
    visitor.sees(DONE)
    visitor.panel.locator("img").first.wait_for()
    model = kerasgen.load(served[1][0])
    np.testing.assert_array_equal(np.load(visitor.saves("Save the arrays (.npy)")), model.sample(16, seed=0, verbose=0))
    visitor.tab("Between")
    visitor.click("Between")
    visitor.sees(DONE)
    ends = [model.sample(1, [0], seed=seed, verbose=0) for seed in (0, 1)]
    wanted = model.interpolate(*ends, labels=[0], verbose=0)[0]
    np.testing.assert_array_equal(np.load(visitor.saves("Save the arrays (.npy)")), wanted)
    visitor.choose(served[1][1])  # which has no such tab
    visitor.page.get_by_role("tab", name="Write", exact=True).wait_for()
    visitor.panel.get_by_label("begins with").fill("ab")
    visitor.click("Write")
    visitor.sees(DONE)
    lines = visitor.panel.get_by_label("texts").input_value().split("\n")
    assert visitor.saves("Save the texts (.txt)").read_text() == "\n".join([*lines, ""])
    assert len(lines) == 16
    assert all(line.startswith("ab") for line in lines)
    visitor.panel.get_by_label("begins with").fill("a7")
    visitor.click("Write")
    visitor.sees("Not done.")
    assert visitor.outside == []


def test_uploads(visitor, served, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(np.zeros((5000, 5000), bool)).save(tmp_path / "large.png")
    Image.fromarray(np.zeros((5000, 8000), bool)).save(tmp_path / "huge.png")
    Image.fromarray(np.full((20, 30, 3), 99, np.uint8)).save(tmp_path / "good.jpg")
    visitor.tab("Reconstruct")
    visitor.click("Reconstruct")
    visitor.sees("there is no picture yet")
    for name, answer in (
        ("text.png", "text.png is no picture that can be read"),
        ("large.png", "large.png has 5000 x 5000 pixels"),
        ("huge.png", "huge.png is too large"),
        ("good.jpg", DONE),
    ):
        clear = visitor.panel.get_by_label("Clear")
        if clear.count():
            clear.first.click()
        visitor.panel.locator("input[type=file]").set_input_files(tmp_path / name)
        visitor.panel.get_by_text(name.partition(".")[0]).first.wait_for()
        visitor.click("Reconstruct")
        visitor.sees(answer)
    model, given = kerasgen.load(served[1][0]), acts.read(tmp_path / "good.jpg", (8, 8), 3)
    saved = np.load(visitor.saves("Save the arrays (.npy)"))
    np.testing.assert_array_equal(saved, model.reconstruct(given, [0], verbose=0))


def test_two_visitors(visitor, served, browser):
    """On a phone, too: both get what they ask for."""
    other = Visitor(browser, served[0], viewport={"width": 420, "height": 900})
    for each in (visitor, other):
        each.click("Draw")
    for each in (visitor, other):
        each.sees(DONE)
        each.click("Stop")
        each.sees("Nothing is running.")
    other.page.close()
