"""Draw images, vectors or texts."""

import inspect
from argparse import ArgumentParser, Namespace
from pathlib import Path

from kerasgen.base import BaseModel
from kerasgen.cli import options
from kerasgen.errors import InputError
from kerasgen.hub.registry import load
from kerasgen.typing import Any


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    options.add_output(parser, None)
    parser.add_argument("--num_samples", type=options.positive, default=100, help="how many (default: %(default)s)")
    parser.add_argument("--labels", type=options.labels, help=options.LABELS)
    options.add_sampling(parser)
    parser.add_argument("--truncation", type=float, help="bound of a GAN's latents")
    parser.add_argument("--prompt", help="what texts begin with")
    options.add_truncation_of_tokens(parser)


def settings_of(model: BaseModel, args: Namespace, verb: str = "sample") -> dict[str, Any]:
    """The settings that were given. Raises `InputError`: the family does not have one."""
    names = ("sampler", "steps", "guidance", "truncation", "top_k", "top_p")
    settings = options.given(args, *(name for name in names if hasattr(args, name)))
    model.sampling_config(**settings)
    settings |= options.given(args, "prompt") if hasattr(args, "prompt") else {}
    if "prompt" in settings and "prompt" not in inspect.signature(model.verb("sample")).parameters:
        raise InputError(f"{type(model).__name__} does not {verb} texts, so there is nothing to begin with.")
    labels = options.labels_of(args.labels, args.num_samples)
    return settings | {"labels": labels, "seed": args.seed, "temperature": args.temperature}


def run(args: Namespace) -> None:
    model = load(args.model)
    sample = model.verb("sample")
    output = model.modality.check_output(args.output or Path(model.modality.sheet))
    examples = sample(args.num_samples, **settings_of(model, args))
    model.modality.write(examples, output, model.exclusive_classes if args.labels is None else None)
    print(f"{len(examples)} {model.modality.noun} written to {output}")
