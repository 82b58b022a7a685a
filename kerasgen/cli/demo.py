"""Open a web page to play with the zoo's models, or with one of yours."""

import importlib.util
from argparse import ArgumentParser, Namespace

from kerasgen.errors import InputError


def add_arguments(parser: ArgumentParser) -> None:
    about = "what is open first: a zoo name, a checkpoint folder, or user/repo on the Hugging Face Hub"
    parser.add_argument("model", metavar="MODEL", nargs="?", default="latent-flow-celeba", help=about)
    about = "of the address http://127.0.0.1:PORT (default: the first free one from 7860)"
    parser.add_argument("--port", type=int, help=about)


def run(args: Namespace) -> None:
    if not importlib.util.find_spec("gradio"):
        raise InputError('the page needs Gradio: pip install "kerasgen-zoo[demo]".')
    from kerasgen.demo import page

    names = page.shown()
    names = names if args.model in names else [args.model, *names]
    served = page.launch(names, args.model, args.port)
    print(f"kerasgen is at {served.local_url} (for this machine alone); interrupt to end it.", flush=True)
    served.block_thread()
