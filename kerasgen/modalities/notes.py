"""Notes: voices that sound together, step after step, as tokens."""

from pathlib import Path

import numpy as np

from kerasgen import inputs, pictures
from kerasgen.errors import InputError
from kerasgen.files import replacing
from kerasgen.modalities.tokens import Tokens
from kerasgen.typing import Any, Array, ArrayLike, Sequence

TICKS = 120  # of a MIDI file in a step, which is a sixteenth
COLOURS = np.array([[0.75, 0.2, 0.2], [0.85, 0.55, 0.1], [0.15, 0.55, 0.3], [0.15, 0.35, 0.7]], np.float32)
HIGH, WIDE = 2, 3  # pixels of a semitone and of a step in a picture


class Notes(Tokens):
    """Tokens `[steps x voices]`, in each step a voice after the other: 0 is a rest, k the MIDI pitch `lowest` + k - 1.

    A pitch that a voice has in successive steps is one note, held.
    """

    noun, axes = "notes", "steps x voices"
    suffixes = (".png", ".mid", ".npy")
    drawable = True

    def __init__(self, shape: int | Sequence[int], voices: int = 4, lowest: int = 36, highest: int = 81) -> None:
        self.lowest = inputs.check_integer("lowest", lowest, 0, 127)
        self.highest = inputs.check_integer("highest", highest, self.lowest, 127)
        super().__init__(shape, self.highest - self.lowest + 2)
        self.voices = self.tokens_per_step = inputs.check_integer("voices", voices, 1)
        if self.shape[0] % voices:
            raise InputError(f"shape is {self.shape}; expected a multiple of {voices}, the voices of a step.")

    def token_of(self, value: Any) -> int | None:
        """That of a MIDI pitch, or of -1 for a rest."""
        if type(value) is not int or not (value == -1 or self.lowest <= value <= self.highest):
            return None
        return 0 if value == -1 else value - self.lowest + 1

    def pitches(self, x: ArrayLike) -> Array:
        """MIDI pitches `[N, steps, voices]` of notes, -1 for rests."""
        x = self.check(x).reshape(-1, self.shape[0] // self.voices, self.voices)
        return np.where(x == 0, -1, x + self.lowest - 1)

    def transposed(self, x: Array, semitones: int) -> Array:
        """Those of the sequences `[N, L]` that stay within the pitches when all are moved."""
        moved = np.where(x > 0, x + semitones, 0)
        sounding = x > 0
        fits = ((moved >= 1) & (moved < self.num_tokens) | ~sounding).all(axis=1)
        return moved[fits].astype(np.int32)

    def grid(self, examples: ArrayLike, columns: int | None = None) -> Array:
        """Piano rolls: pitch upwards, time to the right, a colour a voice."""
        pitches = self.pitches(examples)
        num, steps, voices = pitches.shape
        rolls = np.ones((num, self.highest - self.lowest + 1, steps, 3), np.float32)
        for voice in range(voices):
            which, step = np.nonzero(pitches[:, :, voice] >= 0)
            rolls[which, self.highest - pitches[which, step, voice], step] = COLOURS[voice % len(COLOURS)]
        return pictures.grid(rolls.repeat(HIGH, axis=1).repeat(WIDE, axis=2), columns)

    def save(self, x: Array, path: Path, columns: int | None) -> None:
        if path.suffix == ".png":
            return pictures.save_frames([self.grid(x, columns)], path)
        try:
            from mido import Message, MidiFile, MidiTrack
        except ImportError as error:
            raise InputError('MIDI files need mido: pip install "kerasgen-zoo[music]".') from error
        pitches = self.pitches(x)
        rest = np.full((len(pitches), 16, self.voices), -1)  # a bar of silence between pieces
        file = MidiFile(ticks_per_beat=4 * TICKS)
        for voice, line in enumerate(np.concatenate([pitches, rest], axis=1).reshape(-1, self.voices).T):
            track, waited = MidiTrack(), 0
            starts = np.flatnonzero(np.diff(line, prepend=-2))
            for start, stop in zip(starts, [*starts[1:], len(line)], strict=True):
                ticks = int(stop - start) * TICKS
                if line[start] < 0:
                    waited += ticks
                    continue
                note = {"note": int(line[start]), "channel": voice % 9}
                track += [Message("note_on", velocity=80, time=waited, **note), Message("note_off", time=ticks, **note)]
                waited = 0
            file.tracks.append(track)
        with replacing(path) as written:
            file.save(file=written)
