"""Parity with torch-fidelity (Obukhov et al. 2020): the same random Inception weights, the same features."""

import sys
import types
import warnings

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen.errors import CheckpointError, HubError, InputError
from kerasgen.metrics import cache, extractors, inception, kernel_distance, precision_and_recall
from kerasgen.metrics.extractors import InceptionExtractor
from kerasgen.metrics.frechet import frechet_distance, weighted_moments
from kerasgen.metrics.scores import inception_score
from kerasgen.metrics.torch_file import read_tensors

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def peer():
    """torch_fidelity without torchvision, whose data sets and other networks it imports but does not need here."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional")
        modules = {name: types.ModuleType(name) for name in parts}
        for data_set in ("CIFAR10", "CIFAR100", "STL10"):
            setattr(modules["torchvision.datasets"], data_set, type(data_set, (), {}))
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        yield pytest.importorskip("torch_fidelity")


@pytest.fixture(scope="module")
def state():
    """Random tensors for the network, in the ports' names and scaled so that no block's values fade or grow."""
    rng = np.random.default_rng(0)
    tensors = {"fc.weight": rng.normal(size=(1008, 2048)) / 45, "fc.bias": rng.normal(size=1008)}
    for layer in inception.inception_network().layers:
        if layer.weights and layer.name != "fc":
            height, width, channels, filters = layer.kernel.shape
            name = layer.name.replace("-", ".")
            kernel = rng.normal(size=(filters, channels, height, width)) * np.sqrt(2 / (height * width * channels))
            tensors |= {
                f"{name}.conv.weight": kernel,
                f"{name}.bn.weight": rng.uniform(0.8, 1.2, filters),
                f"{name}.bn.bias": rng.normal(size=filters) * 0.1,
                f"{name}.bn.running_mean": rng.normal(size=filters) * 0.1,
                f"{name}.bn.running_var": rng.uniform(0.8, 1.2, filters),
            }
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in tensors.items()}


def save(state, path, zipped):
    """In one of the two formats that torch.save has had."""
    counts = {name.replace("running_var", "num_batches_tracked"): torch.tensor(0) for name in state if "var" in name}
    torch.save(state | counts, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.fixture(scope="module")
def weights_file(state, tmp_path_factory):
    return save(state, tmp_path_factory.mktemp("weights") / "weights.pth", zipped=False)


@pytest.mark.parametrize("zipped", [True, False])
def test_reads_what_pytorch_wrote(state, tmp_path, zipped):
    found = read_tensors(save(state, tmp_path / "weights.pth", zipped))
    assert {name: array.dtype.name for name, array in found.items() if "tracked" not in name} == dict.fromkeys(
        state, "float32"
    )
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_runs_nothing_of_a_file(tmp_path):
    class Hostile:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    for zipped in (True, False):
        torch.save({"a": Hostile()}, tmp_path / "bad.pth", _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointError, match="open, which is not part of a tensor"):
            read_tensors(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()
    good = tmp_path / "good.pth"
    torch.save({"a": torch.zeros(100)}, good, _use_new_zipfile_serialization=False)
    for damaged in (good.read_bytes()[:-50], b"", b"no tensors"):
        (tmp_path / "bad.pth").write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"damaged|not one that torch"):
            read_tensors(tmp_path / "bad.pth")


def test_every_block(peer, state, weights_file):
    """To 1e-4 of the largest value, on images of another size than the network's; the resizing to 1e-5."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    names = [*inception.BLOCKS, "MaxPool_1", "MaxPool_2", "AvgPool"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = FeatureExtractorInceptionV3("test", ["2048", "logits_unbiased"], str(weights_file))
    seen = {}
    for name in names:
        theirs.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    images = np.random.default_rng(1).integers(0, 256, (2, 40, 57, 3), dtype=np.uint8)
    images[1] = images[1, ..., :1]  # a grey one
    as_torch = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    expected_features, expected_logits = (out.numpy() for out in theirs(as_torch))

    resized = ops.convert_to_numpy(inception.resize(ops.convert_to_tensor(images)))
    expected = interpolate_bilinear_2d_like_tensorflow1x(as_torch.float(), size=(299, 299), align_corners=False)
    np.testing.assert_allclose(resized, expected.numpy().transpose(0, 2, 3, 1) / 128 - 1, atol=1e-5)

    ours = InceptionExtractor(weights_file, digest=None)
    blocks = keras.Model(ours.network.inputs, [ours.network.get_layer(name).output for name in names])
    for name, found in zip(names, blocks(ops.convert_to_tensor(resized)), strict=True):
        expected = seen[name].numpy()
        expected = expected.reshape(len(images), -1) if name == "AvgPool" else expected.transpose(0, 2, 3, 1)
        assert np.abs(ops.convert_to_numpy(found) - expected).max() < 1e-4 * np.abs(expected).max(), name

    features, probabilities = ours.extract(images, verbose=0)
    np.testing.assert_allclose(features, expected_features, atol=1e-4 * np.abs(expected_features).max())
    expected = torch.softmax(torch.from_numpy(expected_logits), dim=1).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    # Of one channel as of three that are equal, to rounding errors: the order of sums depends on shapes.
    grey = ours.extract(images[1:, ..., :1], verbose=0)[0]
    np.testing.assert_allclose(grey, features[1:], rtol=0, atol=1e-5 * np.abs(features).max())
    for bad, message in ((images.astype(np.float32), "range over"), (images[..., :2], "1 or 3"), (images[0], "1 or 3")):
        with pytest.raises(InputError, match=message):
            ours.extract(bad, verbose=0)


