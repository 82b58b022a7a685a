"""The errors that kerasgen raises for input it cannot take.

All derive from `KerasgenError`, itself a `ValueError`. Each message says what was wrong, what was expected and what to
do; the command line prints it as one line and exits with status 1.
"""


class KerasgenError(ValueError):
    """Input that kerasgen cannot take."""


class InputError(KerasgenError):
    """Images, labels or arguments that do not fit the model."""


class DatasetError(KerasgenError):
    """A data set that cannot be found, read or brought to the asked shape."""


class RecipeError(KerasgenError):
    """A recipe with an unknown, missing or ill-typed entry."""


class CheckpointError(KerasgenError):
    """A checkpoint that is damaged, incomplete or asks for something that is not allowed."""


class HubError(KerasgenError):
    """The Hugging Face Hub did not give or take something."""


class RunStopped(KerasgenError):
    """A run that was asked to stop (SIGTERM), and has saved its state; not a failure."""


class ProcessLost(KerasgenError):
    """Another of the processes that train together is gone."""


class UnknownModelError(KerasgenError):
    """A handle that names no model."""
