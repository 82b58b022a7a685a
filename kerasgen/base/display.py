"""What notebooks show of a model: pictures of examples, and curves of its training."""

import keras
from PIL import Image

from kerasgen import charts, inputs, pictures
from kerasgen.errors import InputError
from kerasgen.modalities import Modality
from kerasgen.typing import ArrayLike


class Display:
    """Pictures of Pillow, which a notebook shows as they are and `save` writes to a file."""

    modality: Modality

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
