"""Sequence models: probabilities that sum to one, a cache that changes nothing, a Markov chain whose laws are known."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

import kerasgen
from kerasgen import AutoregressiveTransformer, MaskedDiffusion
from kerasgen.errors import InputError
from kerasgen.sequences.sequence_model import drawn
from tests.model_case import assert_same

SMALL = {"class": "Transformer", "width": 16, "depth": 2, "heads": 2}
START = np.array([0.5, 0.3, 0.2])
CHAIN = np.array([[0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [0.4, 0.5, 0.1]])  # the row is the symbol before
LENGTH = 4


def chain(num, seed=0):
    """Sequences of the chain, int32 `[num, LENGTH]`."""
    rng = np.random.default_rng(seed)
    x = np.empty((num, LENGTH), np.int32)
    x[:, 0] = rng.choice(3, num, p=START)
    for place in range(1, LENGTH):
        x[:, place] = (rng.random(num)[:, None] > CHAIN[x[:, place - 1]].cumsum(axis=1)).sum(axis=1)
    return x


def chain_log_prob(x):
    return np.log(START[x[:, 0]]) + sum(np.log(CHAIN[x[:, i - 1], x[:, i]]) for i in range(1, LENGTH))


def every_sequence(values, length):
    return np.array(list(itertools.product(range(values), repeat=length)), np.int32)


def spread(model):
    """Weights far enough from the initial ones that tokens differ in probability."""
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if variable.path.endswith("embedding"):
            variable.assign(rng.normal(0.0, 0.7, variable.shape))
    return model


def test_a_vocabulary_of_words_is_saved(tmp_path):
    words = [f"word{number} " for number in range(20_000)]
    AutoregressiveTransformer((4,), words, {"class": "Transformer", "width": 2, "depth": 1, "heads": 1}).save(tmp_path)
    again = kerasgen.load(tmp_path)
    np.testing.assert_array_equal(again.modality.check(["word7 word19999 word0 word12 "]), [[7, 19999, 0, 12]])


@pytest.mark.parametrize("vocabulary", ["abc", ["", "a", "b"]])
def test_probabilities_sum_to_one(vocabulary):
    """Over all sequences; with an end, over all that end."""
    model = spread(AutoregressiveTransformer((4,), vocabulary, SMALL, num_classes=2))
    x = every_sequence(3, 4)
    if vocabulary[0] == "":
        x = np.unique(model.modality.cut(x), axis=0)
        assert len(x) == 1 + 2 + 4 + 8 + 16
    found = [model.log_prob(x, labels=label) for label in (0, 1)]
    for log_prob in found:
        assert np.exp(log_prob, dtype=np.float64).sum() == pytest.approx(1.0, abs=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.01
    assert np.ptp(found[0]) > 1.0


def test_the_cache_changes_nothing():
    model = spread(AutoregressiveTransformer((9,), 5, SMALL, num_classes=2))
    x = np.random.default_rng(0).integers(0, 5, (3, 9)).astype("int32")
    one_hot = ops.one_hot(np.array([0, 1, 1]), 2, dtype="float32")
    whole = ops.convert_to_numpy(model.network(ops.convert_to_tensor(x), one_hot))
    cache = model.network.empty_cache(3, 9)
    for index in range(9):
        place = ops.convert_to_tensor(index, "int32")
        logits, cache = model.network.step(ops.convert_to_tensor(x[:, index]), place, cache, one_hot)
        assert_same(ops.convert_to_numpy(logits), whole[:, index])
    assert np.ptp(whole) > 1.0
    later = x.copy()
    later[:, 5:] = 4 - later[:, 5:]
    changed = ops.convert_to_numpy(model.network(ops.convert_to_tensor(later), one_hot))
    assert_same(changed[:, :5], whole[:, :5])
    assert np.abs(changed[:, 5:] - whole[:, 5:]).max() > 0.1


def test_samples_follow_the_probabilities():
    """Of the autoregressive model, by chi-squared."""
    model = spread(AutoregressiveTransformer((3,), 3, SMALL))
    x = every_sequence(3, 3)
    expected = np.exp(model.log_prob(x, verbose=0), dtype=np.float64)
    samples = model.sample(6000, seed=1, batch_size=1000, verbose=0)
    counts = np.bincount(samples @ [9, 3, 1], minlength=27)
    assert stats.chisquare(counts, 6000 * expected / expected.sum()).pvalue > 1e-3
    assert_same(model.sample(7, seed=1, batch_size=3, verbose=0), samples[:7], 0)
    assert samples.dtype == np.int32


@pytest.mark.parametrize(
    ("settings", "probabilities"),
    [
        ((1.0, 4, 1.0), [0.1, 0.2, 0.3, 0.4]),
        ((0.5, 4, 1.0), [1 / 30, 4 / 30, 9 / 30, 16 / 30]),
        ((1.0, 2, 1.0), [0.0, 0.0, 3 / 7, 4 / 7]),
        ((1.0, 4, 0.65), [0.0, 0.0, 3 / 7, 4 / 7]),
        ((1.0, 4, 0.75), [0.0, 2 / 9, 3 / 9, 4 / 9]),
        ((0.0, 4, 1.0), [0.0, 0.0, 0.0, 1.0]),
    ],
)
def test_drawing(settings, probabilities):
    """The inverse of the cumulative probabilities on a fine grid."""
    u = (np.arange(1000) + 0.5) / 1000
    logits = np.tile(np.log([[0.1, 0.2, 0.3, 0.4]]), (1000, 1)).astype("float32")
    found = ops.convert_to_numpy(drawn(ops.convert_to_tensor(logits), ops.convert_to_tensor(u, "float32"), *settings))
    assert_same(np.bincount(found, minlength=4) / 1000, probabilities, 2e-3)


@pytest.fixture(scope="module", params=[AutoregressiveTransformer, MaskedDiffusion])
def learned(request):
    """A model of the chain, trained on all sequences, each weighed by its probability."""
    keras.utils.set_random_seed(0)
    model = request.param((LENGTH,), 3, {"class": "Transformer", "width": 32, "depth": 2, "heads": 4})
    steps, x = 300 if model.causal else 1000, np.tile(every_sequence(3, LENGTH), (4, 1))
    schedule = keras.optimizers.schedules.CosineDecay(5e-3, steps)
    model.compile(keras.optimizers.Adam(schedule, beta_2=0.99, use_ema=True, ema_momentum=0.98))
    weights = np.exp(chain_log_prob(x))
    model.fit(np.tile(x, (steps, 1)), sample_weight=np.tile(weights, steps), batch_size=len(x), verbose=0)
    return model


def test_a_markov_chain(learned):
    """The cross entropy lies above the chain's entropy, and close to it; so do all probabilities."""
    x = every_sequence(3, LENGTH)
    exact = chain_log_prob(x)
    settings = {} if learned.likelihood == "exact" else {"num_evaluations": 256}
    found = learned.log_prob(x, batch_size=81, verbose=0, **settings).astype(np.float64)
    entropy, cross_entropy = -(np.exp(exact) * exact).sum(), -(np.exp(exact) * found).sum()
    assert entropy - 1e-3 < cross_entropy < entropy + 0.04


