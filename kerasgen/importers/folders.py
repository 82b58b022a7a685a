"""Folders as diffusers' `save_pretrained` writes them, of one network or of a pipeline: what is where."""

from dataclasses import dataclass
from pathlib import Path

from kerasgen.checkpoints.safetensors import Place, places, read_index
from kerasgen.errors import CheckpointError
from kerasgen.importers.settings import read_json

INDEX, CONFIG, SCHEDULER = "model_index.json", "config.json", "scheduler_config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
CLASSES = ("UNet2DModel", "AutoencoderKL", "AutoencoderTiny")
PARTS = ("unet", "vae")  # sub-folders that are looked into
HELPERS = ("scheduler", "feature_extractor", "image_processor", "safety_checker", "tokenizer")


@dataclass(frozen=True)
class Source:
    """A network of a folder: its class, config and the folder of its weights, and the config of its scheduler."""

    name: str
    config: Path
    scheduler: Path

    @property
    def patterns(self) -> tuple[str, str]:
        """Names of its weights, under its folder."""
        stem, suffix = WEIGHTS.split(".")
        return WEIGHTS, f"{stem}-*-of-*.{suffix}"

    def tensors(self) -> dict[str, Place]:
        """Where its tensors are. Raises `CheckpointError`: there are none in safetensors."""
        index = self.config.with_name(f"{WEIGHTS}.index.json")
        if index.is_file():
            return read_index(index)
        path = self.config.with_name(WEIGHTS)
        if not path.is_file():
            told = "kerasgen reads no pickled weights (.bin); save them anew with safe_serialization=True"
            raise CheckpointError(f"{path.parent} has no {WEIGHTS}; {told}.")
        return places(path)


def recognised(folder: Path) -> bool:
    """Whether a folder has a network or a pipeline of diffusers."""
    if (folder / INDEX).is_file():
        return True
    try:
        return "_class_name" in read_json(folder / CONFIG)
    except CheckpointError:
        return False


def find(folder: Path, part: str | None = None) -> Source:
    """The network in a folder, or the one in the sub-folder `part` of a pipeline.

    Raises `CheckpointError`: there is none that kerasgen has, or it is not clear which is meant.
    """
    if part is None and (folder / CONFIG).is_file():
        return _source(folder / CONFIG, folder)
    if not (folder / INDEX).is_file():
        raise CheckpointError(f"{folder} has neither {CONFIG} of one network nor {INDEX} of a pipeline of diffusers.")
    index = read_json(folder / INDEX)
    listed = {name: value for name, value in index.items() if isinstance(value, list) and len(value) == 2 and value[1]}
    networks = {name: str(kind) for name, (_, kind) in listed.items() if not name.startswith(("_", *HELPERS))}
    alone = len(networks) == 1
    usable = [n for n in PARTS if networks.get(n) in CLASSES and (alone or networks[n] != CLASSES[0])]
    if (part is None and not (alone and usable)) or (part is not None and part not in usable):
        found = f"{folder} is a {index.get('_class_name')} of {', '.join(f'{n} ({k})' for n, k in networks.items())}"
        told = f"kerasgen reads its {' or '.join(usable)}: name it as part" if usable else "kerasgen reads none of them"
        raise CheckpointError(f"{found}; {told}.")
    name = part or usable[0]
    return _source(folder / name / CONFIG, folder / "scheduler")


def _source(config, scheduler):
    name = read_json(config).get("_class_name")
    if name not in CLASSES:
        raise CheckpointError(f"{config} is of a {name}; of diffusers kerasgen reads {', '.join(CLASSES)}.")
    return Source(name, config, scheduler / SCHEDULER)
