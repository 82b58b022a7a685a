"""What models are saved by: their configs, what `compile` was given, files and folders, the Hub."""

import types
from typing import ClassVar

import keras
from keras.layers import Layer

from kerasgen.base.family import constructor_arguments, freeze_parts, frozen_parts, is_plain, plain
from kerasgen.base.turns import Turns
from kerasgen.checkpoints import save_checkpoint
from kerasgen.errors import InputError
from kerasgen.networks import resolve
from kerasgen.typing import Any, Config, Self

COMPILE_OPTIONS = ("jit_compile", "steps_per_execution", "run_eagerly", "auto_scale_loss")


class Saving(keras.Model):
    """A `keras.Model` that knows its constructor's arguments and says them in its config."""

    model_arguments: tuple[str, ...] = ()  # of the constructor, that are models: a recipe gives their handles
    turns: Turns
    lora: Any = None  # of `Tuning`: where there is one, the sum is saved, without the optimizer's state
    hub: ClassVar[Any] = None  # `publish`, `load`, `headlines` and more; kerasgen/hub/publication.py puts it here

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._arguments = types.SimpleNamespace()  # in which Keras looks for no layers
        self._compile_options: Config = {}
        self._optimized: list[int] = []  # identities of what was trainable when the model was compiled

    def get_config(self) -> Config:
        """The constructor's arguments, each from the attribute of its name, or as `keep` has kept it; frozen parts."""
        config = {"name": self.name, "trainable": self.trainable}
        if parts := frozen_parts(self, self.model_arguments):
            config["trainable_parts"] = parts
        config["dtype"] = keras.dtype_policies.serialize(self.dtype_policy)
        kept = vars(self._arguments)
        for name in constructor_arguments(type(self)):
            if name not in kept and not hasattr(self, name):
                told = f"keeps it in no attribute: set self.{name} = {name}, or give it in get_config"
                raise InputError(f"{type(self).__name__} takes an argument {name!r} and {told}.")
            config[name] = plain(kept[name] if name in kept else getattr(self, name))
        return config

    @property
    def has_plain_arguments(self) -> bool:
        """Whether the constructor's arguments are plain JSON values, without large numbers."""
        kept = vars(self._arguments)
        names = constructor_arguments(type(self))
        return all(is_plain(kept[name] if name in kept else getattr(self, name, object())) for name in names)

    @classmethod
    def from_config(cls, config: Config, custom_objects: Any = None) -> Self:
        """The model of a config, with the parts frozen that it says."""
        config = dict(config)
        parts = config.pop("trainable_parts", {})
        model = super().from_config(config, custom_objects)
        freeze_parts(model, parts)
        return model

    def keep(self, **arguments: Any) -> None:
        """Keeps arguments for `get_config` that no attribute holds as they are; a Keras layer is its own attribute."""
        found = {name: x for name, x in arguments.items() if resolve.named(x) or not isinstance(x, (dict, Layer))}
        vars(self._arguments).update(found)

    def keep_compile_options(self, given: Config) -> None:
        """Keeps what `compile` was given for `get_compile_config`, as it was given."""
        self._compile_options = {name: given[name] for name in COMPILE_OPTIONS if name in given}
        self._optimized = [id(variable) for variable in self.trainable_variables]

    @property
    def optimizer_fits(self) -> bool:
        """Whether what is trainable is what it was when the model was compiled."""
        return self.compiled and self._optimized == [id(variable) for variable in self.trainable_variables]

    def get_compile_config(self) -> Config | None:
        """What `compile` was given, and the optimizer."""
        if not self.compiled:
            return None
        return {"optimizer": keras.saving.serialize_keras_object(self.optimizer), **self._compile_options}

    def compile_from_config(self, config: Config) -> None:
        self.compile(**config | {"optimizer": keras.saving.deserialize_keras_object(config["optimizer"])})

    def save(self, filepath: Any, overwrite: bool = True, dtype: str = "float32", **kwargs: Any) -> None:
        """Saves to a `.keras` file or to a folder of the same contents: config, weights, optimizer and its state.

        `dtype="float16"` halves the weights and leaves the optimizer out; they are cast back when loaded. "float8"
        halves them again: weights err by up to 1/32, which flows do not stand. A path that starts with "hf://" is
        Keras' own upload; `push_to_hub` tries what it sends.

        Raises `InputError`, `CheckpointError`: what `kerasgen.checkpoints.save_checkpoint` says; nothing was written.
        """
        with self.turns.reading():
            if str(filepath).startswith("hf://"):
                return super().save(filepath, overwrite=overwrite, **kwargs)
            if kwargs:
                raise InputError(f"save has no setting {', '.join(sorted(kwargs))}; expected overwrite and dtype.")
            optimizer = dtype == "float32" and self.lora is None
            return save_checkpoint(self, filepath, dtype, optimizer=optimizer, overwrite=overwrite)

    def push_to_hub(self, repo_id: str, adapter: bool = False, **settings: Any) -> Any:
        """Publishes the model, or its adapter alone, on the Hub; settings are those of `kerasgen.publish`."""
        return (self.hub.publish_adapter if adapter else self.hub.publish)(self, repo_id, **settings)

    @classmethod
    def from_preset(cls, handle: Any, **settings: Any) -> Self:
        """The model that `kerasgen.load` gives for a handle, if it is of this class. `Cls.presets` has the zoo's names.

        Raises `InputError`: it is of another class.
        """
        model = cls.hub.load(handle, **settings)
        if not isinstance(model, cls):
            name = type(model).__name__
            raise InputError(f"{handle!r} is a {name}, not a {cls.__name__}; call {name}.from_preset or kerasgen.load.")
        return model
