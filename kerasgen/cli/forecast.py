"""Go on from the first frames of videos."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from kerasgen.cli import options, transform
from kerasgen.hub.registry import load


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    about = "a video (.gif, .mp4), a folder of them, or a .npy file of videos [N, frames, height, width, channels]"
    parser.add_argument("--input", required=True, type=Path, help=about)
    about = "how many of the first frames are given (default: all, at most half of what the model draws)"
    parser.add_argument("--frames", type=options.positive, help=about)
    about = "all at once (.gif, .mp4), strips of frames (.png), an array (.npy), or a folder of GIF files"
    parser.add_argument("--output", type=Path, default=Path("forecast.gif"), help=f"{about} (default: %(default)s)")
    parser.add_argument("--num_videos", type=options.positive, default=16, help="the first so many (default: 16)")
    parser.add_argument("--labels", type=options.labels, help=options.LABELS)
    options.add_sampling(parser)


def run(args: Namespace) -> None:
    model = load(args.model)
    forecast = model.verb("forecast")
    output = model.modality.check_output(args.output)
    settings = options.given(args, "sampler", "steps", "guidance")
    given = transform.read_videos(args.input, model.shape, args.frames or model.shape[0] // 2, args.num_videos)
    labels = options.labels_of(args.labels, len(given))
    videos = forecast(given, labels, args.seed, temperature=args.temperature, **settings)
    model.modality.write(videos, output)
    print(f"{len(videos)} {model.modality.noun}, {given.shape[1]} frames of each given, written to {output}")
