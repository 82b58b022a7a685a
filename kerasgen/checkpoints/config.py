"""What a checkpoint's config.json may say: classes, sizes, nesting. Checked before Keras sees any of it."""

import builtins
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from kerasgen.checkpoints import trust
from kerasgen.errors import CheckpointError

MAX_BYTES = 2**22
MAX_DEPTH = 64
MAX_SIZE = 65_536  # of any integer that may be a size or a number of parts
MAX_LENGTH = 4096  # of lists, tables and strings
MAX_VOCABULARY = 2**16  # strings of a vocabulary
LENGTHS = {"vocabulary": MAX_VOCABULARY}
MAX_NUMBER = 2**63
# Integers that nothing is made of, and sizes that count in the weights file or in the memory of a forward pass.
NUMBERS = ("seed", "shared_object_id")
COUNTS = """
    boundaries decay_steps dynamic_growth_steps ema_overwrite_frequency first_decay_steps initial_decay_steps iterations
    kl_warmup_steps warmup_steps
"""
MAX_SHAPE = 2**24
SHAPES = "batch_input_shape batch_shape input_dim input_shape shape shapes_dict target_shape vocabulary_size"
BOUNDS = dict.fromkeys((*NUMBERS, *COUNTS.split()), MAX_NUMBER) | dict.fromkeys(SHAPES.split(), MAX_SHAPE)

LAYERS = """
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
    AveragePooling2D AveragePooling3D BatchNormalization Bidirectional CenterCrop Concatenate Conv1D Conv1DTranspose
    Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Cropping1D Cropping2D Cropping3D
    Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU EinsumDense Embedding Flatten GRU GRUCell GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D
    GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention Identity InputLayer LSTM LSTMCell
    LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum MultiHeadAttention
    Multiply Normalization PReLU Permute RMSNormalization RNN ReLU RepeatVector Rescaling Reshape Resizing
    SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D
    SpectralNormalization StackedRNNCells Subtract TimeDistributed UnitNormalization UpSampling1D UpSampling2D
    UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
INITIALIZERS = """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones
    Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
"""
OPTIMIZERS = """
    Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer Muon Nadam RMSprop SGD
"""
SCHEDULES = """
    CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay
"""
# By the module and class name that Keras writes.
ALLOWED = {
    "keras": {"DTypePolicy", "Sequential"},
    "keras.models": {"Sequential"},
    "keras.src.models.functional": {"Functional"},
    "keras.layers": set(LAYERS.split()),
    "keras.initializers": set(INITIALIZERS.split()),
    "keras.regularizers": {"L1", "L1L2", "L2", "OrthogonalRegularizer"},
    "keras.constraints": {"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"},
    "keras.dtype_policies": {"DTypePolicy"},
    "keras.optimizers": set(OPTIMIZERS.split()),
    "keras.optimizers.schedules": set(SCHEDULES.split()),
    "keras.src.ops.numpy": {"Add", "Divide", "Multiply", "Negative", "Subtract", "TrueDivide"},
}


def read(path: Path) -> bytes:
    """The text of a config.json, of one that is too long only as much as shows it."""
    with open(path, "rb") as file:
        return read_open(file)


def read_open(file: BinaryIO) -> bytes:
    return file.read(MAX_BYTES + 1)


def portable(config: Any) -> Any:
    """The config with Keras' own optimizers by the names that every backend knows.

    On PyTorch Keras makes them of classes of its own, in `keras.src.backend.torch.optimizers`, and names these.
    """
    if isinstance(config, dict):
        config = {key: portable(value) for key, value in config.items()}
        if str(config.get("module")).startswith("keras.src.backend.torch.optimizers."):
            config["module"] = "keras.optimizers"
        return config
    return [portable(item) for item in config] if isinstance(config, (list, tuple)) else config


def parse(text: bytes, trusted: Iterable[Any] = (), compiled: bool = True) -> dict[str, Any]:
    """The checked config in the text of a config.json, to be built by `weights.build` with the same `trusted`.

    Args:
        trusted: classes and functions that may be named besides those above; their own integers have no bounds.
        compiled: whether to keep the settings of `compile`.

    Raises:
        CheckpointError: too long, not JSON, not a class of ours, or with something outside the bounds and lists
            above; says what and where.
    """
    if len(text) > MAX_BYTES:
        raise CheckpointError(f"config.json is over {MAX_BYTES} bytes; this is not a config that kerasgen wrote.")
    try:
        keep = only_own_compile_config if compiled else without_compile_config
        config = keep(portable(json.loads(text, parse_constant=_refuse_constant)))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"config.json is not JSON ({error}); restore it or save the model again.") from error
    known = trust.by_name(trusted)
    name = config.get("registered_name") if isinstance(config, dict) else None
    if not (isinstance(name, str) and (name.startswith("kerasgen>") or config.get("class_name") in list(known))):
        found = config.get("class_name") if isinstance(config, dict) else type(config).__name__
        raise CheckpointError(f"config.json holds {found!r}, which is not a kerasgen model{_advice(config)}.")
    _check_value(config, "", "", 0, known, False)
    return config


def _refuse_constant(name):
    raise ValueError(f"{name} is not a JSON number")


def with_policy(config: Any, dtype: str) -> None:
    """Gives kerasgen's own models and layers in a config a dtype policy, in place; those of users keep theirs."""
    if isinstance(config, list):
        for item in config:
            with_policy(item, dtype)
    elif isinstance(config, dict):
        inner = config.get("config")
        if str(config.get("registered_name")).startswith("kerasgen>") and isinstance(inner, dict) and "dtype" in inner:
            inner["dtype"] = dtype
        for item in config.values():
            with_policy(item, dtype)