def test_infilling_has_the_exact_conditionals(learned):
    """p(x_1, x_3 | x_0, x_2) of the chain, by chi-squared, drawn one after the other and at once."""
    if learned.causal:
        assert not hasattr(learned, "infill")
        return
    given = np.tile(np.array([[0, -1, 2, -1]], np.int32), (500, 1))
    between = CHAIN[0] * CHAIN[:, 2]
    expected = 500 * np.outer(between / between.sum(), CHAIN[2]).ravel()
    for steps in (None, 1):
        found = learned.infill(given, seed=0, steps=steps, batch_size=500, verbose=0)
        np.testing.assert_array_equal(found[:, [0, 2]], given[:, [0, 2]])
        assert stats.chisquare(np.bincount(found[:, 1] * 3 + found[:, 3], minlength=9), expected).pvalue > 1e-3


def test_steps_of_masked_diffusion(learned):
    """A token at a time follows the chain; all at once, each its own."""
    if learned.causal:
        return
    slow = learned.sample(4000, seed=0, batch_size=1000, verbose=0)
    fast = learned.sample(4000, seed=0, steps=1, batch_size=1000, verbose=0)
    real = -chain_log_prob(chain(4000, seed=5)).mean()
    assert -chain_log_prob(slow).mean() == pytest.approx(real, abs=0.15)
    assert -chain_log_prob(fast).mean() > real + 0.5


