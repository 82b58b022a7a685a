"""What a contestant of a race is handed, and what it hands back; nothing here imports a framework."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

PEERS = {  # of a race: its peer, the module beside this one, and what that needs
    "diffusion": ("diffusers", "diffusers_unet", "diffusers"),
    "glow": ("normflows", "normflows_glow", "normflows"),
    "vae": ("pythae", "pythae_vae", "pythae"),
    "gan": ("PyTorch's DCGAN", "pytorch_dcgan", "torch"),
}
MEASURING = 60.0  # seconds, at most, from which a contestant with a schedule tells how many steps there will be
MEASURING_SHARE = 0.05  # of the time, at most
LEAST_STEPS = 10  # that are measured, however long they take


@dataclass
class Data:
    """The same arrays for both contestants: uint8 images `[N, H, W, C]` and integer labels `[N]`."""

    images: np.ndarray
    labels: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


@dataclass
class Trained:
    """A trained model, as functions of NumPy arrays. Of those that are `None` the race asks for none."""

    steps: int
    batch_size: int
    parameters: int  # all that were trained, of a GAN those of both players
    settings: dict  # what it was trained and is sampled with, for the record
    sample: Callable  # from (number, seed) to uint8 images [number, H, W, C]
    log_density: Callable | None = None  # from x [B, H, W, C] in [0, 1) and labels [B] to log p(x) [B], nats
    posterior: Callable | None = None  # from x [B, H, W, C] in [0, 1] to mean and log-variance of q(z | x) [B, D]
    logits: Callable | None = None  # from z [B, D] to the logits of the pixels of p(x | z) [B, H, W, C]


@dataclass
class Clock:
    """The time to train: from `start`, in which all else is ready, to the end of the step in which it is up.

    Compiling, tracing, initialization from data, the loading of batches and the measuring of a pace count; imports,
    the reading of the arrays and the making of the first network do not.
    """

    limit: float  # seconds
    steps: int = 0
    seconds: float = 0.0  # to the end of the last step
    _start: float = field(default=0.0, repr=False)

    def start(self) -> None:
        self._start = time.perf_counter()

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self._start

    def step(self) -> bool:
        """Counts a step that has ended; whether there is time for another."""
        self.steps, self.seconds = self.steps + 1, self.elapsed
        return self.seconds < self.limit

    @property
    def measuring(self) -> float:
        """Seconds in which a pace is measured."""
        return min(MEASURING, MEASURING_SHARE * self.limit)


def batches(num: int, size: int, seed: int) -> Iterator[np.ndarray]:
    """Indices of shuffled batches without end, `[size]`; what is left of an epoch is dropped."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(num)
        yield from (order[start : start + size] for start in range(0, num - size + 1, size))


def in_batches(function: Callable, size: int, *arrays: np.ndarray) -> np.ndarray:
    """`function(*arrays)` by parts of so many rows."""
    parts = range(0, len(arrays[0]), size)
    return np.concatenate([function(*(array[start : start + size] for array in arrays)) for start in parts])


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Images in [0, 1] as pixels."""
    return np.rint(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)
