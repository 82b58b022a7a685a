"""One denoising step, a likelihood and a sample on all backends: the same weights, the same results to 1e-4."""

import contextlib
import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

RUN = """
import sys, numpy as np
import kerasgen
kinds = {
    "unet": (kerasgen.DiffusionModel, {"class": "UNet", "width": 8, "multipliers": [1, 2], "blocks": 1}),
    "dit": (kerasgen.FlowMatching, {"class": "DiT", "width": 16, "depth": 2, "heads": 2, "patch": 2}),
}
x = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
found = {}
for name, (family, network) in kinds.items():
    model = family(shape=(8, 8, 1), num_classes=3, network=network)
    rng = np.random.default_rng(0)
    for v in model.trainable_variables:
        v.assign(0.2 * rng.standard_normal(v.shape))
    for sampler in ("ddpm", "dpm++"):
        found[name + sampler] = model.sample(4, seed=0, sampler=sampler, steps=1, guidance=1.5, clip=False)
    found[name] = model.sample(4, seed=0, steps=5)
    found[name + "likelihood"] = model.log_prob(x, np.arange(4) % 3, num_evaluations=8) / (1000.0 * model.num_dims)
np.savez(sys.argv[1], **found)
"""


@pytest.mark.backend("jax")  # once, where .ci/run has all three
def test_backends_agree(tmp_path):
    backends = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]
    if len(backends) < 2:
        pytest.skip("one backend is installed")
    results = []
    with contextlib.ExitStack() as stack:
        runs = []
        for backend in backends:  # all at once
            command = [sys.executable, "-c", RUN, str(tmp_path / f"{backend}.npz")]
            environment = {**os.environ, "KERAS_BACKEND": backend}
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            runs.append(stack.enter_context(subprocess.Popen(command, env=environment, **pipes)))
        for backend, run in zip(backends, runs, strict=True):
            output, _ = run.communicate()
            assert run.returncode == 0, output
            with np.load(tmp_path / f"{backend}.npz") as found:
                results.append(dict(found))
    for other in results[1:]:
        for name in results[0]:
            assert np.isfinite(results[0][name]).all()
            np.testing.assert_allclose(other[name], results[0][name], atol=1e-4, err_msg=name)
