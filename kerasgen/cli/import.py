"""Make a checkpoint of the weights of another library (docs/importing.md)."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options
from kerasgen.hub.foreign import import_checkpoint


def sides(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return options.positive(height), options.positive(width or height)


def add_arguments(parser: ArgumentParser) -> None:
    about = "user/repo[@revision] on the Hugging Face Hub or a folder, of diffusers; or a .safetensors file"
    parser.add_argument("source", metavar="SOURCE", help=about)
    parser.add_argument("output", metavar="OUTPUT", help="the folder or .keras file to write")
    parser.add_argument("--part", help="of a pipeline with several networks: vae, ...")
    about = "sides of images, as 64 or HEIGHTxWIDTH, where nothing tells or they are to be others"
    parser.add_argument("--image_size", type=sides, help=about)
    parser.add_argument("--format", help="of a file: dcgan or glow")
    parser.add_argument("--num_bits", type=options.positive, help="of a Glow's pixels (default: 5)")


def run(args: Namespace) -> None:
    settings = options.given(args, "num_bits")
    model, sampling = import_checkpoint(args.source, args.output, args.part, args.image_size, args.format, **settings)
    print(f"a {type(model).__name__} of {', '.join(map(str, model.shape))} written to {args.output}")
    if sampling:
        sampler = sampling.pop("sampler")
        made = ", ".join(f"{name}={value!r}" for name, value in sampler.get_config().items())
        drawn = ", ".join(f"{name}={value!r}" for name, value in sampling.items())
        print(f"to draw as its scheduler: sample(16, sampler=samplers.{type(sampler).__name__}({made}), {drawn})")
