"""Publishes every entry of the zoo that has weights as ORGANISATION/NAME, and pins its commit in the entry's recipe.

python tools/publish_zoo.py --organisation my-organisation --dry_run

Each entry is written, loaded again and compared before it is sent, in one commit. One that is on the Hub as it is here
is left alone, so a run that was cut off is taken up by the same command again.
"""

import tempfile
from pathlib import Path

from absl import app, flags
from pinning import set_weights

from kerasgen.checkpoints import WEIGHTS, sha256
from kerasgen.errors import KerasgenError
from kerasgen.hub import client
from kerasgen.hub.publication import write_package
from kerasgen.hub.registry import entries

ORGANISATION = flags.DEFINE_string("organisation", None, "user or organisation of the Hub", required=True)
NAMES = flags.DEFINE_list("names", None, "entries, separated by commas; all that have weights if not given")
PRIVATE = flags.DEFINE_bool("private", False, "of repositories that do not exist yet")
DRY_RUN = flags.DEFINE_bool("dry_run", False, "write, try out and compare, but send nothing and pin nothing")


def publish(entry, repo_id):
    """Publishes one entry and pins it; returns what was done."""
    with tempfile.TemporaryDirectory(prefix="kerasgen-") as folder:
        write_package(entry.folder, Path(folder), repo_id)
        if DRY_RUN.value:
            return "is there already" if client.holds(repo_id, Path(folder)) else "would be published"
        published = client.upload(Path(folder), repo_id, private=PRIVATE.value)
        digest = sha256(Path(folder) / WEIGHTS)
    set_weights(entry.folder / "recipe.toml", handle=repo_id, revision=published.revision, sha256=digest)
    return f"{'was published' if published.changed else 'is there already'}: {published.url}"


def main(_):
    known = {name: entry for name, entry in entries().items() if entry.bundled}
    names = NAMES.value or list(known)
    if missing := [name for name in names if name not in known]:
        raise app.UsageError(f"no entry with weights: {', '.join(missing)}; expected of {', '.join(known)}.")
    failed = 0
    for name in names:
        repo_id = f"{ORGANISATION.value}/{name}"
        try:
            print(f"{repo_id} {publish(known[name], repo_id)}", flush=True)
        except KerasgenError as error:
            failed += 1
            print(f"{repo_id} failed: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    app.run(main)
