"""The checkpoints that d2l publishes, and their download, which goes on where an earlier one was cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pooch
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get

from hf_nli.core.errors import InputError, reason

Framework = Literal["pytorch", "mxnet"]
DATA_URL = "http://d2l-data.s3-accelerate.amazonaws.com/"


@dataclass(frozen=True)
class Published:
    """A checkpoint under a name of d2l's (its section "Natural Language Inference: Fine-Tuning BERT").

    `files` has the zip file's name and its SHA-1 for each framework.
    """

    num_heads: int
    files: Mapping[Framework, tuple[str, str]]


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


def download(published: Published, framework: Framework) -> Path:
    """Downloads a published checkpoint, or takes it from the cache under `HF_HOME`.

    Args:
        published: One of `PUBLISHED`.
        framework: Which of its files.

    Returns:
        The zip file.

    Raises:
        InputError: If it can't be downloaded, or if its SHA-1 is not the published one.
    """
    name, sha1 = published.files[framework]
    url, folder = DATA_URL + name, Path(constants.HF_HOME) / "hf_nli"
    try:
        return Path(pooch.retrieve(url, f"sha1:{sha1}", name, folder, downloader=_Resuming(folder / f"{name}.part")))
    except Exception as error:  # several http libraries' errors, and a ValueError for a wrong hash
        raise InputError(
            f"could not download {url} ({reason(error)}); try again, or get the file another way and give "
            f"--source FILE --num_heads {published.num_heads}"
        ) from error


@dataclass(frozen=True)
class _Resuming:
    """A downloader for pooch, which deletes what it couldn't finish: what there is so far stays in `part`."""

    part: Path

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        with self.part.open("ab") as file:
            try:
                http_get(url, file, resume_size=file.tell(), displayed_filename=self.part.stem)
            except HfHubHTTPError as error:
                if error.response.status_code != 416:  # nothing is left to get; the hash says whether that is right
                    raise
        self.part.replace(output_file)