def test_prompts_and_texts():
    vocabulary = ["", "a", "b", "ab", "\n"]
    model = spread(AutoregressiveTransformer((6,), vocabulary, SMALL))
    samples = model.sample(5, prompt="aba", seed=0)
    np.testing.assert_array_equal(samples[:, :2], [[3, 1]] * 5)
    texts = model.modality.texts(samples)
    assert all(text.startswith("aba") for text in texts)
    assert_same(model.log_prob(texts), model.log_prob(model.modality.check(texts)), 0)
    several = model.sample(2, prompt=["a", "bb"], seed=0)
    assert [text[0] for text in model.modality.texts(several)] == ["a", "b"]
    ended = model.sample(3, prompt=[0], seed=0)
    assert model.modality.texts(ended) == [""] * 3
    assert model.counts(model.modality.check(["", "a", "bbbbbb"])).shape == (3,)
    assert_same(model.bits_per_char(["ab"]) * 3, model.bits_per_token(["ab"]) * 2)
    model.compile()
    model.fit(["ab\n", "b", "aab"] * 4, batch_size=4, verbose=0)
    with pytest.raises(InputError, match="'c', which is not in the vocabulary"):
        model.log_prob(["abc"])
    with pytest.raises(InputError, match="7 tokens; this model takes 6"):
        model.log_prob(["bbbbbbb"])
    with pytest.raises(InputError, match="go on after the end"):
        model.log_prob(np.array([[1, 0, 2, 0, 0, 0]]))
    with pytest.raises(InputError, match="expected a list of texts"):
        model.log_prob("ab")
    with pytest.raises(InputError, match="7 tokens are given"):
        model.sample(1, prompt="bbbbbbb")
    for settings in ({"top_k": 0}, {"top_p": 0.0}, {"temperature": -1.0}):
        with pytest.raises(InputError, match=next(iter(settings))):
            model.sample(1, **settings)


def test_infilling_of_texts():
    model = spread(MaskedDiffusion((6,), ["", *"abc"], SMALL))
    texts = model.modality.texts(model.infill(["a_c", "__b"], seed=0, temperature=0.7))
    assert texts[0][0] == "a"
    assert len(texts[0]) == 3 or texts[0] == "a"  # an end may be drawn, too
    assert model.modality.texts(model.infill("abc")) == ["abc"]
    with pytest.raises(InputError, match="blank is 'a'"):
        model.infill(["a_c"], blank="a")
    with pytest.raises(InputError, match="no classes to guide to"):
        model.sample(1, guidance=2.0)


@pytest.mark.parametrize("family", [AutoregressiveTransformer, MaskedDiffusion])
def test_what_is_given_stays(family):
    """No end is drawn before a token that is known."""
    model = family((6,), ["", *"ab"], SMALL)
    given = np.tile(np.array([[1, -1, -1, 2, -1, -1]], np.int32), (300, 1))
    found = model.sample(300, prompt=given, seed=0, batch_size=300, verbose=0)
    assert (found[:, [0, 3]] == [1, 2]).all()
    assert (found[:, 1:3] > 0).all()
    assert 0.1 < (found[:, 4] == 0).mean() < 0.6
    with pytest.raises(InputError, match="go on after the end"):
        model.sample(1, prompt=[1, 0, 2])


