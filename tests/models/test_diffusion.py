from kerasgen import DiffusionModel, FlowMatching
from tests.model_case import LatentCase

UNET = {"class": "UNet", "width": 8, "multipliers": [1], "blocks": 1}
DIT = {"class": "DiT", "width": 16, "depth": 1, "heads": 2, "patch": 2}


class DenoiserCase(LatentCase):
    float16_arguments = {}  # noqa: RUF012


class TestDiffusionModel(DenoiserCase):
    def make(self, **arguments):
        defaults = {"image_shape": (8, 8, 1), "num_classes": self.num_classes, "network": UNET}
        return DiffusionModel(**defaults | arguments)


class TestFlowMatching(DenoiserCase):
    num_classes = 4

    def make(self, **arguments):
        defaults = {"image_shape": (8, 8, 1), "num_classes": self.num_classes, "network": DIT}
        return FlowMatching(**defaults | arguments)
