"""Bad inputs of every kind, by every command: a line that says what, where and what to do, and nothing is changed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bad_inputs import checkpoints, data, ends, flags, folders, forms, labels, models, predictions, scripts
from bad_inputs.rows import CONVERT, TRAIN, Row, tree, write_template
from warm_process import Call, Ended, forked, real, started

TABLES = (flags, data, forms, labels, models, checkpoints, folders, ends, scripts, predictions)
ROWS = [row for table in TABLES for row in table.ROWS]
CASES = [(row, forked) for row in ROWS if row.forked] + [(row, real) for row in ROWS if row.real or not row.forked]
BAR = re.compile(r"\[\d\d:\d\d|it/s|\?it")


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return write_template(tmp_path_factory.mktemp("bad_inputs") / "template")


def lines(text: str) -> list[str]:
    """The lines of a log, as a terminal shows them, without progress bars."""
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return [line for line in shown if line.strip() and not BAR.search(line)]


@contextmanager
def mounted(row: Row, folder: Path) -> Iterator[None]:
    """Mounts what the row asks for, which takes the rights to."""
    done = []

    def mount(*words: str) -> None:
        if subprocess.run(["mount", *words], capture_output=True).returncode:
            pytest.skip("file systems can't be mounted here")
        done.append(words[-1])

    try:
        if row.mount:
            path, options = row.mount
            (folder / path).mkdir(parents=True, exist_ok=True)
            if row.sealed:
                mount("--bind", str(folder / row.sealed), str(folder / row.sealed))
            mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder / path))
            if row.sealed:
                mount("-o", "remount,bind,ro", str(folder / row.sealed))
                done.pop()
        yield
    finally:
        for path in reversed(done):
            subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize(
    ("row", "run"), [pytest.param(*case, id=f"{case[0].name} ({case[1].__name__})") for case in CASES]
)
def test_input(row, run, template, tmp_path):
    folder = tmp_path / "work"
    shutil.copytree(template, folder, symlinks=True)
    with mounted(row, folder):
        for name, content in row.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = content() if callable(content) else content
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        if row.make:
            row.make(folder)
        before = tree(folder)
        settings = {"limit": row.limit, "output": row.output, "signal": row.signal, "file_size": row.file_size}
        argv = [word.replace("{here}", str(folder)) for word in row.argv]
        ended = run(Call(argv, folder, row.environment, row.stdin, gone=row.gone, **settings))
        check(row, ended, folder, before, tree(folder))


def check(row: Row, ended: Ended, folder: Path, before: dict[str, object], after: dict[str, object]) -> None:
    """Checks a command's end, what it said, and what it changed."""
    assert "Traceback" not in ended.errors, ended.errors[-600:]
    hidden = [name for name in after.keys() - before.keys() if f"/{name}".rpartition("/")[2].startswith(".")]
    assert not hidden or ended.code in (130, 143) and not [name for name in hidden if ".training" not in name]
    codes = row.code if isinstance(row.code, tuple) else (row.code,)
    assert ended.code in codes, ended
    said = lines(ended.errors)
    if ended.code == 0:
        said, words = [ended.output, ended.errors], row.right if codes != (0,) else row.words
    else:
        words = row.words
        if row.late or ended.code in (130, 143):
            said = said[-1:]
        assert 1 <= len(said) <= 3 or row.output == "pipe", ended.errors
    for word in words:
        assert re.search(word, "\n".join(said), re.IGNORECASE), f"{word!r} is not in {said}"
    if ended.code == 0 and row.check:
        row.check(folder)
    if ended.code == 1 and row.output == "file":
        assert {name: after.get(name) for name in before} == before
    if ended.code == 2:
        assert after == before, {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)}


@pytest.mark.parametrize("output_dir", ["out", "new"])
def test_two_runs_of_one_folder(output_dir, template, tmp_path):
    folder, command = tmp_path / "work", TRAIN + f"--output_dir {output_dir} "
    shutil.copytree(template, folder)
    (tmp_path / "first").symlink_to("work")
    first = started(Call(shlex.split(command + "--num_train_epochs 2000"), tmp_path / "first"))
    try:
        deadline = time.monotonic() + 60
        # one is an earlier run's
        while len(list(folder.rglob("train_log.jsonl"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        for second in (command, CONVERT + f"--output_dir {output_dir}"):
            ended = forked(Call(shlex.split(second), folder, limit=30))
            assert ended.code == 2 and f"process {first.pid}, started 20" in lines(ended.errors)[-1], ended
    finally:
        first.kill()
        first.wait()
    ended = forked(Call(shlex.split(command), folder))
    assert ended.code == 0, ended
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
