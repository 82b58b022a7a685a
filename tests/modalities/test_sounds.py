"""Sounds: spectrograms against SciPy's, and back; files; models of them."""

import wave

import keras
import numpy as np
import pytest
import scipy.signal

import kerasgen
from kerasgen import metrics
from kerasgen.cli import main
from kerasgen.errors import InputError
from kerasgen.modalities import Sounds, modality_of, sounds_of
from kerasgen.modalities.images import Images

CONFIG = {"class": "sounds", "sample_rate": 8000, "num_samples": 2048, "window": 128, "hop": 32}


@pytest.fixture(scope="module")
def kind():
    return sounds_of(CONFIG)


def voices(num=3, samples=2048, rate=8000):
    """Tones that glide, with overtones, and swell and fade, as speech does."""
    rng = np.random.default_rng(0)
    t = np.arange(samples) / rate
    found = []
    for _ in range(num):
        low, high = rng.uniform(100, 250, 2)
        phase = 2 * np.pi * np.cumsum(np.linspace(low, high, samples)) / rate
        tones = sum(np.sin(k * phase) / k for k in range(1, 9))
        found.append(0.3 * tones * np.sin(np.pi * t / t[-1]) ** 2 + 0.003 * rng.normal(size=samples))
    return np.stack(found).astype(np.float32)


def test_spectrograms_are_those_of_scipy(kind):
    x = voices()
    assert kind.shape == (64, 64, 1)
    window = scipy.signal.get_window("hann", 128)
    transform = scipy.signal.ShortTimeFFT(window, hop=32, fs=8000, scale_to="magnitude")
    expected = np.abs(transform.stft(x.astype(np.float64), p0=0, p1=64))[:, :-1]
    expected = np.clip(1.0 + 20.0 / 80.0 * np.log10(np.maximum(expected, 1e-4)), 0.0, 1.0)
    np.testing.assert_allclose(kind.spectrograms(x)[..., 0], expected, atol=2e-4)


def test_a_sine_is_where_it_should_be(kind):
    """Of amplitude 1 it has half the magnitude that there can be, 6.02 decibels less, at its frequency."""
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(2048) / 8000)[None]
    found = kind.spectrograms(tone)[0, :, 32, 0]
    assert found.argmax() == 1000 * 128 // 8000
    assert found.max() == pytest.approx(1.0 - 20.0 * np.log10(2.0) / 80.0, abs=1e-3)


def test_sounds_come_back(kind):
    """Less than 2 dB of log-spectral distance is lost, of sounds with noise throughout; of 16 and 8 bits, too."""
    x = voices()
    for given in (x, np.int16(32767 * x)):
        before = kind.check(given)
        for stored in (before, kind.to_storage(before)):
            again = kind.spectrograms(kind.sounds(stored))
            decibels = 80.0 * (again - before)[..., 0]
            assert np.sqrt(np.square(decibels).mean(axis=1)).mean() < 2.0
    assert np.abs(kind.sounds(np.zeros((1, 64, 64, 1), np.float32))).max() == 0.0


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((2, 2047), np.float32), "have shape"),
        (np.zeros((2, 2048), np.int32), "dtype int32"),
        (np.full((2, 2048), 1.5, np.float32), "reach 1.5"),
        (np.full((2, 2048), np.nan, np.float32), "reach nan"),
        (np.zeros((2, 64, 63, 1), np.float32), "load_sounds"),
        (np.full((2, 64, 64, 1), -0.5, np.float32), "range over"),
    ],
)
def test_what_is_no_sound_is_refused(kind, x, said):
    with pytest.raises(InputError, match=said):
        kind.check(x)


@pytest.mark.parametrize(
    "change",
    [
        {"hop": 64},
        {"hop": 48},
        {"window": 0},
        {"num_samples": 2047},
        {"sample_rate": 0.5},
        {"loudness": 3},
        {"class": "tokens"},
    ],
)
def test_wrong_settings_are_refused(change):
    with pytest.raises(InputError):
        modality_of(CONFIG | change, (Images,))


