"""Draw images."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options
from kerasgen.hub.registry import load


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    options.add_output(parser, "samples.png")
    parser.add_argument("--num_samples", type=options.positive, default=100, help="images (default: %(default)s)")
    parser.add_argument("--labels", type=options.labels, help=options.LABELS)
    options.add_sampling(parser)
    parser.add_argument("--truncation", type=float, help="bound of a GAN's latents")


def run(args: Namespace) -> None:
    model = load(args.model)
    sample = model.verb("sample")
    output = model.modality.check_output(args.output)
    labels = options.labels_of(args.labels, args.num_samples)
    settings = options.given(args, "sampler", "steps", "guidance", "truncation")
    model.sampling_config(**settings)  # refuses what the family does not have
    examples = sample(args.num_samples, labels=labels, seed=args.seed, temperature=args.temperature, **settings)
    model.modality.write(examples, output, model.exclusive_classes if labels is None else None)
    print(f"{len(examples)} {model.modality.noun} written to {output}")