def test_inputs_of_other_kinds():
    model = MaskedDiffusion((3,), ["", *"ab"], SMALL, num_classes=2, label_dropout=0.0)
    tokens = model.modality
    np.testing.assert_array_equal(tokens.check(np.array(["ab", "a"])), [[1, 2, 0], [1, 0, 0]])
    np.testing.assert_array_equal(tokens.check(np.array(["ab", "a"], object)), [[1, 2, 0], [1, 0, 0]])
    np.testing.assert_array_equal(model.infill(np.array(["a_", "bb"]), labels=0, seed=0)[1], [2, 2, 0])
    for odd in (["ab", None], ["ab", float("nan")], ["ab", 1], [b"ab"], np.array(["ab", 2.0], object)):
        with pytest.raises(InputError, match="expected strings alone"):
            tokens.check(odd)
    for odd in (None, 5, np.array([1, -1, 0]), np.zeros((0, 3), int), []):
        with pytest.raises(InputError):
            model.infill(odd, labels=0)
    with pytest.raises(InputError, match="blank is 5"):
        model.infill(["a_"], labels=0, blank=5)
    with pytest.raises(InputError, match="nothing was learned without labels"):
        model.sample(1, labels=0, guidance=2.0)
    assert model.sample(1, labels=0, top_k=2**31, steps=2**31).shape == (1, 3)
    model.compile()
    with pytest.raises(InputError, match="give their tokens"):
        model.fit((batch for batch in [(np.array(["ab", "a"]), np.array([0, 1]))]), verbose=0)


def test_networks_that_do_not_fit():
    network = kerasgen.networks.SEQUENCE_NETWORKS["Transformer"]
    with pytest.raises(InputError, match="this model needs"):
        AutoregressiveTransformer((4,), 5, network(6, 5, 4, causal=False))
    assert AutoregressiveTransformer((4,), 5, network(6, 5, 4, width=8, depth=1)).sample(1).shape == (1, 4)
    with pytest.raises(InputError, match="to make two of it"):
        kerasgen.SequenceVAE((4,), 5, 2, network(6, 5, 4))
    for settings in ({"heads": 0}, {"depth": -1}, {"width": 0}):
        with pytest.raises(InputError, match=next(iter(settings))):
            AutoregressiveTransformer((4,), 5, {"class": "Transformer", **settings})


def test_guidance():
    """Two classes of one token: p(0 given class 0) is 1/2, and 1/4 without the class."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 20_000)
    x = np.where(rng.random(20_000) < 0.5, y, 2).astype("int32")[:, None]
    model = MaskedDiffusion((1,), 3, SMALL, num_classes=2, label_dropout=0.5)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, 400)))
    model.fit(x, y, batch_size=200, epochs=4, verbose=0)
    for weight, share in ((0.0, 0.25), (1.0, 0.5), (3.0, 0.8)):  # 2^w / (2^w + 2)
        found = model.sample(2000, labels=0, seed=0, guidance=weight, batch_size=500, verbose=0)
        assert (found == 0).mean() == pytest.approx(share, abs=0.06)


def test_a_block_as_in_pytorch():
    """Attention with rotary positions, and the dense part, by PyTorch's own functions."""
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    network = kerasgen.networks.SEQUENCE_NETWORKS["Transformer"](5, 4, 7, width=12, depth=1, heads=3)
    block = network.blocks[0]
    rng = np.random.default_rng(0)
    for variable in block.weights:
        variable.assign(rng.normal(0.0, 0.5, variable.shape))
    x = rng.normal(size=(2, 7, 12)).astype("float32")
    found = ops.convert_to_numpy(block(ops.convert_to_tensor(x), ops.convert_to_tensor(network.angles)))

    def weight(layer):
        return torch.tensor(ops.convert_to_numpy(layer.weights[0]))

    def turned(part):
        a = torch.view_as_complex(torch.stack(part.split(2, dim=-1), dim=-1).contiguous())
        angle = torch.arange(7)[:, None] * 10_000.0 ** (-torch.arange(2) / 2)
        b = a * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([b.real, b.imag], dim=-1)

    y = functional.rms_norm(torch.tensor(x), (12,), weight(block.norm_a), eps=block.norm_a.epsilon)
    q, k, v = (part.reshape(2, 7, 3, 4).transpose(1, 2) for part in (y @ weight(block.attention.qkv)).split(12, dim=-1))
    attended = functional.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=True)
    y = torch.tensor(x) + attended.transpose(1, 2).reshape(2, 7, 12) @ weight(block.attention.out)
    z = functional.rms_norm(y, (12,), weight(block.norm_b), eps=block.norm_b.epsilon)
    y = y + functional.gelu(z @ weight(block.hidden), approximate="none") @ weight(block.out)
    assert_same(found, y.numpy(), 1e-4)


