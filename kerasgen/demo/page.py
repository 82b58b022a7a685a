"""The page: its controls, and what they call. Everything a model does is in `acts`, whose turn it is in `bench`."""

import time

import gradio as gr
from PIL import Image

from kerasgen.base import FAMILIES, BaseModel
from kerasgen.demo import acts
from kerasgen.demo.bench import Bench, Stopped
from kerasgen.demo.shelf import Shelf
from kerasgen.diffusion.samplers import SAMPLERS
from kerasgen.errors import KerasgenError
from kerasgen.hub.registry import entries
from kerasgen.typing import Any, Callable

PICTURES = ("reconstruct", "denoise", "upscale", "translate")  # verbs that make a picture of an uploaded one
MOST_WAITING = 20  # pieces of work that are not begun
KEPT = 1800  # seconds that uploads and results are kept
MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}  # of whatever needs the model


def shown() -> list[str]:
    """The entries of the zoo with weights that draw, write, or make pictures of pictures."""
    found = []
    for name, entry in entries().items():
        family = FAMILIES[entry.recipe.model.class_name]
        if entry.bundled and any(hasattr(family, verb) for verb in ("sample", *PICTURES)):
            found.append(name)
    return found


def labelled(act: Callable) -> Callable:
    """`act` with `labels` of what the controls say: classes in turn, or attributes with and without."""

    def done(model, classes=None, present=(), absent=(), **settings):
        both = set(present) & set(absent)
        if both:
            raise acts.InputError(f"{', '.join(sorted(both))} is asked for and excluded; choose one.")
        wishes = dict.fromkeys(present, 1) | dict.fromkeys(absent, 0)
        num = int(settings.get("num", acts.EXAMPLES))
        return act(model, labels=acts.labels_of(model, classes, wishes, num), **settings)

    return done


def outcome(key: tuple[str, ...], label: str, written: bool = False) -> tuple[Any, Any, Any]:
    """A picture or texts, a line and a file below; by their key not those of the model that was open before."""
    kinds: dict[str, Any] = {"label": label, "interactive": False, "key": (*key, "result")}
    found = gr.Textbox("", lines=12, **kinds) if written else gr.Image(None, format="png", **kinds)
    note = gr.Markdown("", key=(*key, "note"))
    title = "Save the texts (.txt)" if written else "Save the arrays (.npy)"
    return found, note, gr.DownloadButton(title, interactive=False, size="sm", key=(*key, "file"))


