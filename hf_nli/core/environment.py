"""What a process runs in: versions of packages, environment variables that others set or read, signals to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from typing import TYPE_CHECKING

from hf_nli.core.errors import InputError, reason

if TYPE_CHECKING:
    from accelerate import PartialState

VERSION = "0.1.0"

PACKAGES = ("torch", "transformers", "datasets", "accelerate", "tokenizers")

# Those that ask a process to stop, and with which exit code it does; a SIGHUP, which Windows lacks, is a SIGTERM.
_STOP_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 143}
STOP_SIGNALS: dict[int, int] = {
    number: _STOP_CODES[number.name] for number in signal.Signals if number.name in _STOP_CODES
}

_COUNTS = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
_SIBLINGS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def versions() -> dict[str, str]:
    """Gives the version of each package by its name, hf-nli's first, which needn't be installed to be used."""
    return {"hf-nli": VERSION} | {name: metadata.version(name) for name in PACKAGES}


def first_process() -> bool:
    """Whether this is the process that speaks: of several, one does, but for errors."""
    return not _launched() or os.environ.get("RANK", "0") == "0"


def check_environment() -> None:
    """Refuses what would stop or mislead PyTorch and Accelerate later, where they don't say what to change.

    A RANK without LOCAL_RANK is a scheduler's, not a launcher's, and does nothing.

    Raises:
        InputError: If a variable isn't a number, or one is set without those that have to come with it.
    """
    for name in _COUNTS:
        value = os.environ.get(name, "0")
        if not value.removeprefix("-").isdecimal():
            raise InputError(f"the environment variable {name} is {value!r}, not a number; unset it")
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads and not all(part.strip().isdecimal() and int(part) for part in threads.split(",")):
        raise InputError(f"the environment variable OMP_NUM_THREADS is {threads!r}; set it to a number of threads")
    if _launched() and (missing := [name for name in _SIBLINGS if not os.environ.get(name)]):
        given = " and ".join(name for name in (*_COUNTS, "MASTER_ADDR", "MASTER_PORT") if os.environ.get(name))
        raise InputError(
            f"the environment sets {given}, but not {', '.join(missing)}; accelerate launch sets all that several "
            "processes need; for one, unset them"
        )
    if _launched() and not 0 <= int(os.environ["RANK"]) < int(os.environ["WORLD_SIZE"]):
        raise InputError(
            f"the environment variable RANK is {os.environ['RANK']}, but WORLD_SIZE {os.environ['WORLD_SIZE']}; "
            "ranks count from 0"
        )


@contextmanager
def read_by(
    library: str = "a library", prefixes: tuple[str, ...] = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "DATASETS_")
) -> Iterator[None]:
    """Names the environment variables of a library that can't start, as they may be why.

    Args:
        library: Its name, for people.
        prefixes: What the names of its variables begin with; by default, those of Hugging Face's.

    Raises:
        InputError: If the block raised what an unfit value leads to, and one of these variables is set.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RuntimeError, ImportError) as error:
        given = [
            f"{name}={value}"
            for name, value in sorted(os.environ.items())
            if name.startswith(prefixes) and "TOKEN" not in name  # which is secret
        ]
        if isinstance(error, InputError) or not given:
            raise
        raise InputError(
            f"{library} can't start ({reason(error)}); look at the environment: {', '.join(given)}"
        ) from error


def accelerate_starts() -> AbstractContextManager[None]:
    """Is `read_by` for what Accelerate and PyTorch read when the first `Accelerator` or `PartialState` is made."""
    return read_by("Accelerate", ("ACCELERATE_", "MASTER_", "WORLD_SIZE", "RANK", "LOCAL_"))


def start_accelerate(cpu: bool = False) -> PartialState:
    """Starts Accelerate before the work of a command: what it can't take is refused before anything is written.

    Args:
        cpu: Whether to compute on the CPU, also if there is a GPU.

    Returns:
        The device, and the number of processes.

    Raises:
        InputError: If its environment variables can't be used.
    """
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    with accelerate_starts():
        cpu = cpu or parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
        return PartialState(cpu=cpu)


def _launched() -> bool:
    """Whether Accelerate takes this process for one of several, as a launcher's LOCAL_RANK tells."""
    several = os.environ.get("WORLD_SIZE", "1") not in ("0", "1")
    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("y", "yes", "t", "true", "on", "1")
    return os.environ.get("LOCAL_RANK", "-1") != "-1" or (on_cpu and several)
