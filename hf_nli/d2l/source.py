"""Where the two files of a d2l checkpoint are: in a folder, in a zip, beside each other, on the Hub, or at d2l's."""

from __future__ import annotations

import os
import zipfile
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from hf_nli.core.errors import InputError, reason
from hf_nli.core.files import DAMAGED_ZIP, is_zip, refuse_zip_bomb
from hf_nli.core.hub_ids import hub_id
from hf_nli.d2l.download import PUBLISHED, Framework, download

PARAMETERS, VOCABULARY = "pretrained.params", "vocab.json"
_ZIP_START = b"PK\3\4"


def find_checkpoint(
    source: str, vocab: str | Path | None = None, revision: str | None = None, framework: Framework | None = None
) -> tuple[Path, Path | zipfile.Path, Path | zipfile.Path]:
    """Finds a checkpoint's files, and downloads them where they aren't here.

    Args:
        source: What `checkpoint.read_checkpoint` takes.
        vocab: The vocabulary file, if it isn't the vocab.json beside the parameters.
        revision: The branch, tag or commit of a repository on the Hub.
        framework: Which of a published name's files to take, by default PyTorch's.

    Returns:
        The folder, zip or file that the source is, and in it the parameters and the vocabulary, which are there.

    Raises:
        InputError: If there is no such source, or if it lacks one of the two.
    """
    if source in PUBLISHED:
        path = download(PUBLISHED[source], framework or "pytorch")
    else:
        path = Path(source) if is_at_hand(source) else _fetch(source, revision)
    parameters, vocabulary = _locate(path, source)
    vocabulary = Path(vocab) if vocab else vocabulary
    for file in (parameters, vocabulary):
        if not (file.is_file() if isinstance(file, zipfile.Path) else os.path.isfile(file)):
            raise InputError(
                f"{file}: no such file; a checkpoint is a {PARAMETERS} and a {VOCABULARY} "
                "(`convert` takes another vocabulary with --vocab FILE)"
            )
    return path, parameters, vocabulary


def is_at_hand(source: str) -> bool:
    """Whether a checkpoint is here, if there is one: it is neither d2l's to download nor on the Hub.

    Args:
        source: What `find_checkpoint` takes.
    """
    return source not in PUBLISHED and not hub_id(source)


def _fetch(repo_id: str, revision: str | None) -> Path:
    try:
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=[PARAMETERS, VOCABULARY]))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise InputError(f"{repo_id}: no such file or folder here, nor on the Hub ({reason(error)})") from error


def _locate(path: Path, source: str) -> tuple[Path | zipfile.Path, Path | zipfile.Path]:
    """Says where the parameters and the vocabulary should be."""
    if not source:
        raise InputError(f"--source is empty; give a folder, zip or .params file, or {' or '.join(PUBLISHED)}")
    if os.path.isdir(path):
        return path / PARAMETERS, path / VOCABULARY
    if os.path.isfile(path):
        return _in_zip(path) or (path, path.parent / VOCABULARY)
    if os.path.exists(path):
        raise InputError(f"{source}: neither a file nor a folder; copy what it gives to a file and name that")
    near = "".join(f"; did you mean {name}?" for name in get_close_matches(source, PUBLISHED, 1))
    raise InputError(f"{source}: no such file or folder, nor a published name ({', '.join(PUBLISHED)}){near}")


def _in_zip(path: Path) -> tuple[zipfile.Path, zipfile.Path] | None:
    """The two files in a zip as d2l publishes it; None for a .params file, also if that is a zip of PyTorch's."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_ZIP_START))
        archive = zipfile.ZipFile(path) if is_zip(path) else None
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from error
    except DAMAGED_ZIP as error:
        raise InputError(f"{path}: damaged ({reason(error)})") from error
    # Cut off, a zip ends nowhere, or with a zip that is in it.
    whole = archive is not None and not min((member.header_offset for member in archive.infolist()), default=0)
    if start == _ZIP_START and not whole:
        raise InputError(f"{path}: a damaged zip, whose end is missing; copy or download it again")
    if archive is None:
        return None
    names = [PurePosixPath(name) for name in archive.namelist()]
    folders = [str(name.parent) for name in names if name.name == PARAMETERS]
    if not folders:
        if any(name.name == "data.pkl" for name in names):
            return None
        raise InputError(f"{path}: no {PARAMETERS} in this zip; a checkpoint is that and a {VOCABULARY}")
    if len(folders) > 1:
        raise InputError(f"{path}: {len(folders)} files named {PARAMETERS} in this zip; unpack it and name one folder")
    refuse_zip_bomb(str(path), archive.infolist(), path.stat().st_size)
    root = "" if folders[0] == "." else folders[0] + "/"
    return zipfile.Path(archive, root + PARAMETERS), zipfile.Path(archive, root + VOCABULARY)