class Page:
    """The page of a bench; `names` are offered, `first` is open."""

    def __init__(self, bench: Bench, names: list[str], first: str):
        self.bench, self.names, self.first = bench, names, first

    # What controls call

    def on_click(
        self, button: Any, name: str, act: Callable, controls: dict[str, Any], found: Any, note: Any, file: Any = None
    ) -> None:
        """Has a button do an act with the model of a name.

        Args:
            controls: of the settings of the act, by their names.
            found: what shows what the act gives.
            note: a line that says how long it took or, in words, why it was not done.
            file: a button that saves what the act gives, which is then a `Result`.
        """

        def answer(request: gr.Request, progress=gr.Progress(), *values):  # noqa: B008
            settings = {key: value for key, value in zip(controls, values, strict=True) if value not in (None, "")}
            start = time.perf_counter()
            try:
                work = self.bench.work(request.session_hash, lambda part, parts: progress((part, parts)))
                with work as done, self.bench.model(name) as model:
                    given = act(model, verbose=done, **settings)
                took = f"{time.perf_counter() - start:.1f} s"
                if file is None:
                    return {found: given, note: took}
                saving = gr.DownloadButton(value=self.shelf.put(name, given), interactive=True)
                return {found: given.shown, note: took, file: saving}
            except Stopped:
                return {note: "Stopped."}
            except (KerasgenError, OSError) as error:
                return {note: f"**Not done.** {error}"}

        outputs = [found, note, file] if file else [found, note]
        button.click(answer, [*controls.values()], outputs, **MODEL)

    def stop(self, request: gr.Request) -> str:
        return "Stopping after this part ..." if self.bench.stop(request.session_hash) else "Nothing is running."

    # The page

    def blocks(self) -> gr.Blocks:
        with gr.Blocks(title="kerasgen", analytics_enabled=False, delete_cache=(60, KEPT)) as page:
            self.shelf = Shelf(page.GRADIO_CACHE)
            gr.Markdown("# kerasgen\nPretrained generative models to play with. The same seed gives the same result.")
            choice = gr.Dropdown(self.names, value=self.first, label="model", elem_id="model")

            @gr.render(inputs=choice, **MODEL)
            def _(name: str) -> None:
                try:
                    with self.bench.model(name) as model:
                        self.tabs(name, model)
                except (KerasgenError, OSError) as error:
                    gr.Markdown(f"**Not loaded.** {error}")

        return page

    def tabs(self, name: str, model: BaseModel) -> None:
        """A tab for each thing that the model does."""
        entry = entries().get(name)
        gr.Markdown(entry.recipe.description if entry else name)
        offers, drawable = set(model.offers), model.modality.drawable
        known = acts.settings_of(model) if "sample" in offers else {}
        written = model.modality.written
        with gr.Tabs() as tabs:
            if "sample" in offers and "prompt" in known and written:
                prompt = {"prompt": gr.Textbox(label="begins with", interactive=True, render=False)}
                self.tab("Write", name, model, labelled(acts.sample), prompt, written=not drawable)
            elif "sample" in offers and (drawable or written):
                self.tab("Draw", name, model, labelled(acts.sample), {}, written=not drawable)
            if "infill" in offers and written:
                text = {"text": gr.Textbox(label="a text, with _ for each gap", interactive=True, render=False)}
                self.tab("Fill in", name, model, labelled(acts.filled), text, verb="infill", written=True)
            if model.has_intermediates and drawable:
                self.tab("Steps", name, model, labelled(acts.states), {}, num=False)
            if {"sample", "interpolate"} <= offers and (drawable or written):
                other = {"other": gr.Number(1, label="seed of the other", interactive=True, precision=0, render=False)}
                self.tab("Between", name, model, labelled(acts.between), other, written=not drawable, plain=True)
            if model.attributes and drawable:
                chosen = gr.CheckboxGroup(list(model.attributes), label="attributes", interactive=True, render=False)
                self.tab("Attributes", name, model, acts.along, {"names": chosen}, num=False, wishes=False)
            if {"sample", "inpaint"} <= offers and drawable:
                self.inpainting(name, model)
            for verb in PICTURES if drawable else ():
                if verb in offers:
                    self.uploading(name, model, verb)
        if not tabs.children:
            gr.Markdown("This model draws and writes nothing.")
            return
        tabs.selected = tabs.children[0].id  # else that of the model before, which this one may not have

    def controls(self, model: BaseModel, verb: str = "sample", wishes: bool = True) -> dict[str, Any]:
        """Controls of those settings that a verb has."""
        known = acts.settings_of(model, verb)
        controls: dict[str, Any] = {}
        if wishes and model.attributes:
            controls["present"] = gr.CheckboxGroup(list(model.attributes), label="with", interactive=True)
            controls["absent"] = gr.CheckboxGroup(list(model.attributes), label="without", interactive=True)
        elif wishes and "labels" in known and model.exclusive_classes is not None:
            classes = list(range(model.exclusive_classes))
            controls["classes"] = gr.Dropdown(classes, multiselect=True, label="classes, in turn", interactive=True)
        for setting, (least, most, start) in acts.NUMBERS.items():
            if setting in known and (setting != "guidance" or model.num_classes is not None):
                controls[setting] = gr.Slider(least, most, start, step=0.05, label=setting, interactive=True)
        if "steps" in known and known["steps"] is not None:
            controls["steps"] = gr.Slider(1, acts.MOST_STEPS, known["steps"], step=1, label="steps", interactive=True)
        if "sampler" in known:
            controls["sampler"] = gr.Dropdown(list(SAMPLERS), value=known["sampler"], label="sampler", interactive=True)
        return controls

    def tab(
        self,
        title: str,
        name: str,
        model: BaseModel,
        act: Callable,
        own: dict[str, Any],
        verb: str = "sample",
        num: bool = True,
        written: bool = False,
        plain: bool = False,
        wishes: bool = True,
    ) -> None:
        """Controls to the left, what comes of them to the right."""
        with gr.Tab(title, id=title), gr.Row():
            with gr.Column():
                controls = dict(own)
                for control in own.values():
                    control.render()
                controls["seed"] = gr.Number(0, label="seed", interactive=True, precision=0)
                if num and not plain:
                    controls["num"] = gr.Slider(1, acts.MOST_SAMPLES, 16, step=1, label="how many", interactive=True)
                if not plain:
                    controls |= self.controls(model, verb, wishes)
                elif model.exclusive_classes is not None:
                    classes = list(range(model.exclusive_classes))
                    controls["classes"] = gr.Dropdown(classes, multiselect=True, label="class", interactive=True)
                go, halt = gr.Button(title, variant="primary"), gr.Button("Stop")
            with gr.Column():
                found, note, file = outcome((name, title), "texts" if written else title, written)
        self.on_click(go, name, act, controls, found, note, file)
        halt.click(self.stop, None, note, queue=False)

    def inpainting(self, name: str, model: BaseModel) -> None:
        """A sample or an upload to paint over, and what the model draws there."""
        with gr.Tab("Inpaint", id="Inpaint"), gr.Row():
            with gr.Column():
                canvas = gr.ImageEditor(
                    label="paint over what is to be drawn anew",
                    sources=["upload"],
                    interactive=True,
                    transforms=[],
                    canvas_size=(acts.CANVAS, acts.CANVAS),
                    fixed_canvas=True,
                    height=acts.CANVAS + 120,
                    brush=gr.Brush(colors=["#ff3366"], color_mode="fixed"),
                    type="numpy",
                )
                seed = gr.Number(0, label="seed", interactive=True, precision=0)
                num = gr.Slider(1, acts.MOST_SAMPLES, 7, step=1, label="how many", interactive=True)
                controls = {"drawn": canvas, "seed": seed, "num": num} | self.controls(model, "inpaint")
                fresh = gr.Button("Draw a picture to paint on")
                go, halt = gr.Button("Inpaint", variant="primary"), gr.Button("Stop")
            with gr.Column():
                found, note, file = outcome((name, "Inpaint"), "the picture, and others")
        asked: dict[str, Any] = {
            key: controls[key] for key in ("seed", "classes", "present", "absent") if key in controls
        }
        self.on_click(fresh, name, labelled(acts.canvas), asked, canvas, note)
        self.on_click(go, name, labelled(acts.inpainted), controls, found, note, file)
        halt.click(self.stop, None, note, queue=False)

    def uploading(self, name: str, model: BaseModel, verb: str) -> None:
        """An uploaded picture, and what a verb makes of it."""
        title = verb.capitalize()
        with gr.Tab(title, id=title), gr.Row():
            with gr.Column():
                file = gr.File(label="a picture", interactive=True, file_types=["image"], type="filepath", height=120)
                controls: dict[str, Any] = {"path": file}
                if verb == "denoise" and model.noise_range is not None:
                    controls["noise_stddev"] = gr.Slider(
                        *model.noise_range, label="standard deviation of the noise", interactive=True
                    )
                go, halt = gr.Button(title, variant="primary"), gr.Button("Stop")
            with gr.Column():
                found, note, file = outcome((name, title), "before, and after")

        def act(model, path=None, **settings):
            if path is None:
                raise acts.InputError("there is no picture yet; upload one.")
            return acts.changed(model, verb, path, **settings)

        self.on_click(go, name, act, controls, found, note, file)
        halt.click(self.stop, None, note, queue=False)


def launch(names: list[str], first: str, port: int | None = None, host: str = "127.0.0.1") -> gr.Blocks:
    """Serves the page until it is closed, to this machine alone unless `host` says more; its `local_url` is where.

    Visitors choose among `names`, and have no other way to name a model.
    """
    Image.MAX_IMAGE_PIXELS = acts.MOST_PIXELS  # of what Gradio reads, too: twice as many are an error
    page = Page(Bench(), names, first).blocks().queue(max_size=MOST_WAITING, api_open=False)
    settings: dict[str, Any] = {"max_file_size": acts.MOST_BYTES, "show_error": True, "share": False, "quiet": True}
    settings |= {"enable_monitoring": False, "ssr_mode": False, "prevent_thread_lock": True}
    page.launch(server_name=host, server_port=port, **settings)
    return page
