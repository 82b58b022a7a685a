"""Bytes that say what they are: compressed images, with a header that lets nothing else be taken for them."""

import hashlib
import math
import struct
import zlib
from dataclasses import dataclass

from keras import ops

from kerasgen import tiles
from kerasgen.errors import InputError
from kerasgen.typing import Any, Sequence

MAGIC = b"kgen"
VERSION = 1
# Magic, version, kind; SHA-256 of the weights, its first half; number, height, width and channels of the images;
# bytes of the payload; and, behind these, the CRC-32 of header and payload.
HEADER = struct.Struct("<4sBB16sIIIII")
CHECKSUM = struct.Struct("<I")
MOST_VALUES = 2**33  # pixels times channels of all tiles of a stream
A_BYTE = 2**16  # of these at most for each byte, to which payloads are filled up: no small file asks for much memory
EXPECTED = "expected the bytes that compress() of this model gave"


@dataclass(frozen=True)
class Stream:
    """Images `[num, height, width, channels]`, of any sides, as the payload of one kind of coder."""

    kind: int
    digest: bytes  # of the weights that made it
    shape: tuple[int, int, int, int]
    payload: bytes

    def pack(self, tile: Sequence[int]) -> bytes:
        """The stream as bytes, of images cut into tiles `[h, w, channels]`."""
        header = HEADER.pack(MAGIC, VERSION, self.kind, self.digest, *self.shape, len(self.payload))
        filled = self.payload.ljust(num_values(self.shape, tile) // A_BYTE, b"\0")
        return header + CHECKSUM.pack(zlib.crc32(filled, zlib.crc32(header))) + filled


def num_values(shape: Sequence[int], tile: Sequence[int]) -> int:
    """Pixels times channels of all tiles of images of a shape `[num, height, width, channels]`.

    Raises `InputError`: there are none, or more than a stream may hold.
    """
    found = shape[0] * tiles.number(shape[1:3], tile[:2]) * math.prod(tile)
    if not 0 < found <= MOST_VALUES:
        told = f"{shape[0]} images of {shape[1]} x {shape[2]} are {found:,} values in tiles"
        raise InputError(f"{told}; expected some, and at most {MOST_VALUES:,} in one stream: give fewer at once.")
    return found


def unpack(data: Any, kind: int, digest: bytes, tile: Sequence[int]) -> Stream:
    """The stream in `data`, of images in tiles `[h, w, channels]`.

    Raises `InputError`: it is none, is damaged or cut, or another model has made it.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InputError(f"the data is a {type(data).__name__}; {EXPECTED}.")
    data, start = bytes(data), HEADER.size + CHECKSUM.size
    if len(data) < start or data[: len(MAGIC)] != MAGIC:
        raise InputError(f"the data is not of kerasgen, or cut short ({len(data)} bytes); {EXPECTED}.")
    _, version, found, maker, *shape, size = HEADER.unpack_from(data)
    (crc,) = CHECKSUM.unpack_from(data, HEADER.size)
    payload = data[start:]
    if len(payload) < size or zlib.crc32(payload, zlib.crc32(data[: HEADER.size])) != crc:
        raise InputError(f"the data is damaged or cut short: its checksum does not fit; {EXPECTED}.")
    if version != VERSION:
        raise InputError(
            f"the data is of version {version}, this kerasgen reads {VERSION}; take the one that wrote it."
        )
    if found != kind or maker != digest or shape[-1] != tile[-1]:
        raise InputError(f"the data is of another model, or of one with other weights; {EXPECTED}.")
    num, height, width, channels = shape
    if len(payload) < num_values(shape, tile) // A_BYTE:
        raise InputError(f"the data promises {num} images of {height} x {width}, which it cannot hold; {EXPECTED}.")
    return Stream(found, maker, (num, height, width, channels), payload[:size])


def digest_of(variables: Sequence) -> bytes:
    """The first half of the SHA-256 of the values of variables, float32."""
    found = hashlib.sha256()
    for variable in variables:
        found.update(ops.convert_to_numpy(variable).astype("<f4").tobytes())
    return found.digest()[:16]
