"""`Part`: a function of a model that other runtimes can be given."""

from dataclasses import dataclass, field

from kerasgen.typing import Any, Array, Callable, Config, Tensor

ROWS = 3  # examples that a program is tried on

# What inputs of the library's families are, by their names.
INPUTS = {
    "images": "float in [0, 1]",
    "vectors": "float of any range",
    "labels": "classes, counted from 0; of attributes 1, 0, or -1 for any",
    "latents": "what encode gives",
    "noise": "standard normal: kerasgen.noise.normal(start, stop, shape, seed) is that of sample(seed=seed)",
    "uniform": "in (0, 1]: kerasgen.noise.uniform(start, stop, (1,), seed, stream=1) is that of sample(seed=seed)",
    "keys": "random integers: kerasgen.noise.keys(start, stop, seed) are those of sample(seed=seed)",
    "low_res": "images to enlarge, float in [0, 1]",
    "x": "alpha x_0 + sigma e, e ~ N(0, I)",
    "time": "what the network is told of the noise, as model.levels(steps, spacing).time has it",
    "alpha": "of x",
    "sigma": "of x",
    "last": "the estimate of x_0 before, or zeros",
}


@dataclass(frozen=True)
class Part:
    """A function from tensors of leading axis B to one.

    Args:
        function: of the inputs in their order.
        inputs: by their names, arrays of `ROWS` examples to try it on; `None` for what is not read.
        output: the name of what it gives, none of the inputs'.
        levels: how many values an output in [0, 1] is rounded to, or `None`.
        settings: what the function was made with, for the record.
    """

    function: Callable[..., Tensor]
    inputs: dict[str, Array | None]
    output: str
    levels: int | None = None
    settings: Config = field(default_factory=dict)

    @property
    def read(self) -> dict[str, Array]:
        """The inputs that there are."""
        return {name: array for name, array in self.inputs.items() if array is not None}

    def rows(self, some: slice) -> dict[str, Array]:
        """Some rows of the inputs that there are."""
        return {name: array[some] for name, array in self.read.items()}

    def call(self, *tensors: Any) -> Tensor:
        """The function of the inputs that there are."""
        given = dict(zip(self.read, tensors, strict=True))
        return self.function(*(given.get(name) for name in self.inputs))
