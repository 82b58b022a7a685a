"""Numbers of eight bits: HDF5 has them described in the file, and gives them to every reader as float16 or float32.

A number is (-1)^s (1 + f / 16) 2^(e - bias), with e of three bits and f of four, or (-1)^s (f / 16) 2^(1 - bias) where
e is 0. e = 7 would be read as infinite, so the largest is (2 - 1 / 16) 2^(6 - bias). The bias is an array's own: the
least with which its largest value fits. Rounding errs by at most 1/32 of a value above 2^(1 - bias), as float8_e3m4.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from kerasgen.errors import InputError

if TYPE_CHECKING:
    import numpy as np

FRACTION, EXPONENT, LARGEST = 4, 3, 6
FIELDS = (FRACTION + EXPONENT, FRACTION, EXPONENT, 0, FRACTION)  # sign, place and bits of e, place and bits of f
LEAST = -100  # of the exponent of the largest value; float32 has what is 2^10 times smaller


class Minifloats(NamedTuple):
    """Such numbers, as float32, and their bias."""

    values: "np.ndarray"
    bias: int


def rounded(array: "np.ndarray") -> Minifloats:
    """The nearest such numbers, ties to even.

    Raises `InputError`: a value is too large for a bias of 1, the least that h5py reads.
    """
    import numpy as np

    magnitudes = np.abs(array.astype(np.float64))
    largest = max(magnitudes.max(initial=0.0), 2.0**LEAST)
    top = int(np.floor(np.log2(largest)))
    top += largest >= (2 - 2.0 ** -(FRACTION + 1)) * 2.0**top  # it rounds to the next power of two
    bias = LARGEST - top
    if bias < 1:
        raise InputError(f"a value is {largest:.5g}; expected less than 63.")
    exponents = np.maximum(np.floor(np.log2(np.maximum(magnitudes, 2.0 ** (LEAST - 20)))), 1 - bias)
    steps = 2.0 ** (exponents - FRACTION)
    return Minifloats((np.round(array / steps) * steps).astype(np.float32), bias)


def write(group: Any, name: str, numbers: Minifloats) -> None:
    """Writes them to an open HDF5 file."""
    import h5py

    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(*FIELDS)
    kind.set_size(1)
    kind.set_ebias(numbers.bias)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    space = h5py.h5s.create_simple(numbers.values.shape)
    data = h5py.h5d.create(group.id, name.encode(), kind, space, lcpl=links)
    data.write(space, space, numbers.values)


def is_one(kind: Any) -> bool:
    """Whether an HDF5 type is of such numbers."""
    import h5py

    if kind.get_class() != h5py.h5t.FLOAT or kind.get_size() != 1 or kind.get_offset() != 0:
        return False
    return kind.get_fields() == FIELDS and kind.get_norm() == h5py.h5t.NORM_IMPLIED
