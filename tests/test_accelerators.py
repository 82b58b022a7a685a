"""Steps and programs of every family, lowered as for a TPU: no callback of the host, no dynamic shape, no float64.

On TensorFlow by XLA (`jit_compile=True`), on JAX for the TPU platform itself, which need not be there.
"""

import re

import keras
import numpy as np
import pytest

from kerasgen import AnomalyDetector, LatentDiffusion, VariationalAutoencoder
from kerasgen.diffusion.denoiser import Denoiser
from kerasgen.gans.translator import Translator
from tests.test_replicas import FAMILIES, examples_of

NUM = 8
VERBS = (
    "sample",
    "encode",
    "decode",
    "reconstruct",
    "log_prob",
    "anomaly_score",
    "denoise",
    "translate",
    "classify",
    "infill",
    "forecast",
)


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request, squares):
    """A model that has taken one step, and a batch."""
    keras.utils.set_random_seed(0)
    model = FAMILIES[request.param]()
    x, y = (part[:NUM] for part in squares)
    x = examples_of(model, x)
    model.compile()
    batch = (x, 255 - x) if isinstance(model, Translator) else (x, y) if model.num_classes else (x,)
    model.fit(*batch, batch_size=NUM, verbose=0)
    return model, batch


def lowered(function, arguments):
    """The text of a program of tensors: HLO, or StableHLO for the TPU platform."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False).experimental_get_compiler_ir(*arguments)("hlo")
    import jax

    return jax.export.export(jax.jit(function), platforms=["tpu"])(*arguments).mlir_module()


def assert_fit_for_a_tpu(text):
    assert len(text) > 1000
    assert not re.search(r"\bf64\b|xf64", text), "float64"
    assert not re.search(r"\[<=\d|\?x|x\?", text), "a dynamic shape"
    calls = re.findall(r'custom_call_target="([^"]+)"|custom_call @(\w+)', text)
    assert not [name for names in calls for name in names if "callback" in name.lower()], "a callback of the host"


def values(variables):
    return [variable.value for variable in variables]


@pytest.mark.backend("tensorflow", "jax")
def test_steps(trained):
    model, batch = trained
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        batch = tuple(map(tf.constant, batch))
        for step in (model.train_step, model.test_step):
            assert_fit_for_a_tpu(lowered(lambda *batch: step(batch), batch))  # noqa: B023
        return
    weights = values(model.trainable_variables), values(model.non_trainable_variables)
    metrics = values(model.metrics_variables)
    assert_fit_for_a_tpu(lowered(model.train_step, ((*weights, values(model.optimizer.variables), metrics), batch)))
    assert_fit_for_a_tpu(lowered(model.test_step, ((*weights, metrics), batch)))


@pytest.mark.backend("tensorflow", "jax")
def test_programs(trained, monkeypatch):
    """What each verb compiles."""
    model, (x, *rest) = trained
    labels = {"labels": rest[0]} if model.num_classes else {}
    if getattr(model, "density", None) is not None:
        model.fit_density(x)
    inside = model.model if isinstance(model, AnomalyDetector) else model
    found, compiled = [], inside.programs.compiled

    def record(function, static, arguments):
        found.append((function, static, arguments))
        return compiled(function, static, arguments)

    monkeypatch.setattr(inside.programs, "compiled", record)
    for verb in sorted(set(VERBS) & set(model.offers)):
        found.clear()
        if verb == "sample":
            steps = {"steps": 3} if isinstance(model, Denoiser | LatentDiffusion) else {}
            model.sample(NUM, verbose=0, **labels, **steps)
        elif verb == "decode":
            z = model.encode(x, verbose=0, **labels) if "encode" in model.offers else np.zeros((NUM, model.latent_dim))
            model.decode(z, verbose=0, **labels)
        else:
            given = x[:, :2] if verb == "forecast" else x
            getattr(model, verb)(given, verbose=0, **({} if verb in ("denoise", "classify") else labels))
        assert found, verb
        for function, static, arguments in found:
            lower(inside, function, static, arguments)


def lower(model, function, static, arguments):
    known = [index for index, a in enumerate(arguments) if a is not None]

    def whole(*given):
        every = list(arguments)
        for index, value in zip(known, given, strict=True):
            every[index] = value
        return function(*every, *static)

    given = [arguments[index] for index in known]
    if keras.backend.backend() == "tensorflow":
        assert_fit_for_a_tpu(lowered(whole, given))
        return

    def program(state, *given):
        with keras.StatelessScope(state_mapping=list(zip(model.variables, state, strict=True))):
            return whole(*given)

    assert_fit_for_a_tpu(lowered(program, (values(model.variables), *given)))


SUMS = ("log", "log1p", "exp", "reduce_sum", "reduce_max", "cumsum", "cumlogsumexp", "lgamma", "erf", "rsqrt", "sqrt")


def operations(program):
    """Those of a program of JAX, and of all programs in it."""
    from jax.extend.core import jaxprs_in_params

    for operation in program.eqns:
        yield operation
        for inner in jaxprs_in_params(operation.params):
            yield from operations(inner)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_statistics_are_in_float32(family, squares):
    """Where layers compute in bfloat16: log-determinants, likelihoods, moments, softmax, norms."""
    import jax

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = FAMILIES[family]()
    finally:
        keras.config.set_dtype_policy(before)
    x, y = (part[:NUM] for part in squares)
    x = examples_of(model, x)
    model.compile()
    batch = (x, 255 - x) if isinstance(model, Translator) else (x, y) if model.num_classes else (x,)
    groups = (model.trainable_variables, model.non_trainable_variables, model.metrics_variables)
    program = jax.make_jaxpr(model.test_step)(tuple(map(values, groups)), batch)
    lower = [o for o in operations(program.jaxpr) if any(out.aval.dtype == "bfloat16" for out in o.outvars)]
    kinds = {operation.primitive.name for operation in lower}
    inner = [layer for layer in model._flatten_layers(include_self=False) if getattr(layer, "kernel", None) is not None]
    if any(layer.compute_dtype == "bfloat16" for layer in inner):  # users' networks have their own
        assert kinds & {"dot_general", "conv_general_dilated"}
    assert not kinds & set(SUMS)


@pytest.mark.backend("tensorflow")
def test_training_by_xla_is_training(squares):
    """It takes the steps of the uncompiled program."""
    found = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        model = VariationalAutoencoder((8, 8, 1), 3, width=4)
        model.compile(jit_compile=jit_compile)
        found.append(model.fit(squares[0], batch_size=16, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(*found, rtol=1e-3)
