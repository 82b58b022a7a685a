"""What figures are measured with: networks from images to features and to probabilities of classes."""

import hashlib
import json
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import Protocol

import numpy as np
from keras import ops

from kerasgen import backend
from kerasgen.base import batched, rows
from kerasgen.checkpoints import sha256
from kerasgen.errors import HubError, InputError
from kerasgen.files import replacing
from kerasgen.metrics import cache, inception, torch_file
from kerasgen.modalities import Images
from kerasgen.modalities.modality import to_numpy
from kerasgen.typing import Any, Array, Verbose

FORM = 2  # of what the cache keeps: since it is 2, probabilities of attributes too
INCEPTION = "inception-2015"
INCEPTION_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
)
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class Extractor(Protocol):
    """What figures are measured in; `num_classes` is `None` where there are no probabilities of classes."""

    name: str
    sha256: str

    @property
    def num_classes(self) -> int | None: ...

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raises `InputError` if it does not take images of this shape."""

    def extract(self, images: Array, batch_size: int = 250, verbose: Verbose = "auto") -> tuple[Array, Array | None]:
        """Features `[N, F]` and probabilities `[N, num_classes]` or `None`, float32."""


class InceptionExtractor:
    """The Inception network of 2015, for images of any size with 1 or 3 channels.

    Its weights (96 MB) are downloaded on first use, or read from `path`; the SHA-256 is checked unless it is `None`.
    """

    name = INCEPTION
    num_classes = inception.NUM_CLASSES

    def __init__(self, path: Path | None = None, digest: str | None = INCEPTION_SHA256):
        self.sha256 = digest or sha256(path)
        weights = inception_weights(path, digest)
        self.network = inception.inception_network()
        for layer in self.network.layers:
            layer.set_weights([weights[f"{layer.name}/{index}"] for index in range(len(layer.weights))])

        def outputs(images):
            features, logits = self.network(inception.resize(images), training=False)
            return ops.concatenate([features, ops.softmax(logits)], axis=-1)

        self._program = backend.compiled(self.network, outputs)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if shape[2:] not in ((1,), (3,)):
            raise InputError(f"extractor {INCEPTION} takes images of 1 or 3 channels, not of shape {shape}.")

    def extract(self, images: Array, batch_size: int = 50, verbose: Verbose = "auto") -> tuple[Array, Array | None]:
        images = to_numpy("images", images)
        self.check_shape(images.shape[1:])
        images = Images(images.shape[1:]).check(images)
        both = batched(self._program, len(images), rows(images), batch_size, verbose, "images")
        return both[:, : inception.NUM_FEATURES], both[:, inception.NUM_FEATURES :]


def inception_weights(path: Path | None = None, digest: str | None = INCEPTION_SHA256) -> dict[str, Array]:
    """`{"layer/index": array}`, converted once and kept in the cache; `path` is the file of the PyTorch ports."""
    if path is None:
        kept = cache.home() / "extractors" / f"{INCEPTION}-{digest[:16]}.npz"
        if (arrays := cache.read(kept)) is not None:
            return arrays
        path = kept.with_name(INCEPTION_URL.rpartition("/")[2])
        if not path.is_file():
            _download(INCEPTION_URL, path)
    if digest is not None and (found := sha256(path)) != digest:
        path.unlink() if path.is_relative_to(cache.home()) else None
        raise HubError(f"{path} has the SHA-256 {found}; expected {digest}. Download it again from {INCEPTION_URL}.")
    layers = inception.convert(torch_file.read_tensors(path))
    arrays = {f"{layer}/{index}": array for layer, values in layers.items() for index, array in enumerate(values)}
    if path.is_relative_to(cache.home()) and cache.write(kept, arrays):
        path.unlink()
    return arrays


def _download(url, path):
    print(f"downloading {url}", file=sys.stderr)
    try:
        with urllib.request.urlopen(url, timeout=60) as response, replacing(path) as file:
            shutil.copyfileobj(response, file)
    except OSError as error:
        raise HubError(
            f"the weights of {INCEPTION} cannot be downloaded ({error}). Download {url} on another machine and put it "
            f"at {path}, or measure with a classifier of the zoo."
        ) from error


def extract_cached(extractor: Extractor, images: Array, **batching: Any) -> tuple[Array, Array | None]:
    """`extractor.extract(images, **batching)`, kept in the cache under the hashes of extractor and images.

    A cache that cannot be written costs a warning and nothing else.
    """
    key = {"extractor": extractor.name, "sha256": extractor.sha256, "images": fingerprint(images), "form": FORM}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    path = cache.home() / "features" / f"{digest[:32]}.npz"
    if (arrays := cache.read(path)) is None:
        features, probabilities = extractor.extract(images, **batching)
        arrays = {"features": features} | ({} if probabilities is None else {"probabilities": probabilities})
        cache.write(path, arrays)
    return arrays["features"], arrays.get("probabilities")


def fingerprint(images: Array) -> str:
    """SHA-256 of the dtype, the shape and the bytes of an array of images, as they are after all preprocessing."""
    images = np.ascontiguousarray(images)
    digest = hashlib.sha256(f"{images.dtype} {images.shape}".encode())
    digest.update(images.data)
    return digest.hexdigest()