def test_a_block_as_in_keras_hub():
    """A block of GPT-2's layout.

    Positions not turned are GPT-2's, which adds them before. Of tokens whose mean is zero the layer norm is the root
    mean square's; kernels that give a mean of zero keep them so.
    """
    hub = pytest.importorskip("keras_hub")
    network = kerasgen.networks.SEQUENCE_NETWORKS["Transformer"](5, 4, 7, width=12, depth=1, heads=3)
    block = network.blocks[0]
    rng = np.random.default_rng(0)

    def centred(*shape):
        kernel = rng.normal(0.0, 0.5, shape)
        return kernel - kernel.mean(axis=-1, keepdims=True)

    for layer in (block.norm_a, block.norm_b, block.attention.qkv, block.hidden):
        layer.weights[0].assign(rng.normal(0.0, 0.5, layer.weights[0].shape))
    for layer in (block.attention.out, block.out):
        layer.weights[0].assign(centred(*layer.weights[0].shape))
    x = centred(2, 7, 12).astype("float32")
    still = np.stack([np.ones((7, 1, 2)), np.zeros((7, 1, 2))]).astype("float32")
    found = block(ops.convert_to_tensor(x), ops.convert_to_tensor(still))

    peer = hub.layers.TransformerDecoder(
        48, 3, activation="gelu", layer_norm_epsilon=block.norm_a.epsilon, normalize_first=True
    )
    peer.build((None, 7, 12))
    q, k, v = np.split(ops.convert_to_numpy(block.attention.qkv.weights[0]), 3, axis=1)
    kernels = {
        "self_attention/query": q.reshape(12, 3, 4),
        "self_attention/key": k.reshape(12, 3, 4),
        "self_attention/value": v.reshape(12, 3, 4),
        "self_attention/attention_output": ops.reshape(block.attention.out.weights[0], (3, 4, 12)),
        "self_attention_layer_norm": block.norm_a.weights[0],
        "feedforward_intermediate_dense": block.hidden.weights[0],
        "feedforward_output_dense": block.out.weights[0],
        "feedforward_layer_norm": block.norm_b.weights[0],
    }
    for variable in peer.weights:
        layer, name = variable.path.split("/", 1)[1].rsplit("/", 1)
        if name in ("kernel", "gamma"):
            variable.assign(kernels.pop(layer))
        else:
            assert not ops.convert_to_numpy(variable).any()  # biases, zero at the start
    assert not kernels
    assert_same(ops.convert_to_numpy(found), ops.convert_to_numpy(peer(x)), 1e-4)


def test_numbers_of_masks_are_evenly_spread():
    """Over a batch, while each example has every number equally often."""
    model = MaskedDiffusion((4,), 3, SMALL)
    found = np.stack([ops.convert_to_numpy(model.stratified(8)) for _ in range(200)])
    np.testing.assert_allclose(np.diff(np.sort(found), axis=1), 1 / 8, atol=1e-6)
    assert stats.kstest(found[:, 3], "uniform").pvalue > 1e-3
