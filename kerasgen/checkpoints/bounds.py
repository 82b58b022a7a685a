"""What a model would hold in memory when it is used, told from the shapes in its programs: nothing is computed."""

import math
from typing import Any

from kerasgen.checkpoints.config import COUNTS, NUMBERS
from kerasgen.errors import CheckpointError, InputError

LIMIT = 2**29  # bytes that a model from elsewhere may hold at once for one example
SHARE = 8  # of which the example itself is at most this part
UNCOUNTED = {*NUMBERS, *COUNTS.split(), "num_steps"}  # integers that nothing in a forward pass is made of


def most_held(config: Any, shape: tuple[int, ...]) -> float:
    """Bytes that a forward pass of one example stays below by its config alone; infinity if that does not tell.

    Networks that a config names hold tensors of at most P places, P the values of one example, and 8 M channels, M an
    integer of the config; at most M' (the next largest) are alive at once, in float32; and attention has at most M
    heads of P x P places, twice. Layers of Keras in a config may do anything.
    """
    found = [1, 1]
    stack = [config]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            name = str(item.get("class_name"))
            if str(item.get("module")).partition(".")[0] == "keras" and not name.endswith("Policy"):
                return math.inf
            stack += [value for key, value in item.items() if key not in UNCOUNTED]
        elif isinstance(item, list):
            stack += item
        elif type(item) is int:
            found.append(abs(item))
    places = math.prod(shape)
    *_, second, first = sorted(found)
    return 32.0 * places * first * second + 8.0 * first * places**2


def check_use(model: Any, config: Any, limit: int, lenient: bool) -> None:
    """Traces the forward pass that `probe` makes, for one example, and adds up what is alive at once.

    A small model is not traced, since its config says that it stays below the limit.

    Args:
        model: its weights may have any values.
        config: what it was made from.
        limit: bytes.
        lenient: whether a pass that cannot be traced is let through.

    Raises `CheckpointError`: it takes more than `limit`, or cannot be traced.
    """
    import keras
    import numpy as np

    from kerasgen import backend

    def refuse_over(most, size):
        if size > most:
            raise CheckpointError(
                f"this {type(model).__name__} would hold {math.ceil(size / 2**20)} MiB at once for one example, more "
                f"than the {most // 2**20} MiB allowed; if you trust it, load it with memory_limit=None."
            )

    def measured(function, num, batch, size=64, verbose="auto", *static, shared=()):
        def once(*rows):
            tensors = keras.tree.map_structure(lambda a: None if a is None else keras.ops.convert_to_tensor(a), shared)
            return function(*rows, *tensors, *static)

        held, shape = backend.footprint(once, *batch(0, 1))
        refuse_over(limit, held)
        return np.zeros((num, *shape[1:]), np.float32)

    for shape in filter(None, (model.shape, model.given_shape)):
        refuse_over(limit // SHARE, 4 * math.prod(shape))
    if max(most_held(config, shape) for shape in filter(None, (model.shape, model.given_shape))) <= limit:
        return
    model.run = measured  # in place of the method, for as long as this takes
    try:
        model.probe()
    except CheckpointError:
        raise
    except (InputError, NotImplementedError):  # it asks for data first, or has no such pass
        return
    except Exception as error:  # a layer may raise anything for what it is not made for
        if not lenient:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"this {type(model).__name__} does not run: {reason}") from error
    finally:
        del model.run
