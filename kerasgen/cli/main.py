"""The `kerasgen` command; its subcommands are in `parser`.

Exit status 0; 1 for a failure, with one line on standard error; 2 for bad usage.
"""

import argparse
import json
import sys
from pathlib import Path

from absl import app, logging
from absl.flags import argparse_flags

from kerasgen import __version__
from kerasgen.errors import InputError, KerasgenError


def _positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _labels(text):
    return [int(part) for part in text.split(",")]


def _names(text):
    return [part.strip() for part in text.split(",") if part.strip()]


def _output(text):
    path = Path(text)
    if path.suffix not in ("", ".png", ".npy"):
        raise argparse.ArgumentTypeError(f"{text} ends in {path.suffix}; expected .png, .npy or a folder")
    if path.suffix and path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder")
    if not path.suffix and path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is a file; expected .png, .npy or a folder")
    return path


def parser():
    """The command line as an argument parser; each command's function is its default `run`."""
    top = argparse_flags.ArgumentParser(prog="kerasgen", description="A zoo of pretrained generative models for Keras.")
    top.add_argument("--version", action="version", version=f"kerasgen {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(function, help):
        sub = commands.add_parser(function.__name__.strip("_"), help=help, description=help)
        sub.set_defaults(run=function)
        return sub

    def takes_model(sub):
        sub.add_argument(
            "model",
            metavar="MODEL",
            help="a zoo name (see kerasgen list), a checkpoint folder, or user/repo[@revision] on the Hugging Face Hub",
        )

    def takes_output(sub, default):
        sub.add_argument(
            "--output",
            type=_output,
            default=Path(default),
            help="a grid (.png), an array (.npy), or a folder of PNG files (default: %(default)s)",
        )

    def takes_sampling(sub):
        sub.add_argument(
            "--seed", type=int, default=0, help="the same seed gives the same images (default: %(default)s)"
        )
        sub.add_argument("--temperature", type=float, default=1.0, help="spread of the latents (default: %(default)s)")
        sub.add_argument("--sampler", help="of diffusion and flow-matching models: ddpm, ddim, dpm++, unipc, ...")
        sub.add_argument("--steps", type=_positive, help="of the sampler")
        sub.add_argument("--guidance", type=float, help="weight of the labels; 1 is none")

    sub = command(_list, "List the models of the zoo.")
    sub.add_argument("--json", action="store_true", help="print JSON instead of a table")
    sub.add_argument("--family", help="only models of this family, such as VariationalAutoencoder")

    sub = command(_show, "Show what a model is: its recipe and its measured figures.")
    takes_model(sub)

    sub = command(_sample, "Draw images.")
    takes_model(sub)
    takes_output(sub, "samples.png")
    sub.add_argument("--num_samples", type=_positive, default=100, help="number of images (default: %(default)s)")
    sub.add_argument("--labels", type=_labels, help="classes, for example 3 or 0,1,2, taken in turn")
    takes_sampling(sub)
    sub.add_argument("--truncation", type=float, help="bound of a GAN's latents")

    def takes_input(sub):
        sub.add_argument(
            "--input", required=True, help="a data set name, a TFDS folder, a folder of images or a .npy file"
        )
        sub.add_argument("--split", default="test", help="of the data set (default: %(default)s)")
        sub.add_argument("--num_images", type=_positive, default=20, help="the first so many (default: %(default)s)")

    sub = command(_reconstruct, "Encode and decode images; the grid shows each image above its reconstruction.")
    takes_model(sub)
    takes_output(sub, "reconstructions.png")
    takes_input(sub)
    sub.add_argument("--labels", type=_labels, help="classes of the images, if the input has none")

    sub = command(_translate, "Translate images to images; the grid shows each image above its translation.")
    takes_model(sub)
    takes_output(sub, "translations.png")
    takes_input(sub)
    sub.add_argument("--direction", choices=("a_to_b", "b_to_a"), help="of a CycleGAN (default: a_to_b)")

    sub = command(_upscale, "Enlarge images; the grid shows each small image above what was drawn for it.")
    takes_model(sub)
    takes_output(sub, "enlarged.png")
    takes_input(sub)
    sub.add_argument("--labels", type=_labels, help="classes of the images, if the model has any and the input none")
    takes_sampling(sub)

    sub = command(_train, "Train the model of a recipe; run again, it goes on where it was.")
    sub.add_argument("recipe", metavar="NAME|RECIPE", help="a zoo name, or the path of a recipe.toml")
    sub.add_argument("--workdir", required=True, help="folder of the run: log, sample grids, backup, checkpoint")
    sub.add_argument("--dataset", help="train on this data set instead: a TFDS name, a TFDS folder, a folder of images")
    sub.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change an entry of the recipe, for example training.epochs=3; may be repeated",
    )

    sub = command(_evaluate, "Measure a model on a split of its data set.")
    takes_model(sub)
    sub.add_argument("--split", help="(default: the recipe's evaluation split)")
    sub.add_argument("--dataset", help="measure on this data set instead of the recipe's")
    sub.add_argument("--num_samples", type=_positive, help="(default: the recipe's, 10000 unless it says otherwise)")
    sub.add_argument(
        "--extractor", help="inception-2015, or a classifier as for MODEL (default: the recipe's evaluation.extractor)"
    )
    sub.add_argument(
        "--metrics", type=_names, help="such as frechet_distance,kernel_distance (default: all that apply)"
    )
    sub.add_argument("--output", type=Path, default=Path("metrics.json"), help="(default: %(default)s)")

    sub = command(
        _compare, "Compare the figures of two metrics.json files; exit status 1 if any was measured otherwise."
    )
    sub.add_argument("a", metavar="A.json", type=Path)
    sub.add_argument("b", metavar="B.json", type=Path)

    sub = command(_report, "Make one HTML page of a model's figures and pictures.")
    takes_model(sub)
    sub.add_argument("--dataset", help="show images of this data set instead of the recipe's")
    sub.add_argument("--output", type=Path, default=Path("report.html"), help="(default: %(default)s)")

    sub = command(_download, "Bring a model into the cache of the Hugging Face Hub, for use without a network.")
    takes_model(sub)
    sub.add_argument("--cache_dir", help="(default: that of huggingface_hub)")

    sub = command(_inspect, "Show what a checkpoint holds, without loading it.")
    takes_model(sub)

    sub = command(_publish, "Publish a model on the Hugging Face Hub; log in with `hf auth login` before.")
    takes_model(sub)
    sub.add_argument("repo_id", metavar="USER/REPO", help="made if it does not exist")
    sub.add_argument("--private", action="store_true", help="if it is made")
    sub.add_argument("--revision", help="a branch, made if it does not exist (default: main)")
    sub.add_argument("--create_pr", action="store_true", help="open a pull request instead of committing")
    sub.add_argument("--message", help="of the commit")
    return top