def without_compile_config(config: Any) -> Any:
    """`config` with no optimizer or loss settings, at any level."""
    if isinstance(config, dict):
        return {key: without_compile_config(value) for key, value in config.items() if key != "compile_config"}
    if isinstance(config, list):
        return [without_compile_config(value) for value in config]
    return config


def only_own_compile_config(config: Any) -> Any:
    """`config` with the optimizer settings of the model itself, and none of its parts."""
    bare = without_compile_config(config)
    if isinstance(config, dict) and config.get("compile_config"):
        bare["compile_config"] = without_compile_config(config["compile_config"])
    return bare


def other_key(config: Any) -> Any:
    """A key in it that is no string, which JSON would make one; `None` without any."""
    if isinstance(config, dict):
        odd = [key for key in config if not isinstance(key, str)]
        return odd[0] if odd else next(filter(None, map(other_key, config.values())), None)
    if isinstance(config, (list, tuple)):
        return next(filter(None, map(other_key, config)), None)
    return None


def _check_value(value, path, key, depth, trusted, free):
    """`trusted` by name; `free`: whether integers here are those of a trusted class."""
    if depth > MAX_DEPTH:
        raise CheckpointError(f"{path[:80]}... in config.json is nested over {MAX_DEPTH} levels deep.")
    if isinstance(value, int):
        bound = BOUNDS.get(key, MAX_SIZE)
        if abs(value) > bound and not free:
            raise CheckpointError(f"{path} in config.json is {value}; integers there are at most {bound}.")
    elif isinstance(value, (str, list, dict)):
        if len(value) > (longest := LENGTHS.get(key, MAX_LENGTH) if isinstance(value, list) else MAX_LENGTH):
            raise CheckpointError(f"{path} in config.json has length {len(value)}; at most {longest} is allowed.")
        if isinstance(value, dict):
            if "class_name" in value:
                free = _check_class(value, path, trusted)
            for name, item in value.items():
                _check_value(item, f"{path}.{name}" if path else name, name, depth + 1, trusted, free)
        elif isinstance(value, list):
            for i, item in enumerate(value):
                _check_value(item, f"{path}[{i}]", key, depth + 1, trusted, free)


def _check_class(value, path, trusted):
    """Whether it is a trusted one, which is then named so that only this class or function is meant."""
    import keras

    class_name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    where = f"{path or 'the top'} in config.json"
    if not all(isinstance(name, (str, type(None))) for name in (class_name, module, registered)):
        raise CheckpointError(f"{where} has a class name that is not a string.")
    if class_name == "__keras_tensor__" and module is None and registered is None:
        return False
    if registered is not None and registered.startswith("kerasgen>"):
        cls = keras.saving.get_registered_object(registered)
        if isinstance(cls, type) and cls.__name__ == class_name:
            return False
        known = "which this version of kerasgen does not have"
        raise CheckpointError(f"{where} names {registered!r} ({class_name}), {known}.")
    # Keras looks a registered name up before module and class: it must not lead elsewhere.
    known = class_name in ALLOWED.get(module, ())
    if known and registered in (None, class_name) and keras.saving.get_registered_object(class_name) is None:
        return False
    name = value.get("config") if class_name == "function" else class_name
    item = trusted.get(name.rpartition(">")[2]) if isinstance(name, str) else None
    if item is not None and isinstance(item, type) == (class_name != "function"):
        value["module"], value["registered_name"] = None, trust.PREFIX + item.__name__
        if class_name == "function":
            value["config"] = value["registered_name"]
        return True
    alias = f" ({registered})" if registered not in (None, class_name) else ""
    shown = ".".join(filter(None, (module, str(name))))
    shown = f"function {shown}" if class_name == "function" else shown
    refused = f"'{shown}'{alias}, which kerasgen does not load"
    raise CheckpointError(f"{where} names {refused}; nothing of it was run{_advice(value, path)}.")


def _advice(value, path=""):
    """What to do about a class or function that may be somebody's own."""
    function = value.get("class_name") == "function" if isinstance(value, dict) else False
    name = value.get("config" if function else "class_name") if isinstance(value, dict) else None
    package = str(value.get("module")).partition(".")[0] if isinstance(name, str) else "keras"
    if (
        str(name).startswith("__")
        or package == "keras"
        or (package == "builtins" and not function)
        or hasattr(builtins, str(name))
    ):
        return ""
    if package in sys.stdlib_module_names and package not in ("builtins", "__main__"):
        return ""
    others = ", or with compile=False" if path.startswith("compile_config") else ""
    return f". If it is yours, or you trust it, load with trusted=[{name}]{others}"
