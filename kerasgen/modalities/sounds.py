"""Sounds: `[num_samples]` in [-1, 1], which models see as spectrograms `[frequency, time, 1]` in [0, 1]."""

import wave
from pathlib import Path

import numpy as np

from kerasgen import inputs, pictures
from kerasgen.errors import InputError
from kerasgen.files import replacing
from kerasgen.modalities.images import Images
from kerasgen.modalities.modality import to_numpy
from kerasgen.typing import Any, Array, ArrayLike, Config, Sequence

MOMENTUM = 0.99  # of phase reconstruction (Perraudin et al. 2013)
ROUNDS = 100  # of phase reconstruction: two thirds of a decibel are lost on speech
AT_ONCE = 64  # sounds whose phases are found together
PAUSE = 0.25  # seconds between sounds in one file
SHADE = 0.6  # exponent of what is shown
LOUDEST = 32767  # of 16 bits
MOST_SAMPLES = 2**24  # of a sound, and of a window


class Sounds(Images):
    """Sounds of one length, of one channel, as the logarithm of the magnitudes of short Fourier transforms.

    A spectrogram has `window / 2` frequencies, from 0 upwards, and `num_samples / hop` times. Its value is
    1 + 20 log10(m) / `decibels`, cut to [0, 1], where m is |sum_t w(t) x(t) exp(-i f t)| / sum_t w(t), at most 1, and w
    is Hann's window. The frequency of half the sample rate is left out.

    Args:
        sample_rate: samples a second.
        num_samples: of a sound.
        window: samples that one transform sees.
        hop: samples from one transform to the next, a quarter of the window or a smaller part of it: from fewer
            transforms a sound would not come back.
        decibels: from the loudest that there can be down to silence.
    """

    noun, axes = "sounds", "frequency, time, 1"
    counted = noun
    values = "float spectrograms in [0, 1], or sounds [batch, samples] of int16 or float in [-1, 1]"
    advice = " Sounds [batch, samples] become that by model.modality.check, files by kerasgen.data.load_sounds."
    range_note = " in [0, 1], spectrograms"
    using_results = 'model.modality.write(sounds, "sounds.wav")'
    suffixes = (".png", ".wav", ".npy", "")

    def __init__(
        self, sample_rate: int, num_samples: int, window: int = 256, hop: int = 64, decibels: float = 80.0
    ) -> None:
        self.sample_rate = inputs.check_integer("sample_rate", sample_rate, 1)
        self.num_samples = inputs.check_integer("num_samples", num_samples, 1, MOST_SAMPLES)
        self.window = inputs.check_integer("window", window, 8, MOST_SAMPLES)
        self.hop = inputs.check_integer("hop", hop, 1)
        self.decibels = inputs.check_number("decibels", decibels, 1.0)
        if window % hop or window < 4 * hop or window % 2:
            raise InputError(f"hop is {hop}; expected a quarter, or a smaller part, of the window of {window}.")
        if num_samples % hop:
            raise InputError(f"num_samples is {num_samples}; expected a multiple of {hop}, the hop.")
        super().__init__((window // 2, num_samples // hop, 1))
        turns = 2.0 * np.pi * np.arange(window) / window
        self._weights = (0.5 - 0.5 * np.cos(turns)).astype(np.float32)

    @property
    def config(self) -> Config:
        names = ("sample_rate", "num_samples", "window", "hop", "decibels")
        return {"class": "sounds"} | {name: getattr(self, name) for name in names}

    @property
    def example(self) -> str:
        return f"sounds = np.zeros((16, {self.num_samples}), np.int16)  # yours, or float in [-1, 1]"

    def to_array(self, x: ArrayLike) -> Array:
        x = to_numpy(self.noun, x)
        return super().to_array(self.spectrograms(x) if x.ndim == 2 else x)

    def of_shape(self, shape: Sequence[int]) -> "Sounds":
        """Those of longer or shorter sounds, with as many frequencies."""
        frequencies, times, channels = shape
        if (frequencies, channels) != (self.shape[0], 1):
            raise InputError(f"spectrograms have shape {tuple(shape)}; expected [{self.shape[0]}, time, 1].")
        settings = {name: value for name, value in self.config.items() if name != "class"}
        return Sounds(**settings | {"num_samples": times * self.hop})

    def check_any_size(self, x: ArrayLike) -> Array:
        """As of spectrograms; and of sounds `[N, num_samples]` of any length, filled up by silence to whole hops."""
        x = to_numpy(self.noun, x)
        if x.ndim != 2 or 0 in x.shape:
            return super().check_any_size(x)
        times = -(-x.shape[1] // self.hop)
        filled = np.pad(x, ((0, 0), (0, times * self.hop - x.shape[1])))
        return self.of_shape((self.shape[0], times, 1)).check(filled)

    # Between sounds and spectrograms

    def spectrograms(self, sounds: ArrayLike) -> Array:
        """float32 `[N, frequency, time, 1]` in [0, 1] of sounds `[N, num_samples]`, int16 or float in [-1, 1].

        Raises `InputError`: they are not of this length, or out of this range.
        """
        sounds = to_numpy(self.noun, sounds)
        if sounds.ndim != 2 or sounds.shape[1] != self.num_samples or len(sounds) == 0:
            raise InputError(f"sounds have shape {sounds.shape}; expected [batch, {self.num_samples}].")
        if sounds.dtype == np.int16:
            sounds = sounds / np.float32(LOUDEST + 1)
        elif sounds.dtype.kind != "f":
            raise InputError(f"sounds have dtype {sounds.dtype}; expected int16, or float in [-1, 1].")
        if not np.abs(sounds).max() <= 1.0:
            largest = np.abs(sounds).max()
            raise InputError(f"sounds reach {largest:g}; expected finite floats in [-1, 1], or int16.")
        parts = range(0, len(sounds), AT_ONCE)
        return np.concatenate([self._levels(self._transformed(sounds[i : i + AT_ONCE])) for i in parts])

    def sounds(self, spectrograms: ArrayLike) -> Array:
        """float32 `[N, num_samples]` in [-1, 1], of spectrograms that need not be those of any sound.

        The phases are those whose sound has the most alike spectrogram, by Griffin and Lim 1984 with momentum
        (Perraudin et al. 2013, "A fast Griffin-Lim algorithm"), from phases drawn with a fixed seed.
        """
        x = self.to_float(self.check(spectrograms))[..., 0]
        return np.concatenate([self._with_phases(x[i : i + AT_ONCE]) for i in range(0, len(x), AT_ONCE)])

    def _transformed(self, sounds):
        """complex64 `[N, time, frequency]`: a window around each multiple of the hop, from 0."""
        padded = np.pad(sounds.astype(np.float32), ((0, 0), (self.window // 2, self.window // 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.window, axis=1)[:, :: self.hop]
        found = np.fft.rfft(windows[:, : self.shape[1]] * self._weights)[..., :-1]
        return (found / self._weights.sum()).astype(np.complex64)

    def _sounding(self, transformed):
        """The sounds whose transforms are nearest to these, in the mean square."""
        num, times, _ = transformed.shape
        whole = np.pad(transformed * self._weights.sum(), ((0, 0), (0, 0), (0, 1)))
        windows = np.fft.irfft(whole, self.window).astype(np.float32) * self._weights
        found, covered = (np.zeros((n, self.num_samples + self.window), np.float32) for n in (num, 1))
        for index in range(times):
            place = slice(index * self.hop, index * self.hop + self.window)
            found[:, place] += windows[:, index]
            covered[:, place] += np.square(self._weights)
        inside = slice(self.window // 2, self.window // 2 + self.num_samples)
        return found[:, inside] / np.maximum(covered[:, inside], 1e-3)

    def _levels(self, transformed):
        silent = 10.0 ** (-self.decibels / 20.0)
        level = 1.0 + 20.0 / self.decibels * np.log10(np.maximum(np.abs(transformed), silent))
        return np.clip(level, 0.0, 1.0).swapaxes(1, 2)[..., None].astype(np.float32)

    def _with_phases(self, levels):
        magnitudes = np.where(levels > 0.0, 10.0 ** (self.decibels / 20.0 * (levels - 1.0)), 0.0).swapaxes(1, 2)
        phases = np.exp(2j * np.pi * np.random.default_rng(0).random(magnitudes.shape[1:]))
        guess, before = magnitudes * phases, None
        for _ in range(ROUNDS):
            consistent = self._transformed(self._sounding(guess))
            ahead = consistent if before is None else consistent + MOMENTUM * (consistent - before)
            guess, before = magnitudes * np.exp(1j * np.angle(ahead)), consistent
        return np.clip(self._sounding(guess), -1.0, 1.0).astype(np.float32)

    # Files and pictures

    def grid(self, examples: ArrayLike, columns: int | None = None) -> Array:
        """Spectrograms: frequency upwards, time to the right; the loudest value is white, and soft ones are lifted."""
        x = self.to_float(self.to_array(examples))
        return pictures.grid((x / max(x.max(), 1e-6))[:, ::-1] ** SHADE, columns)

    def save(self, x: Array, path: Path, columns: int | None) -> None:
        if path.suffix == ".png":
            return pictures.save_frames([self.grid(x, columns)], path)
        sounds = self.sounds(x)
        if path.suffix:
            pause = np.zeros((len(sounds), round(PAUSE * self.sample_rate)), np.float32)
            return self._save(np.concatenate([sounds, pause], axis=1).ravel(), path)
        for index, sound in enumerate(sounds):
            self._save(sound, path / f"{index:06d}.wav")

    def _save(self, sound, path):
        """A WAV file of 16 bits."""
        with replacing(path) as file, wave.open(file, "wb") as written:
            written.setnchannels(1)
            written.setsampwidth(2)
            written.setframerate(self.sample_rate)
            written.writeframes(np.rint(LOUDEST * sound).astype("<i2").tobytes())

    def extent(self, x: Array) -> tuple[float, str]:
        """Of sounds or spectrograms, in seconds."""
        samples = x.shape[1] if x.ndim == 2 else x.shape[2] * self.hop
        return len(x) * samples / self.sample_rate, "second"

    def file_size(self, example: Array) -> int:
        raise InputError("spectrograms have no usual file without loss.")


def sounds_of(config: Any) -> Sounds:
    """The modality of a dictionary such as `{"class": "sounds", "sample_rate": 8000, "num_samples": 8192}`."""
    settings = {name: value for name, value in config.items() if name != "class"}
    if (
        config.get("class") != "sounds"
        or not {"sample_rate", "num_samples"} <= settings.keys()
        or (settings.keys() - {"sample_rate", "num_samples", "window", "hop", "decibels"})
    ):
        expected = '{"class": "sounds", "sample_rate": 8000, "num_samples": 8192}'
        raise InputError(f"shape is {config!r:.200}; expected for example {expected}.")
    return Sounds(**settings)
