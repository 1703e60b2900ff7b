"""Commands in forks of a process that has loaded all libraries, or in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import resource
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
MEMORY = 5 * 2**30  # bytes of addresses: the libraries take some, whatever a command does

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        *("hf_nli.cli.run", "hf_nli.training.train", "hf_nli.evaluation.evaluate", "hf_nli.evaluation.inspection"),
        *("hf_nli.d2l.convert", "hf_nli.sample.sample", "hf_nli.hub.push", "hf_nli.inference.predictor"),
        *("hf_nli.training.trainer", "matplotlib.backends.backend_agg", "warm_process"),
    ]
)


@dataclass(frozen=True)
class Call:
    """A command.

    Attributes:
        argv: Its words, or a script and its flags.
        folder: The current folder.
        environment: Variables that are set.
        stdin: What there is to be read.
        limit: The seconds after which it is killed.
        output: What standard output is: "file", a "full" device, "closed", or a "pipe" that nobody reads.
        signal: A signal, and the seconds after which it is sent.
        file_size: The bytes that a file can have.
        gone: Whether the current folder is deleted before the command starts.
    """

    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    limit: float = 60
    output: str = "file"
    signal: tuple[int, float] | None = None
    file_size: int | None = None
    gone: bool = False

    @property
    def streams(self) -> list[Path]:
        """The files of standard input, output and error: beside the folder, so that it stays as it is."""
        return [self.folder.with_name(f"{self.folder.name}.{name}") for name in ("stdin", "stdout", "stderr")]


@dataclass(frozen=True)
class Ended:
    """What came of a command: its exit code (None if it was killed after its time), and what it printed."""

    code: int | None
    output: str
    errors: str


def forked(call: Call) -> Ended:
    """Runs a command in a fork."""
    return finished(forking(call), call)


def forking(call: Call) -> BaseProcess:
    """Starts a command in a fork, and doesn't wait for it."""
    call.streams[0].write_text(call.stdin)
    process = PROCESSES.Process(target=_run, args=(call,))
    process.start()
    return process


def finished(process: BaseProcess | subprocess.Popen[bytes], call: Call) -> Ended:
    """Waits for a command that was started, and kills it after its time."""
    popen = isinstance(process, subprocess.Popen)
    wait = process.wait if popen else process.join
    with suppress(subprocess.TimeoutExpired):
        wait(call.limit)
    code = process.returncode if popen else process.exitcode
    if code is None:
        process.kill()
        wait()
    output, errors = (
        path.read_text("utf-8", "backslashreplace") if path.exists() else "" for path in call.streams[1:]
    )
    return Ended(code, output, errors)


def started(call: Call) -> subprocess.Popen[bytes]:
    """Starts a command as people do, and doesn't wait for it."""
    script = call.argv and call.argv[0].endswith(".py")
    program = [str(PROJECT / call.argv[0]), *call.argv[1:]] if script else ["-m", "hf_nli", *call.argv]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", **call.environment}
    call.streams[0].write_text(call.stdin)
    return subprocess.Popen(
        [sys.executable, *program], cwd=call.folder, env=environment, preexec_fn=lambda: _prepare(call)
    )


def real(call: Call) -> Ended:
    """Runs a command as people do."""
    process = started(call)
    if call.signal:
        number, seconds = call.signal
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
    return finished(process, call)


def _prepare(call: Call) -> None:
    """Sets what a process gets from the one that starts it."""
    if call.file_size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (call.file_size, call.file_size))
    source, output, errors = map(str, call.streams)
    os.dup2(os.open(source, os.O_RDONLY), 0)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    if call.output == "closed":
        os.close(1)
    elif call.output == "pipe":
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(reader)
        os.close(writer)
    else:
        os.dup2(os.open("/dev/full" if call.output == "full" else output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)


def _run(call: Call) -> None:
    """What a fork does: what `python -m hf_nli` or `python SCRIPT` would."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.environ |= call.environment
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(call.folder)
    _prepare(call)
    if call.gone:
        call.folder.rename(call.folder.with_name("elsewhere"))
        call.folder.mkdir()
        os.chdir(call.folder)
        call.folder.rmdir()
        call.folder.with_name("elsewhere").rename(call.folder)
    sys.stdin = open(0, closefd=False)
    code: object = 0
    try:
        if call.argv and call.argv[0].endswith(".py"):
            script = str(PROJECT / call.argv[0])
            sys.argv, sys.path[:0] = [script, *call.argv[1:]], [str(Path(script).parent)]
            runpy.run_path(script, run_name="__main__")
        else:
            sys.argv = ["hf_nli", *call.argv]
            runpy.run_module("hf_nli", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)
