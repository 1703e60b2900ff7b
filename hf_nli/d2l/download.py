"""The checkpoints that d2l publishes, and their download, which goes on where an earlier one was cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pooch
import requests
from huggingface_hub import constants, is_offline_mode

from hf_nli.core.errors import InputError, reason
from hf_nli.core.files import locked

Framework = Literal["pytorch", "mxnet"]
DATA_URL = "http://d2l-data.s3-accelerate.amazonaws.com/"  # d2l's; every file is checked by its SHA-1


@dataclass(frozen=True)
class Published:
    """A checkpoint under a name of d2l's (its section "Natural Language Inference: Fine-Tuning BERT").

    Attributes:
        num_heads: Its attention heads.
        files: The zip file's name and its SHA-1 for each framework.
        url: The address of the folder that they are in.
    """

    num_heads: int
    files: Mapping[Framework, tuple[str, str]]
    url: str = DATA_URL


PUBLISHED = {
    "bert.small": Published(
        num_heads=4,
        files={
            "pytorch": ("bert.small.torch.zip", "c72329e68a732bef0452e4b96a1c341c8910f81f"),
            "mxnet": ("bert.small.zip", "a4e718a47137ccd1809c9107ab4f5edd317bae2c"),
        },
    ),
    "bert.base": Published(
        num_heads=12,
        files={
            "pytorch": ("bert.base.torch.zip", "225d66f04cae318b841a13d32af3acc165f253ac"),
            "mxnet": ("bert.base.zip", "7b3820b35da691042e5d34c0971ac3edbd80d3f4"),
        },
    ),
}


def download(published: Published, framework: Framework, folder: str | Path | None = None) -> Path:
    """Downloads a published checkpoint, or takes it from where it was kept.

    Of processes that ask for it at once, one downloads and the others wait.

    Args:
        published: One of `PUBLISHED`.
        framework: Which of its files.
        folder: Where it is kept, by default hf_nli in `HF_HOME`.

    Returns:
        The zip file.

    Raises:
        InputError: If it can't be downloaded, or if its SHA-1 is not the published one.
    """
    name, sha1 = published.files[framework]
    file = Path(folder or Path(constants.HF_HOME) / "hf_nli") / name
    part = file.with_name(f"{name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file):
            if not _is(file, sha1):
                if not _is(part, sha1):
                    _fetch(published.url + name, part)
                if not _is(part, sha1):
                    part.unlink()
                    raise ValueError(f"its SHA-1 is not {sha1}")
                part.replace(file)
    except (OSError, ValueError) as error:  # OSError: those of `requests`, too
        raise InputError(
            f"could not download {published.url + name} ({reason(error)}); try again, or get the file another way and "
            f"give --source FILE --num_heads {published.num_heads} (`reproduce`: --source FILE alone)"
        ) from error
    return file


def _is(file: Path, sha1: str) -> bool:
    return file.is_file() and pooch.file_hash(str(file), alg="sha1") == sha1


def _fetch(url: str, part: Path) -> None:
    """Downloads what is missing of a file; tries again as long as every try gets some of it."""
    if is_offline_mode():
        raise OSError("offline mode is enabled by HF_HUB_OFFLINE")
    with part.open("ab") as file:
        while True:
            start = file.tell()
            headers = {"Range": f"bytes={start}-"} if start else {}
            try:
                pooch.HTTPDownloader(progressbar=True, chunk_size=2**16, timeout=30, headers=headers)(url, file, None)
                return
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code != 416:
                    raise
                return  # nothing is left to get; whether that is right, the hash tells
            except requests.RequestException:
                if file.tell() == start:
                    raise
