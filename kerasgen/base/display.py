"""What notebooks show of a model: what it is, pictures of examples, and curves of its training."""

import base64
import html
from collections.abc import Iterable
from pathlib import Path

import keras
from PIL import Image

from kerasgen import charts, inputs, pictures
from kerasgen.errors import InputError
from kerasgen.modalities import Modality
from kerasgen.modalities.tokens import unescaped
from kerasgen.typing import Any, ArrayLike, Sequence

LARGEST = 2**22  # bytes of a file that is shown
TEXTS, CHARACTERS = 8, 2000  # of samples.txt that are shown
CELL = "text-align: left; vertical-align: top; padding: 0.1em 1em 0.1em 0"


def picture_html(png: bytes, caption: str) -> str:
    """A PNG file and its caption, as HTML."""
    caption, data = html.escape(caption), base64.b64encode(png).decode()
    style = "max-width: 100%; image-rendering: pixelated"
    image = f'<img alt="{caption}" style="{style}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def texts_html(texts: Sequence[str], caption: str) -> str:
    """Texts, and their caption, as HTML."""
    listed = html.escape(("\n\n" if any("\n" in text for text in texts) else "\n").join(texts))
    return f"<figure><pre>{listed}</pre><figcaption>{html.escape(caption)}</figcaption></figure>"


def table_html(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what they stand for, as HTML."""
    cells = (f'<th style="{CELL}">{html.escape(a)}</th><td style="{CELL}">{html.escape(b)}</td>' for a, b in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


class Display:
    """Pictures of Pillow, which a notebook shows as they are and `save` writes to a file; and HTML of the model."""

    modality: Modality
    shape: tuple[int, ...]
    num_classes: int | None
    attributes: Any
    offers: tuple[str, ...]
    origin: str | None
    folder: Path | None
    hub: Any

    def show(self, x: ArrayLike, columns: int | None = None) -> Image.Image:
        """Examples, as the model takes or draws them, in a grid of `columns`: images, frames, notes on a roll.

        Raises `InputError`: x are no such examples, or of a kind that has no picture, such as tables.
        """
        columns = None if columns is None else inputs.check_integer("columns", columns, 1)
        return pictures.to_image(self.modality.grid(x, columns))

    def plot_history(self) -> Image.Image:
        """What the last `fit` logged at the end of each epoch: a chart a figure, of training and of validation.

        Raises `InputError`: the model has not been fitted since it was made or loaded.
        """
        history = getattr(self, "history", None)
        if not isinstance(history, keras.callbacks.History) or not history.epoch:
            raise InputError("there is no history to plot: call fit first.")
        return pictures.to_image(charts.side_by_side(charts.of_history(history.epoch, history.history)))

    def _repr_html_(self) -> str:
        """What a notebook shows: what the model is, and the samples and figures beside the checkpoint it is from.

        Nothing is computed for it.
        """
        name = f" <code>{html.escape(self.origin)}</code>" if self.origin else ""
        head = f"<p><strong>{html.escape(type(self).__name__)}</strong>{name}</p>"
        return f"<div>{head}{table_html(self._facts())}{self._published()}</div>"

    def _facts(self):
        modality = self.modality
        yield modality.noun, f"{' x '.join(map(str, self.shape))} ({modality.axes})"
        if self.num_classes is not None:
            names = self.attributes if isinstance(self.attributes, (list, tuple)) else [self.num_classes]
            yield "attributes" if self.attributes else "classes", ", ".join(map(str, names))
        yield "parameters", f"{self.count_params():,}"
        yield "offers", ", ".join(self.offers)

    def _published(self):
        """What the folder that it was loaded from has of samples and figures, whatever the model has become since."""
        if self.folder is None:
            return ""
        whose = f"of {self.origin}, as published" if self.origin else f"beside the checkpoint {self.folder}"
        parts = []
        if figures := self.hub.headlines(self.folder):
            parts.append(f"<p>Figures {html.escape(whose)}:</p>{table_html(figures)}")
        data = small_file(self.folder / self.modality.sheet)
        if data.startswith(b"\x89PNG"):
            parts.append(picture_html(data, f"Samples {whose}."))
        elif data and self.modality.written:
            texts = unescaped(data.decode(errors="replace"))[:TEXTS]
            parts.append(texts_html([text[: CHARACTERS // TEXTS] for text in texts], f"Samples {whose}."))
        return "".join(parts)


def small_file(path: Path) -> bytes:
    """The bytes of a file; none where it is not there, cannot be read or is too large to be shown."""
    try:
        return path.read_bytes() if path.stat().st_size <= LARGEST else b""
    except OSError:
        return b""