def test_final_figures(peer):
    """On the same features."""
    from torch_fidelity.metric_fid import fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    rng = np.random.default_rng(0)
    real = np.maximum(rng.normal(size=(300, 40)), 0).astype(np.float32)
    fake = np.maximum(rng.normal(size=(300, 40)) + 0.1, 0).astype(np.float32)
    theirs = [torch.from_numpy(x) for x in (fake, real)]
    moments = [weighted_moments(x.astype(np.float64), np.ones(len(x))) for x in (real, fake)]
    statistics = [{"mu": mean, "sigma": covariance} for mean, covariance in moments]
    fid = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(*moments[0], *moments[1]) == pytest.approx(fid, rel=1e-6)
    kid = kid_features_to_metric(*theirs, kid_subsets=1, kid_subset_size=300, verbose=False)
    assert kernel_distance(real, fake)[0] == pytest.approx(kid["kernel_inception_distance_mean"], rel=1e-3)
    found = prc_features_to_metric(*theirs, prc_neighborhood=3, verbose=False)
    precise, recalled = precision_and_recall(real, fake, k=3)
    assert (precise.mean(), recalled.mean()) == pytest.approx((found["precision"], found["recall"]), rel=1e-5)
    score = isc_features_to_metric(theirs[0], splits=1)["inception_score_mean"]
    assert inception_score(torch.softmax(theirs[0].double(), dim=1).numpy()) == pytest.approx(score, rel=1e-6)


def test_downloaded_once_and_checked(state, tmp_path, monkeypatch):
    """From a file:// address: converted, kept, never read from there again; a wrong hash is refused."""
    monkeypatch.setenv("KERASGEN_HOME", str(tmp_path / "home"))
    layers = ("fc.", "Conv2d_1a_3x3.", "Mixed_7c.branch_pool.")
    copy = save({name: x for name, x in state.items() if name.startswith(layers)}, tmp_path / "weights.pth", True)
    digest = extractors.sha256(copy)
    monkeypatch.setattr(extractors, "INCEPTION_URL", copy.as_uri())
    with pytest.raises(HubError, match="has the SHA-256"):
        extractors.inception_weights(digest="0" * 64)
    assert not list((cache.home() / "extractors").iterdir())
    first = extractors.inception_weights(digest=digest)
    copy.unlink()
    again = extractors.inception_weights(digest=digest)
    assert first.keys() == again.keys()
    assert first.keys() == {
        "fc/0",
        *(f"{layer}/{i}" for layer in ("Conv2d_1a_3x3", "Mixed_7c-branch_pool") for i in (0, 1)),
    }
    np.testing.assert_array_equal(first["fc/0"], state["fc.weight"].numpy().T)
    assert len(list((cache.home() / "extractors").iterdir())) == 1
    with pytest.raises(HubError, match="put it at"):
        extractors.inception_weights(digest="1" * 64)
