"""Write a part of a model for another runtime: ONNX, SavedModel or LiteRT."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from kerasgen.cli import options
from kerasgen.export import FORMATS
from kerasgen.hub.registry import load

NAMES = {name.removeprefix("tf_"): name for name in FORMATS}  # as they are called here, and by Keras


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument("--format", choices=NAMES, default="onnx", help="(default: %(default)s)")
    about = "encoder, decoder, denoiser, sampler, a_to_b, b_to_a or whole, as the model has them (default: %(default)s)"
    parser.add_argument("--part", default="whole", help=about)
    parser.add_argument("--output", type=Path, help="file, or folder of a SavedModel (default: MODEL-PART.SUFFIX)")
    parser.add_argument("--temperature", type=float, help="of the noise that a sampler reads and draws")
    options.add_sampler(parser)


def run(args: Namespace) -> None:
    suffix = FORMATS[NAMES[args.format]].suffix
    output = args.output or Path(f"{Path(args.model).name}-{args.part}{suffix}")
    settings = options.given(args, "sampler", "steps", "guidance", "temperature")
    report = load(args.model).export(output, NAMES[args.format], part=args.part, **settings)
    for kind in ("inputs", "output"):
        for name, spec in report[kind].items():
            print(f"{kind.removesuffix('s')} {name}: {spec['dtype']} {spec['shape']}")
    print(f"{args.part} written to {output}; {report['runtime']} differs by {report['max_difference']:.1e}")
