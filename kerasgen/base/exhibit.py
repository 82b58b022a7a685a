"""What a model shows of itself: pictures with captions, drawn when they are asked for."""

import functools
from dataclasses import dataclass

import numpy as np

from kerasgen.typing import Array, Callable, Config, Sequence

SHOWN = 10  # examples of which an exhibit of one row shows something


def below_each_other(parts: Sequence[Array], columns: int) -> Array:
    """Examples for rows of `columns`: of several arrays `[N, *shape]`, those of a number are below each other.

    N is a multiple of `columns`.
    """
    x = np.stack(parts)
    shape = x.shape[2:]
    return x.reshape(len(x), -1, columns, *shape).swapaxes(0, 1).reshape(-1, *shape)


@dataclass
class Exhibit:
    """Examples in rows of `columns` (`None`: as square as possible), as `draw` gives them, and what they show.

    The caption is known before anything is drawn.
    """

    draw: Callable[[], np.ndarray]
    columns: int | None
    caption: str

    @functools.cached_property
    def examples(self) -> np.ndarray:
        """`[N, *shape]`, float32."""
        return self.draw()


def describe_sampling(config: Config) -> str:
    """How samples were drawn, in words: from what `sampling_config` records, or from the settings of a recipe."""
    parts = [f"temperature {config.get('temperature', 1.0):g}"]
    if config.get("steps", 1) > 1:
        named = [config[key] for key in ("sampler", "name") if key in config][:1]
        parts = [*named, f"{config['steps']} steps", *parts]
    if "truncation" in config:
        parts.append(f"truncation {config['truncation']:g}")
    if config.get("guidance", 1.0) != 1.0:
        parts.append(f"guidance {config['guidance']:g}")
    parts += [
        f"{name} {config[name]:g}"
        for name, usual in (("top_k", None), ("top_p", 1.0))
        if config.get(name, usual) != usual
    ]
    return ", ".join(parts)
