"""Each modality takes what it names, gives what it says, and refuses each other input with one clear error."""

import re

import keras
import numpy as np
import pytest

from kerasgen.errors import InputError
from kerasgen.modalities import Images, Tokens, Vectors, Videos, modality_of

RNG = np.random.default_rng(0)
IMAGES, VIDEOS, VECTORS, TOKENS = Images((4, 5, 3)), Videos((6, 4, 5, 1)), Vectors((7,)), Tokens((9,), "abc")
PIXELS = {m: RNG.integers(0, 256, (8, *m.shape), dtype=np.uint8) for m in (IMAGES, VIDEOS)}
EXAMPLES = PIXELS | {
    VECTORS: (1e3 * RNG.standard_normal((8, 7))).astype(np.float32),
    TOKENS: RNG.integers(0, 3, (8, 9), dtype=np.int32),
}
every = pytest.mark.parametrize("modality", EXAMPLES, ids=lambda modality: modality.noun)


def nan(x):
    x = x / np.float32(255.0)
    x[3, 2, 1] = np.nan
    return x


@every
def test_takes_arrays_tensors_lists_and_tuples(modality):
    x = EXAMPLES[modality]
    values = [x, keras.ops.convert_to_tensor(x), list(x), tuple(x)]
    values += [x.astype(np.int64), x.tolist()] if modality is TOKENS else []
    values += [x.astype(np.float64)] if modality is VECTORS else []
    for value in values:
        checked = modality.check(value)
        assert checked.dtype == x.dtype
        np.testing.assert_array_equal(checked, x)


@pytest.mark.parametrize("modality", PIXELS, ids=lambda modality: modality.noun)
def test_pixels_are_uint8_in_storage_and_from_0_to_1_elsewhere(modality):
    x = np.arange(256).repeat(modality.shape[-1]).astype(np.uint8)
    reals = x.astype(np.float64) / 255.0
    for scaled in (modality.scale(keras.ops.convert_to_tensor(x)), modality.to_float(x)):
        assert keras.backend.standardize_dtype(scaled.dtype) == "float32"
        np.testing.assert_allclose(keras.ops.convert_to_numpy(scaled), reals, rtol=1e-6)
    checked = modality.check((PIXELS[modality] / 255.0).tolist())
    assert checked.dtype == modality.to_float(checked).dtype == np.float32
    np.testing.assert_array_equal(modality.to_storage(checked), PIXELS[modality])
    assert modality.range_note == " in [0, 1]"
    np.testing.assert_array_equal(modality.to_storage(x), x)
    np.testing.assert_array_equal(modality.to_network(np.float32([0.0, 0.5, 1.0])), [-1.0, 0.0, 1.0])
    x = np.float32(RNG.random(1000))
    np.testing.assert_allclose(modality.from_network(modality.to_network(x)), x, atol=1e-7)


@pytest.mark.parametrize("modality", [VECTORS, TOKENS], ids=lambda modality: modality.noun)
def test_vectors_and_tokens_stay_as_they_are(modality):
    x = EXAMPLES[modality]
    scaled = modality.scale(keras.ops.convert_to_tensor(x))
    for same in (scaled, modality.to_network(scaled), modality.from_network(scaled), modality.to_storage(x)):
        assert keras.backend.standardize_dtype(same.dtype) == x.dtype.name
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(same), x)
    assert modality.to_float(x) is x
    assert modality.range_note == ""


@every
def test_static_shapes_may_be_unknown_in_part(modality):
    modality.check_spec((None, *modality.shape[:-1], None), EXAMPLES[modality].dtype.name)


@every
def test_refuses_what_no_modality_takes(modality):
    x, noun = EXAMPLES[modality], modality.noun
    axes, shape = modality.axes, ", ".join(map(str, modality.shape))
    taken = "a list of texts, or an array" if modality is TOKENS else "an array or a tensor"
    for bad, message in [
        ("text", f"{noun} is a str; expected {taken}."),
        ([x[0], x[0, :1]], f"{noun} is a list of unequal shapes; expected equal ones."),
        (x[0], f"expected [batch, {axes}]; add the batch axis with x[None]."),
        (x[None], f"{noun} have {x.ndim + 1} axes, shape (1, 8, {shape}); expected [batch, {axes}]."),
        (x[..., :0], f"this model takes [batch, {shape}] ({axes}).{modality.advice}"),
        (x.astype(complex), f"{noun} have dtype complex128; expected {modality.values}."),
        (x > 0, f"{noun} have dtype bool; expected {modality.values}."),
        (x[:0], f"there are no {noun}: the first axis has length 0."),
    ]:
        with pytest.raises(InputError, match=re.escape(message) + "$"):
            modality.check(bad)


