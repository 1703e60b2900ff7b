"""`hf-nli cache`, in a cache of its own."""

import os
import re
import subprocess
import sys

import pytest


@pytest.fixture
def run(tmp_path):
    def run(*arguments):
        environment = os.environ | {"HF_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-m", "hf_nli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=True).stdout

    return run


def test_what_is_kept_is_told_and_deleted(run, pairs):
    assert run("cache") == "0 entries, 0.0 MiB; hf-nli cache --clear deletes them\n"
    run("inspect", "--dataset", pairs)
    *entries, total = run("cache").splitlines()
    paths = [re.fullmatch(r"\w+ +\d+\.\d MiB  (.+)", line)[1] for line in entries]
    assert paths and all(os.path.exists(path) for path in paths)
    assert re.fullmatch(rf"{len(paths)} entries, \d+\.\d MiB; hf-nli cache --clear deletes them", total)
    *deleted, total = run("cache", "--clear").splitlines()
    assert deleted == entries and total.endswith(" MiB, deleted")
    assert not any(os.path.exists(path) for path in paths)
    assert run("cache").startswith("0 entries")
