"""Two runs into one folder: the second is refused."""

import os
import re
import subprocess
import sys

import pytest

from hf_nli.core.errors import InputError
from hf_nli.core.sole_run import sole_run

HOLD = """
import sys
from hf_nli.core.sole_run import sole_run
with sole_run(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_run_is_told_of_the_first(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        words = rf"out: another run writes there, process {first.pid}, started \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d; wait"
        with pytest.raises(InputError, match=words), sole_run(tmp_path / "out"):
            raise AssertionError("the run began")
        with sole_run(tmp_path / "other"):
            pass
        first.kill()
    with sole_run(tmp_path / "out"), sole_run(tmp_path / "out/converted"):  # a killed process holds nothing
        with pytest.raises(subprocess.CalledProcessError) as refused:
            subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert re.search(f"process {os.getpid()},", refused.value.stderr)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_cleaned_when_a_run_begins(tmp_path):
    (tmp_path / ".out.0123abcd").mkdir()
    with sole_run(tmp_path / "out"):
        assert list(tmp_path.iterdir()) == []
