"""How many examples a second are done: what progress bars say beside the time of a step."""

import time

import keras

from kerasgen.typing import Any, Callable


class Rate:
    """Examples a second, from when it is made; the first part, in which programs are compiled, counts only alone.

    Args:
        noun: what the examples are called.
    """

    def __init__(self, noun: str):
        self.noun = noun
        self.unit = "step"
        self.since, self.before = time.perf_counter(), 0  # when what is counted began, and what was done then
        self.done = 0

    def at(self, done: int) -> str:
        """The unit of a bar of steps, after one of them, once so many examples are done; without a rate if none are.

        Of steps that are told of late, when more are done already, it takes no notice: Keras' threads may do so.
        """
        if done > self.done:
            now = time.perf_counter()
            rate = (done - self.before) / max(now - self.since, 1e-9)
            self.unit = f"step - {rate:,.0f} {self.noun}/s" if rate >= 10 else f"step - {rate:.2g} {self.noun}/s"
            if not self.done:
                self.since, self.before = now, done
            self.done = done
        return self.unit


class RateLogger(keras.callbacks.ProgbarLogger):
    """Keras' progress bar, which also says how many examples a second are trained on.

    Args:
        noun: what the examples are called.
        rows: gives the examples in a whole batch of all devices, or 0 as long as it is not known.
    """

    async_safe = True  # as Keras' own is, so that others of the callbacks still may be called beside the steps

    def __init__(self, noun: str, rows: Callable[[], int]):
        super().__init__()
        self.noun, self.rows = noun, rows

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self.rate = Rate(self.noun)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.progbar.unit_name = self.rate.at((batch + 1) * self.rows())
        super().on_train_batch_end(batch, logs)


def with_rate(callbacks: Any, verbose: Any, noun: str, rows: Callable[[], int]) -> Any:
    """The callbacks with a `RateLogger`, the last, where Keras would add a progress bar of its own to them."""
    shown = isinstance(callbacks, keras.callbacks.CallbackList) or any(
        isinstance(callback, keras.callbacks.ProgbarLogger) for callback in callbacks
    )
    return callbacks if shown or not verbose else [*callbacks, RateLogger(noun, rows)]
