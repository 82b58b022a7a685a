"""Files of tensors alone: DCGAN of PyTorch's examples, Glow of rosinality, against their computation in PyTorch."""

import itertools
import math

import keras
import numpy as np
import pytest

import kerasgen
from kerasgen.cli import main as cli
from kerasgen.errors import CheckpointError, InputError
from tests.model_case import assert_same

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
nn = torch.nn


def randomized(network):
    """The network in use, with weights and moving statistics of its own."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if tensor.dtype == torch.float32:
            noise = torch.randn(tensor.shape, generator=generator)
            scale = 0.3 if tensor.ndim < 2 else 0.7 * tensor[0].numel() ** -0.5
            tensor.copy_(noise.abs() + 0.5 if name.endswith("running_var") else tensor + scale * noise)
    return network.eval()


def save(network, path, prefix=""):
    tensors = {prefix + name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    safetensors.save_file(tensors, path)
    return path


# DCGAN


class Generator(nn.Module):
    """Layers of a DCGAN for images of 16 x 16, by their numbers in the example."""

    def __init__(self, latents=5, width=3, channels=2):
        super().__init__()
        torch.manual_seed(0)
        sizes = [latents, 2 * width, width]
        layers = []
        for index, (before, after) in enumerate(itertools.pairwise(sizes)):
            first = index == 0
            layers.append(nn.ConvTranspose2d(before, after, 4, 1 if first else 2, 0 if first else 1, bias=False))
            layers += [nn.BatchNorm2d(after), nn.ReLU(True)]
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z):
        return self.main(z[:, :, None, None])


@pytest.mark.parametrize("prefix", ["", "module."])
def test_dcgan(prefix, tmp_path):
    theirs = randomized(Generator())
    path = save(theirs, tmp_path / "g.safetensors", prefix)
    kerasgen.import_checkpoint(path, tmp_path / "ours", format="dcgan")
    model = kerasgen.load(tmp_path / "ours")
    assert (type(model), model.shape, model.latent_dim) == (kerasgen.GAN, (16, 16, 2), 5)
    z = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    with torch.no_grad():
        expected = np.moveaxis(theirs(torch.from_numpy(z)).numpy(), 1, -1)
    assert expected.std() > 0.1
    assert_same(model.decode(z, verbose=0), expected / 2 + 0.5, 1e-5)
    model.compile()
    model.fit(np.random.default_rng(0).random((4, 16, 16, 2)), verbose=0)


# Glow


class ActNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.register_buffer("initialized", torch.tensor(1, dtype=torch.uint8))

    def forward(self, x):
        return self.scale * (x + self.loc), x[0, 0].numel() * self.scale.abs().log().sum()


class InvConv2dLU(nn.Module):
    def __init__(self, channels):
        super().__init__()
        permutation, lower, upper = torch.linalg.lu(torch.linalg.qr(torch.randn(channels, channels))[0])
        mask = torch.triu(torch.ones(channels, channels), 1)
        for name, value in (("w_p", permutation), ("u_mask", mask), ("l_mask", mask.T), ("l_eye", torch.eye(channels))):
            self.register_buffer(name, value.clone())
        self.register_buffer("s_sign", upper.diag().sign())
        self.w_l, self.w_u = nn.Parameter(lower), nn.Parameter(upper.triu(1))
        self.w_s = nn.Parameter(upper.diag().abs().log())

    def forward(self, x):
        upper = self.w_u * self.u_mask + torch.diag(self.s_sign * self.w_s.exp())
        weight = self.w_p @ (self.w_l * self.l_mask + self.l_eye) @ upper
        return torch.einsum("oi,bihw->bohw", weight, x), x[0, 0].numel() * self.w_s.sum()


class InvConv2d(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels))[0][:, :, None, None])

    def forward(self, x):
        log_det = torch.linalg.slogdet(self.weight[:, :, 0, 0].double())[1].float()
        return nn.functional.conv2d(x, self.weight), x[0, 0].numel() * log_det


class ZeroConv2d(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3)
        self.scale = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x):
        return self.conv(nn.functional.pad(x, (1, 1, 1, 1), value=1)) * torch.exp(3 * self.scale)


class AffineCoupling(nn.Module):
    def __init__(self, channels, width, affine):
        super().__init__()
        self.affine = affine
        last = ZeroConv2d(width, channels if affine else channels // 2)
        first = nn.Conv2d(channels // 2, width, 3, padding=1)
        self.net = nn.Sequential(first, nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), last)

    def forward(self, x):
        a, b = x.chunk(2, 1)
        if not self.affine:
            return torch.cat([a, b + self.net(a)], 1), 0.0
        log_scale, shift = self.net(a).chunk(2, 1)
        scale = torch.sigmoid(log_scale + 2)
        return torch.cat([a, (b + shift) * scale], 1), scale.log().sum((1, 2, 3))


class Flow(nn.Module):
    def __init__(self, channels, width, affine, factored):
        super().__init__()
        self.actnorm = ActNorm(channels)
        self.invconv = (InvConv2dLU if factored else InvConv2d)(channels)
        self.coupling = AffineCoupling(channels, width, affine)

    def forward(self, x):
        total = 0.0
        for layer in (self.actnorm, self.invconv, self.coupling):
            x, log_det = layer(x)
            total = total + log_det
        return x, total


class Block(nn.Module):
    def __init__(self, channels, steps, width, affine, factored, last):
        super().__init__()
        self.last = last
        self.flows = nn.ModuleList([Flow(4 * channels, width, affine, factored) for _ in range(steps)])
        self.prior = ZeroConv2d(4 * channels, 8 * channels) if last else ZeroConv2d(2 * channels, 4 * channels)

    def forward(self, x):
        """What goes on, the log-determinant, and log p of what leaves."""
        b, c, h, w = x.shape
        x = x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(b, 4 * c, h // 2, w // 2)
        total = 0.0
        for flow in self.flows:
            x, log_det = flow(x)
            total = total + log_det
        kept, leaving = (torch.zeros_like(x), x) if self.last else x.chunk(2, 1)
        mean, log_std = self.prior(kept).chunk(2, 1)
        log_p = -0.5 * math.log(2 * math.pi) - log_std - 0.5 * (leaving - mean) ** 2 / torch.exp(2 * log_std)
        return kept, total, log_p.sum((1, 2, 3))


class Glow(nn.Module):
    def __init__(self, channels=3, levels=2, steps=2, width=6, affine=True, factored=True):
        super().__init__()
        sizes = [channels * 2**level for level in range(levels)]
        self.blocks = nn.ModuleList([Block(size, steps, width, affine, factored, size == sizes[-1]) for size in sizes])

    def forward(self, x):
        """log p of images in [-0.5, 0.5), nats [B]."""
        total = 0.0
        for block in self.blocks:
            x, log_det, log_p = block(x)
            total = total + log_det + log_p
        return total


def make_glow(**arguments):
    torch.manual_seed(0)
    model = Glow(**arguments)
    signs = [buffer.clone() for name, buffer in model.named_buffers()]
    randomized(model)
    for kept, buffer in zip(signs, model.buffers(), strict=True):
        buffer.copy_(kept)
    for name, parameter in model.named_parameters():
        if name.endswith("actnorm.scale"):
            parameter.data.abs_().add_(0.1)
        if ".conv.weight" in name:
            parameter.data *= 0.3
    return model


@pytest.mark.parametrize(("affine", "factored"), [(True, True), (False, True), (True, False)])
def test_glow(affine, factored, tmp_path):
    theirs = make_glow(affine=affine, factored=factored)
    path = save(theirs, tmp_path / "glow.safetensors", "module." if affine else "")
    kerasgen.import_checkpoint(path, tmp_path / "ours", format="glow", image_size=(8, 16), num_bits=5)
    model = kerasgen.load(tmp_path / "ours")
    assert (type(model), model.shape, model.num_bits) == (kerasgen.Glow, (8, 16, 3), 5)
    rng = np.random.default_rng(0)
    x = rng.random((3, 8, 16, 3)).astype(np.float32)
    u = rng.random((3, 8, 16, 3)).astype(np.float32)
    v = (np.floor(np.round(255.0 * x) / 8) + u) / 32
    with torch.no_grad():
        expected = theirs(torch.from_numpy(np.moveaxis(v, -1, 1).astype(np.float32) - 0.5)).numpy()
    found = keras.ops.convert_to_numpy(model.log_density(*map(keras.ops.convert_to_tensor, (x, u))))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)
    assert_same(model.decode(model.encode(x, verbose=0), verbose=0), np.floor(np.round(255 * x) / 8) / 31, 1e-4)


@pytest.fixture
def glow(tmp_path):
    return save(make_glow(), tmp_path / "glow.safetensors")


def test_files_that_are_refused(glow, tmp_path):
    ours = tmp_path / "ours"
    for arguments, message in (
        ({}, "holds tensors alone: give format, one of dcgan, glow"),
        ({"format": "glow"}, "give image_size"),
        ({"format": "glow", "part": "unet"}, "part is of folders"),
        ({"format": "flow"}, "format is 'flow'"),
        ({"num_bits": 5}, "setting of formats"),
    ):
        with pytest.raises(InputError, match=message):
            kerasgen.import_checkpoint(glow, ours, **arguments)
    with pytest.raises(InputError, match="is no file"):
        kerasgen.import_checkpoint(tmp_path, ours, format="glow")
    with pytest.raises(InputError, match="import it first"):
        kerasgen.load(glow)
    with pytest.raises(CheckpointError, match="is no DCGAN"):
        kerasgen.import_checkpoint(glow, ours, format="dcgan")
    with pytest.raises(CheckpointError, match="cannot be squeezed 2 times"):
        kerasgen.import_checkpoint(glow, ours, format="glow", image_size=(6, 6))
    generator = save(randomized(Generator()), tmp_path / "g.safetensors")
    with pytest.raises(CheckpointError, match="is no such Glow"):
        kerasgen.import_checkpoint(generator, ours, format="glow", image_size=(8, 8))
    with pytest.raises(CheckpointError, match="images of 16 x 16, not"):
        kerasgen.import_checkpoint(generator, ours, format="dcgan", image_size=(8, 8))
    assert not ours.exists()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda x: x.pop("blocks.1.prior.scale"), r"lacks 1 of \d+ tensors: blocks.1.prior.scale"),
        (lambda x: x.update(more=torch.zeros(2)), "1 tensors over.*: more"),
        (lambda x: x.update({"blocks.0.prior.conv.bias": torch.zeros(5)}), r"prior.conv.bias \(5,\), not \(12,\)"),
        (lambda x: x["blocks.0.flows.0.actnorm.scale"].neg_(), "actnorm.scale has values that are not positive"),
    ],
)
def test_tensors_that_do_not_fit(edit, message, glow, tmp_path):
    tensors = safetensors.load_file(glow)
    edit(tensors)
    safetensors.save_file(tensors, glow)
    with pytest.raises(CheckpointError, match=message):
        kerasgen.import_checkpoint(glow, tmp_path / "ours", format="glow", image_size=(8, 8))


def test_the_command(glow, tmp_path, capsys):
    given = ["import", str(glow), str(tmp_path / "ours"), "--format", "glow", "--image_size", "8", "--num_bits", "3"]
    assert cli.execute(cli.parser().parse_args(given)) == 0
    assert capsys.readouterr().out == f"a Glow of 8, 8, 3 written to {tmp_path / 'ours'}\n"
    assert kerasgen.load(tmp_path / "ours").num_bits == 3