def _print_table(rows):
    columns = list(rows[0])
    table = [columns] + [["-" if row[c] is None else str(row[c]) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _list(args):
    from kerasgen.hub import list_models

    models = list_models(args.family)
    if args.json:
        print(json.dumps(models, indent=2))
        return
    if not models:
        raise InputError(f"no model of family {args.family!r}; kerasgen list shows all.")
    _print_table(
        [
            {
                "name": model["name"],
                "family": model["family"],
                "dataset": model["dataset"],
                "image": "x".join(map(str, model["image_shape"])),
                "classes": model["num_classes"],
                "parameters": model["parameters"],
                "bundled": "yes" if model["bundled"] else "no",
            }
            for model in models
        ]
    )


def _show(args):
    from kerasgen.hub import describe

    print(json.dumps(describe(args.model), indent=2))


def _write(images, output, columns):
    """Images `[N, H, W, C]` to a grid, an array or a folder of PNG files."""
    import numpy as np

    from kerasgen import pictures

    if output.suffix == ".png":
        pictures.save_grid(images, output, columns)
    elif output.suffix == ".npy":
        output.parent.mkdir(parents=True, exist_ok=True)
        np.save(output, images)
    else:
        for index, image in enumerate(pictures.to_uint8(images)):
            pictures.save_png(image, output / f"{index:06d}.png")
    print(f"{len(images)} images written to {output}")


def _settings(args, *names):
    """Those of these arguments that were given."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def _sample(args):
    import numpy as np

    import kerasgen

    model = kerasgen.load(args.model)
    if not isinstance(model, kerasgen.GenerativeModel):
        raise InputError(f"{type(model).__name__} draws no images of its own; it has other commands (kerasgen --help).")
    labels = None if args.labels is None else np.resize(args.labels, args.num_samples)
    settings = _settings(args, "sampler", "steps", "guidance", "truncation")
    model.how_drawn(**settings)  # refuses what the family does not have
    images = model.sample(args.num_samples, labels=labels, seed=args.seed, temperature=args.temperature, **settings)
    _write(images, args.output, model.num_classes if labels is None else None)


def _reconstruct(args):
    import kerasgen

    model = kerasgen.load(args.model)
    if not hasattr(model, "reconstruct"):
        raise InputError(f"{type(model).__name__} has no encoder to reconstruct with.")
    images, labels = _read_labelled(args, model, model.image_shape)
    _write_below(images, model.reconstruct(images, labels), args.output)


def _upscale(args):
    import kerasgen

    model = kerasgen.load(args.model)
    if model.super_resolution is None:
        raise InputError(f"{args.model} does not enlarge images: it has no super_resolution.")
    settings = _settings(args, "sampler", "steps", "guidance")
    small, labels = _read_labelled(args, model, model.small_shape)
    large = model.upscale(small, labels, seed=args.seed, temperature=args.temperature, **settings)
    factor = model.super_resolution
    _write_below(small.repeat(factor, axis=1).repeat(factor, axis=2), large, args.output)


def _read_labelled(args, model, image_shape):
    """As `_read`; with the labels that the model takes, from the input or `--labels`."""
    import numpy as np

    images, labels = _read(args, image_shape)
    if model.num_classes is None:
        labels = None
    elif args.labels is not None:
        labels = np.resize(args.labels, len(images))
    return images, labels


def _translate(args):
    import kerasgen

    model = kerasgen.load(args.model)
    if not hasattr(model, "translate"):
        raise InputError(f"{type(model).__name__} does not translate images; see kerasgen sample and reconstruct.")
    settings = {} if args.direction is None else {"direction": args.direction}
    if settings and not isinstance(model, kerasgen.CycleGAN):
        raise InputError(f"{type(model).__name__} translates one way alone; leave out --direction.")
    images, _ = _read(args, model.source_shape)
    _write_below(images, model.translate(images, **settings), args.output)


def _read(args, image_shape):
    """The first images of `--input` and their labels, or `None`, for a model of images of this shape."""
    import numpy as np

    from kerasgen import data

    if not args.input.endswith(".npy"):
        height, width, channels = image_shape
        return data.load_arrays(args.input, args.split, (height, width), channels=channels, limit=args.num_images)
    if not Path(args.input).is_file():
        raise InputError(f"{args.input} does not exist; expected an array of images in a .npy file.")
    return np.load(args.input, allow_pickle=False)[: args.num_images], None


def _write_below(images, results, output):
    """Results alone, but for a grid: there in pairs of rows, up to ten images, and below them what they became."""
    import numpy as np

    if output.suffix != ".png":
        _write(results, output, None)
        return
    images = images / np.float32(255.0) if images.dtype == np.uint8 else images
    channels = max(images.shape[-1], results.shape[-1])  # gray images become coloured ones' like
    columns = min(10, len(images))
    pad = [(0, -len(images) % columns)] + [(0, 0)] * 3
    pairs = [np.broadcast_to(a, (*a.shape[:3], channels)) for a in (images, results)]
    pairs = np.stack([np.pad(a, pad, constant_values=1.0) for a in pairs])
    shape = pairs.shape[2:]
    _write(pairs.reshape(2, -1, columns, *shape).swapaxes(0, 1).reshape(-1, *shape), output, columns)


def _read_recipe(handle):
    """The recipe of a zoo name, or of a path to a recipe.toml or a folder that holds one."""
    from kerasgen.recipes import Recipe
    from kerasgen.hub import find_recipe

    return Recipe.load(find_recipe(handle))


def _dataset_override(args):
    return [f"dataset.source={json.dumps(args.dataset)}"] if args.dataset else []


def _train(args):
    from kerasgen.training.run import train

    recipe = _read_recipe(args.recipe).override(args.override + _dataset_override(args))
    folder = train(recipe, args.workdir)
    print(f"The checkpoint is {folder}; kerasgen.load and the other commands take its path.")


def _interval(figure):
    error = figure.get("standard_error")
    return f"{figure['value']:.5g}" + (f" ± {error:.2g}" if error is not None else "")


def _evaluate(args):
    import kerasgen
    from kerasgen.training.run import evaluate_recipe

    changes = {"split": args.split, "num_samples": args.num_samples, "extractor": args.extractor}
    overrides = [f"evaluation.{key}={json.dumps(value)}" for key, value in changes.items() if value is not None]
    recipe = _read_recipe(args.model).override(_dataset_override(args) + overrides)
    model = kerasgen.load(args.model)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    report = {"model": recipe.name} | evaluate_recipe(recipe, model, recipe.evaluation.split, metrics=args.metrics)
    args.output.write_text(json.dumps(report, indent=2) + "\n")
    _print_table(
        [
            {"metric": name, "value ± standard error": _interval(figure), "seconds": figure["seconds"]}
            for name, figure in report["metrics"].items()
        ]
    )
    print(f"written to {args.output}")


def _read_report(path):
    try:
        report = json.loads(path.read_text())
        if not isinstance(report["metrics"], dict):
            raise KeyError("metrics")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a metrics.json as kerasgen evaluate writes it ({error}).") from error
    return report


def _compare(args):
    from kerasgen.metrics.compare import compare

    a, b = _read_report(args.a), _read_report(args.b)
    names = [report.get("model") or str(path) for report, path in ((a, args.a), (b, args.b))]
    names = (
        names
        if names[0] != names[1]
        else [f"{name} ({path})" for name, path in zip(names, (args.a, args.b), strict=True)]
    )
    alike, unlike = compare(a, b)
    if alike:
        _print_table(
            [
                {"metric": name, names[0]: _interval(one), names[1]: _interval(other)}
                for name, (one, other) in alike.items()
            ]
        )
    for name, fields in unlike.items():
        differing = "; ".join(f"{field} is {one!r} and {other!r}" for field, (one, other) in fields.items())
        print(f"{name} is not compared: {differing}")
    if unlike or not alike:
        raise InputError(
            f"{len(unlike)} of the {len(unlike) + len(alike)} figures that both have were measured otherwise; measure "
            "both alike with kerasgen evaluate."
        )


def _report(args):
    import kerasgen
    from kerasgen.training.report import write_report
    from kerasgen.hub import checkpoint_folder

    folder = checkpoint_folder(args.model)
    recipe = _read_recipe(args.model).override(_dataset_override(args))
    write_report(recipe, kerasgen.load(args.model), folder, args.output)
    print(f"written to {args.output}")


def _download(args):
    from kerasgen.hub import checkpoint_folder

    print(checkpoint_folder(args.model, cache_dir=args.cache_dir))


def _inspect(args):
    from kerasgen.hub import inspect

    print(json.dumps(inspect(args.model), indent=2))


def _publish(args):
    from kerasgen.hub import publish

    done = publish(args.model, args.repo_id, args.private, args.revision, args.create_pr, args.message)
    print(done.url if done.changed else f"{done.url} holds the same already.")


def execute(args):
    """Runs the parsed command; its exit status."""
    try:
        args.run(args)
    except (KerasgenError, OSError) as error:
        print(f"kerasgen: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def main():
    logging.set_verbosity(logging.ERROR)  # the notices of TensorFlow Datasets are not ours
    app.run(execute, flags_parser=lambda argv: parser().parse_args(argv[1:]))


if __name__ == "__main__":
    main()
