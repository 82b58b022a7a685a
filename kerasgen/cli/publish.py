"""Publish a model on the Hugging Face Hub; log in with `hf auth login` before."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options
from kerasgen.hub import publication


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument("repo_id", metavar="USER/REPO", help="made if it does not exist")
    parser.add_argument("--private", action="store_true", help="if it is made")
    parser.add_argument("--revision", help="a branch, made if it does not exist (default: main)")
    parser.add_argument("--create_pr", action="store_true", help="open a pull request instead of committing")
    parser.add_argument("--message", help="of the commit")


def run(args: Namespace) -> None:
    settings = (args.private, args.revision, args.create_pr, args.message)
    done = publication.publish(args.model, args.repo_id, *settings)
    print(done.url if done.changed else f"{done.url} holds the same already.")
