"""Notes: tokens of voices to pitches, to a MIDI file that another library reads, to a piano roll, and moved."""

import json

import numpy as np
import pytest
from PIL import Image

from kerasgen import AutoregressiveTransformer, data, metrics
from kerasgen.errors import DatasetError, InputError
from kerasgen.modalities import Notes, tokens_of
from kerasgen.pictures import MARGIN

NOTES = Notes((8,), voices=2, lowest=60, highest=64)
X = np.array([[1, 0, 1, 5, 2, 5, 2, 0], [0, 0, 0, 0, 0, 0, 0, 3]], np.int32)


def test_pitches():
    np.testing.assert_array_equal(NOTES.pitches(X)[0], [[60, -1], [60, 64], [61, 64], [61, -1]])
    assert NOTES.num_tokens == 6
    assert [NOTES.token_of(value) for value in (-1, 60, 64, 65, "60", True)] == [0, 1, 5, None, None, None]
    assert not NOTES.written


def test_a_midi_file(tmp_path):
    """Held pitches are one note; pieces follow each other after a bar."""
    mido = pytest.importorskip("mido")
    NOTES.write(X, tmp_path / "x.mid")
    file = mido.MidiFile(tmp_path / "x.mid")
    found = []
    for voice, track in enumerate(file.tracks):
        time, sounding = 0, {}
        for message in track:
            time += message.time
            if message.type == "note_on":
                sounding[message.note] = time
            elif message.type == "note_off":
                found.append((voice, message.note, sounding.pop(message.note) // 120, time // 120))
        assert not sounding
    assert sorted(found) == [(0, 60, 0, 2), (0, 61, 2, 4), (1, 62, 4 + 16 + 3, 4 + 16 + 4), (1, 64, 1, 3)]
    assert file.ticks_per_beat == 480


def test_a_piano_roll(tmp_path):
    NOTES.write(X, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == "RGB"
    roll = NOTES.grid(X[:1])[MARGIN:-MARGIN, MARGIN:-MARGIN]
    down, across = roll.shape[0] // 5, roll.shape[1] // 4  # of a semitone, of a step
    coloured = (roll[down // 2 :: down, across // 2 :: across] != 255).any(axis=2)
    np.testing.assert_array_equal(coloured, [[0, 1, 1, 0], [0] * 4, [0] * 4, [0, 0, 1, 1], [1, 1, 0, 0]])


def test_moved():
    np.testing.assert_array_equal(NOTES.transposed(X, 1), [[0, 0, 0, 0, 0, 0, 0, 4]])
    np.testing.assert_array_equal(NOTES.transposed(X, 0), X)


def test_pieces_of_a_file(tmp_path):
    path = tmp_path / "pieces.json"
    path.write_text(json.dumps({"train": [[[60, -1], [60, 63], [61, 63], [61, -1], [62, 62]]]}))
    found = data.load_text_arrays(path, tokens=NOTES, texts="lists", stride=2)
    np.testing.assert_array_equal(NOTES.pitches(found)[1], [[60, 63], [61, 63], [61, -1], [62, 62]])
    (batch,) = data.load_texts(path, tokens=NOTES, texts="lists", stride=2, transpose=1, batch_size=8)
    assert len(batch) == 4  # two windows, and up by one; none goes down
    path.write_text(json.dumps([[[60, 70]] * 4]))
    with pytest.raises(DatasetError, match="piece 0 has 70"):
        data.load_text_arrays(path, tokens=NOTES, texts="lists")


def test_a_model_of_notes():
    vocabulary = {"class": "notes", "voices": 2, "lowest": 60, "highest": 64}
    model = AutoregressiveTransformer((8,), vocabulary, {"class": "Transformer", "width": 8, "depth": 1})
    again = type(model).from_config(model.get_config())
    assert again.modality.pitches(again.sample(3, seed=0)).shape == (3, 4, 2)
    found = metrics.evaluate(metrics.Evaluation(model, X, None, "test"))["metrics"]
    assert found["nats_per_step"]["value"] == pytest.approx(2 * found["nats_per_token"]["value"])
    assert "bits_per_char" not in found


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Notes((7,), 2), "multiple of 2"),
        (lambda: Notes((8,), 2, 70, 60), "highest"),
        (lambda: tokens_of((8,), {"class": "chords"}), "vocabulary is"),
        (lambda: tokens_of((8,), {"class": "notes", "voice": 4}), "vocabulary is"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
