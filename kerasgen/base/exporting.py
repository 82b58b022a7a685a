"""`Exporting`: parts of models as programs for other runtimes."""

import inspect
from pathlib import Path

import keras
import numpy as np

from kerasgen import export, noise
from kerasgen.base.program import rows
from kerasgen.base.trainer import Trainer
from kerasgen.errors import InputError
from kerasgen.export import ROWS, Part
from kerasgen.modalities import Modality
from kerasgen.typing import Any, Array, Callable, Config


class Exporting(Trainer):
    """A model that says which parts of it other runtimes can be given."""

    origin: str | None
    run: Callable[..., Array]

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        """By their names, functions that make parts; their arguments are settings."""
        return {}

    def trial(self, modality: Modality) -> dict[str, Array]:
        """Examples to try a part on, by the name of the input."""
        return {modality.noun: noise.uniform(0, ROWS, modality.shape, 0).astype(np.float32)}

    def part(self, name: str, **settings: Any) -> Part:
        """The part of a name. Raises `InputError`: there is no such part or setting."""
        parts = self.export_parts()
        if name not in parts:
            had = f"what it has: {', '.join(parts)}" if parts else "it has none to export"
            raise InputError(f"a {type(self).__name__} has no part {name!r}; {had}.")
        known = inspect.signature(parts[name]).parameters
        if unknown := sorted(set(settings) - set(known)):
            had = f"expected of {', '.join(known)}" if known else "it has none"
            raise InputError(
                f"the {name} of a {type(self).__name__} has no setting {', '.join(unknown)} in an export; {had}."
            )
        return parts[name](**settings)

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        *,
        part: str | None = None,
        **kwargs: Any,
    ) -> Config | None:
        """As `keras.Model.export`, of what `model(x)` does with floats unless `input_signature` says otherwise.

        With `part`, that part of the model (docs/export.md), with the loop of a sampler in it, in the format
        "tf_saved_model", "onnx" or "litert", for batches of any size, or of 1 where LiteRT cannot. The file is run by
        its own runtime first, and kept if it gives what the model does, to 1e-4 of the range; `filepath`.json beside it
        says what it takes and gives, and so does the result. Other arguments are settings of the part, such as `steps`
        of a sampler.

        Raises `InputError`: there is no such part or setting, the format needs a package, cannot be written there or
        cannot hold the part, or the program differs from the model; nothing was written.
        """
        if part is None:
            modality = self.input_modality()
            if input_signature is None:
                input_signature = [keras.layers.InputSpec(shape=(None, *modality.shape), dtype=modality.dtype)]
            return super().export(filepath, format, verbose, input_signature, **kwargs)
        if input_signature is not None:
            raise InputError("a part has inputs of its own: leave input_signature out.")
        form, path, chosen = export.find_format(format), Path(filepath), self.part(part, **kwargs)
        export.check_path(path, form)
        expected = self.run(chosen.function, ROWS, rows(*chosen.inputs.values()), ROWS, 0)

        def make(file):
            if keras.backend.backend() == "tensorflow":
                return export.write(chosen, self.variables, form, file)
            return export.write_in_child(self, file, format=format, part=part, **kwargs)

        about = {"format": format, "part": part, "family": type(self).__name__, "model": self.origin}
        report = export.write_checked(chosen, expected, form, path, make, about)
        if verbose:
            print(f"Saved {part} at '{path}'.")
        return report
