"""What a model would hold in memory when it is used, told from the shapes in its programs: nothing is computed."""

import math
from typing import Any

from kerasgen.errors import CheckpointError, InputError

LIMIT = 2**29  # bytes that a model from elsewhere may hold at once for one example
SHARE = 8  # of which the example itself is at most this part


def check_use(model: Any, limit: int, lenient: bool) -> None:
    """Traces the forward pass that `probe` makes, for one example, and adds up what is alive at once.

    Args:
        model: its weights may have any values.
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