@pytest.mark.parametrize(
    ("modality", "change", "message"),
    [
        (IMAGES, nan, "images have NaN values; expected float in [0, 1]."),
        (VIDEOS, nan, "videos have NaN values"),
        (IMAGES, lambda x: x.astype(np.int64), "int64; expected uint8 in 0..255 or float in [0, 1]."),
        (IMAGES, np.float32, "or uint8 in 0..255; convert with x.astype('uint8')."),
        (
            IMAGES,
            lambda x: x / 255.0 - 0.5,
            "images range over [-0.5, 0.5]; expected float in [0, 1] or uint8 in 0..255.",
        ),
        (IMAGES, lambda x: 2.0 * x, "expected float in [0, 1] or uint8 in 0..255."),
        (VECTORS, np.int64, "vectors have dtype int64; expected float."),
        (VECTORS, lambda x: x + np.float32(np.inf), "vectors have values that are not finite."),
        (VECTORS, lambda x: x * np.nan, "vectors have values that are not finite."),
        (VECTORS, lambda x: 1e300 * x.astype(np.float64), "vectors have values that are not finite."),
        (TOKENS, np.float32, "tokens have dtype float32; expected integers from 0 to 2, or texts."),
        (TOKENS, lambda x: x - 1, "tokens range over -1..1; expected integers from 0 to 2, or texts."),
        (TOKENS, lambda x: x + 2**32, "range over 4294967296..4294967298; expected integers from 0 to 2, or texts."),
    ],
)
def test_refuses_values(modality, change, message):
    with pytest.raises(InputError, match=re.escape(message)):
        modality.check(change(EXAMPLES[modality].astype(np.int64 if modality is TOKENS else EXAMPLES[modality].dtype)))


@pytest.mark.parametrize(
    ("kinds", "shape", "kind", "sides"),
    [
        ([Images], [8, 8, 3], Images, (8, 8, 3)),
        ([Images, Vectors], np.array([2]), Vectors, (2,)),
        ([Images, Vectors], 2, Vectors, (2,)),
        ([Images, Videos], (9, 8, 8, 3), Videos, (9, 8, 8, 3)),
    ],
)
def test_modality_of_a_shape(kinds, shape, kind, sides):
    modality = modality_of(shape, kinds)
    assert type(modality) is kind
    assert modality.shape == sides
    assert all(type(side) is int for side in modality.shape)


@pytest.mark.parametrize(
    ("kinds", "shape", "message"),
    [
        ([Images], (8, 8), "shape is (8, 8); expected (height, width, channels), each at least 1."),
        ([Images], 8, "shape is (8,); expected (height, width, channels), each at least 1."),
        ([Images], (8, 0, 1), "shape is (8, 0, 1); expected"),
        ([Images], (8, True, 1), "shape is (8, True, 1); expected"),
        ([Images], "8x8", "shape is ('8', 'x', '8'); expected"),
        ([Images, Vectors], (8, 8), "expected (height, width, channels) or (features,), each at least 1."),
        ([Images, Vectors], (2.0,), "shape is (2.0,); expected"),
        ([Videos], None, "shape is (None,); expected (frames, height, width, channels), each at least 1."),
    ],
)
def test_refuses_shapes(kinds, shape, message):
    with pytest.raises(InputError, match=re.escape(message)):
        modality_of(shape, kinds)
    with pytest.raises(InputError, match="each at least 1"):
        kinds[0](shape)


@pytest.mark.parametrize("vocabulary", [2**40, [str(number) for number in range(70_000)]])
def test_refuses_vocabularies_that_no_checkpoint_holds(vocabulary):
    with pytest.raises(InputError, match="expected at most 65,536"):
        Tokens((3,), vocabulary)


@pytest.mark.parametrize("vocabulary", [0, True, 2.5, [], {"a", "b"}, b"ab", ["a", 1], ["a", "b", "a"]])
def test_refuses_vocabularies(vocabulary):
    with pytest.raises(InputError, match=r"vocabulary is .{1,60}; expected distinct strings, or a number\."):
        Tokens((3,), vocabulary)