def test_files(kind, tmp_path):
    x = voices()
    kind.write(x, tmp_path / "all.wav")
    kind.write(x, tmp_path / "each")
    kind.write(x, tmp_path / "all.png")
    with wave.open(str(tmp_path / "each" / "000001.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 1, 2048)
        found = np.frombuffer(file.readframes(2048), "<i2") / 32767.0
    np.testing.assert_allclose(found, kind.sounds(kind.check(x))[1], atol=1e-4)
    with wave.open(str(tmp_path / "all.wav")) as file:
        assert file.getnframes() == 3 * (2048 + 2000)


def test_pictures(kind):
    """High frequencies lie above; the loudest value is white, and silence black."""
    x = 0.25 * kind.to_float(kind.check(np.sin(2 * np.pi * 3000.0 * np.arange(2048) / 8000)[None]))
    picture = kind.grid(x)[2:66, 2:66, 0]
    assert picture.max() == 255 and kind.grid(np.zeros_like(x))[2:66, 2:66].max() == 0
    assert picture[:, 32].argmax() == 63 - 3000 * 128 // 8000
    np.testing.assert_allclose(picture[::-1] / 255.0, (x[0, ..., 0] / x.max()) ** 0.6, atol=0.01)


def test_models_of_sounds(tmp_path):
    """They train on sounds and on their files, draw, and keep what they need to be heard."""
    pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    network = {"class": "UNet", "width": 8, "multipliers": [1], "blocks": 1, "attention": [], "patch": 4}
    model = kerasgen.FlowMatching(CONFIG, network=network, num_classes=2)
    x, y = voices(8), np.arange(8) % 2
    model.compile()
    model.fit(x, y, batch_size=4, epochs=1, verbose=0)
    for index in range(2):
        model.modality.write(x[index::2], tmp_path / "files" / "ab"[index])
    if keras.backend.backend() == "tensorflow":
        model.fit(kerasgen.data.load_sounds(tmp_path / "files", batch_size=4, sounds=model.modality), verbose=0)
    model.save(tmp_path / "model")
    again = kerasgen.load(tmp_path / "model")
    assert isinstance(again.modality, Sounds) and again.modality.config == model.modality.config
    drawn = again.sample(2, steps=2, seed=0, verbose=0)
    np.testing.assert_allclose(drawn, model.sample(2, steps=2, seed=0, verbose=0), atol=1e-5)
    heard = again.modality.sounds(drawn)
    assert heard.shape == (2, 2048) and np.abs(heard).max() <= 1.0
    codec = kerasgen.Autoencoder(CONFIG, 4, encoder="dense", decoder="dense", width=4)
    latent = kerasgen.LatentDiffusion(codec, {"class": "FlowMatching", "network": {"class": "MLP", "width": 8}})
    latent.save(tmp_path / "latent")
    assert isinstance(kerasgen.load(tmp_path / "latent").modality, Sounds)


@pytest.fixture(scope="module")
def codec():
    spatial = {"class": "spatial", "levels": 2}
    return kerasgen.VQVAE(CONFIG, (16, 16), {"class": "vector", "num_codes": 16, "dim": 4}, spatial, spatial, 8, 8)


def test_compression_of_sounds(codec):
    """Of any length, in pieces; what one piece gives is its reconstruction."""
    x = voices()
    data = codec.compress(x, verbose=0)
    np.testing.assert_array_equal(codec.decompress(data, verbose=0), codec.reconstruct(x, verbose=0))
    found = metrics.evaluate(metrics.Evaluation(codec, codec.modality.check(x), None, "test"), ["rate"])["metrics"]
    assert found["bits_per_second"]["value"] == pytest.approx(8 * len(data) / (3 * 2048 / 8000))
    long = codec.decompress(codec.compress(np.concatenate([x, x[:, :100]], axis=1), verbose=0), verbose=0)
    assert long.shape == (3, 64, 68, 1)
    np.testing.assert_allclose(long[:, :, :60], codec.decompress(data, verbose=0)[:, :, :60], atol=0.2)
    assert codec.modality.of_shape(long.shape[1:]).sounds(long).shape == (3, 68 * 32)
    for wrong, message in (
        (x[:0], r"shape \(0, 2048\); expected \[batch, frequency, time, 1\]"),
        (np.zeros((2, 32, 64, 1), np.float32), r"expected \[64, time, 1\]"),
        (2.0 * x / np.abs(x).max(), "sounds reach 2"),
    ):
        with pytest.raises(InputError, match=message):
            codec.compress(wrong)


def test_commands_compress_sounds(codec, tmp_path, capsys):
    pytest.importorskip("soundfile")
    codec.save(tmp_path / "model")
    long = Sounds(8000, 4096, 128, 32)
    for kind, name in ((codec.modality, "a.wav"), (long, "b.wav")):
        kind.write(voices(1, kind.num_samples), tmp_path / "sounds" / name)

    def status(*args):
        return main.execute(main.parser().parse_args(list(map(str, args))))

    compress = ("compress", tmp_path / "model", "--input", tmp_path / "sounds", "--output")
    assert status(*compress, tmp_path / "all.kgen") == 1
    assert "of several sizes" in capsys.readouterr().err
    assert status(*compress, tmp_path / "coded") == 0
    size = sum(file.stat().st_size for file in (tmp_path / "coded").iterdir())
    seconds = (2048 + 4096) / 8000 + 2 * 0.25  # with the silence behind each
    assert f"{8 * size / seconds:.4g} bits a second" in capsys.readouterr().out
    np.save(tmp_path / "x.npy", codec.modality.check(voices()))
    assert status("compress", *compress[1:2], "--input", tmp_path / "x.npy", "--output", tmp_path / "x.kgen") == 0
    rate = 8 * (tmp_path / "x.kgen").stat().st_size / (3 * 2048 / 8000)
    assert f"{rate:.4g} bits a second" in capsys.readouterr().out
    assert status("decompress", tmp_path / "model", "--input", tmp_path / "coded", "--output", tmp_path / "again") == 0
    with wave.open(str(tmp_path / "again" / "000001" / "000000.wav")) as file:
        assert file.getnframes() == 4096 + 2000 + 16  # whole hops
