"""`.keras` files: the three files of a checkpoint folder in a zip archive, stored as they are."""

import os
import zipfile
from pathlib import Path

from kerasgen.checkpoints.config import MAX_BYTES
from kerasgen.checkpoints.folder import FILES, METADATA, WEIGHTS
from kerasgen.errors import CheckpointError

SUFFIX = ".keras"


def write(path: Path, contents: dict[str, bytes]) -> None:
    """Replaces the file by an archive of these files, or leaves it as it is."""
    from kerasgen.files import replacing

    with replacing(path) as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in contents.items():
                archive.writestr(name, data)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> dict[str, bytes]:
    """The files in an archive, by name; nothing is written to disk.

    Nothing in it may be compressed, as Keras writes it, so what is read is never more than the file's size.

    Raises `CheckpointError`: it is no zip archive, damaged, or has other files than these, or any of them twice.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}; check the path.")
    with open(path, "rb") as file:
        try:
            size = file.seek(0, os.SEEK_END)
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
                names = sorted(info.filename for info in infos)
                if names != sorted(FILES):
                    raise CheckpointError(f"{path} holds {names[:8]}; expected {', '.join(FILES)} and no more.")
                for info in infos:
                    most = size if info.filename == WEIGHTS else MAX_BYTES
                    if info.compress_type != zipfile.ZIP_STORED or info.file_size > most:
                        raise CheckpointError(f"{info.filename} in {path} is compressed, or larger than it can be.")
                return {name: archive.read(name) for name in names if name != METADATA}
        except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, NotImplementedError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{path} is not a whole .keras file ({error}); copy or download it again.") from error
