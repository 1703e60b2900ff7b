"""Files appear whole or not at all, whoever else writes."""

import hashlib
import os
import stat
import subprocess
import sys
import threading
import time
import zipfile

import pytest
from datasets import Dataset

from hf_nli.core.cache import kept_folder, write_rows
from hf_nli.core.errors import InputError
from hf_nli.core.files import is_zip, locked, sha256, staged
from hf_nli.core.staging import usual_permissions


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_nothing_is_left_of_a_failure(tmp_path):
    with pytest.raises(KeyError), staged(tmp_path / "out") as folder:
        (folder / "half").write_text("half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_other_files_stay_and_old_ones_are_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    (tmp_path / "out/config.json").write_text("old")
    with staged(tmp_path / "out") as folder:
        (folder / "config.json").write_text("new")
        (folder / "deep").mkdir()
        (folder / "deep/file").write_text("deep")
        assert (tmp_path / "out/config.json").read_text() == "old"
    files = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"out/mine": "mine", "out/config.json": "new", "out/deep/file": "deep"}


def test_a_folder_that_appears_meanwhile_is_no_failure(tmp_path):
    with staged(tmp_path / "out") as folder:
        (folder / "file").write_text("mine")
        (tmp_path / "out").mkdir()
        (tmp_path / "out/file").write_text("another's")
        (tmp_path / "out/other").write_text("another's")
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        "file": "mine",
        "other": "another's",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o002])
def test_parents_are_made_and_permissions_are_usual(mask, tmp_path):
    """Also of files whose writer made them private, as safetensors does."""
    code = """if True:
        import sys
        from pathlib import Path
        from hf_nli.core.files import staged
        with staged(Path(sys.argv[1]) / "a/b/out") as folder:
            (folder / "deep").mkdir()
            for name in ("private", "deep/private"):
                (folder / name).touch(mode=0o600)
    """
    subprocess.run([sys.executable, "-c", code, tmp_path], umask=mask, check=True)
    assert {mode(tmp_path / folder) for folder in ("a", "a/b", "a/b/out", "a/b/out/deep")} == {0o777 & ~mask}
    assert {mode(tmp_path / "a/b/out" / file) for file in ("private", "deep/private")} == {0o666 & ~mask}


def test_permissions_of_links_targets_stay(tmp_path):
    (tmp_path / "outside").touch(mode=0o600)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path / "outside")
    usual_permissions(tmp_path / "folder")
    assert mode(tmp_path / "outside") == 0o600
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["link"]


def test_files_of_other_threads_have_their_usual_permissions_while_we_write(tmp_path, monkeypatch):
    """The umask is the whole process's: to change it for a moment, only to read it, opens what others make then."""
    change, done = os.umask, threading.Event()

    def change_slowly(mask):
        before = change(mask)
        time.sleep(0.02)  # so that others surely make files meanwhile
        return before

    def make_files():
        number = 0
        while not done.is_set():
            (tmp_path / "others" / str(number := number + 1)).touch()

    monkeypatch.setattr(os, "umask", change_slowly)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "others").mkdir()
    (tmp_path / "usual").touch()
    thread = threading.Thread(target=make_files)
    thread.start()
    try:
        with staged(tmp_path / "out") as folder:
            (folder / "file").touch()
        rows = Dataset.from_dict({"text": ["a"]})
        kept_folder("rows", lambda folder: write_rows(folder, rows.features, [{"text": ["a"]}]))
    finally:
        done.set()
        thread.join()
    files = [*(tmp_path / "others").iterdir(), tmp_path / "out/file", tmp_path / "cache/hf_nli/rows/rows.arrow"]
    assert {mode(path) for path in files} == {mode(tmp_path / "usual")}


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("a file")
    with (
        pytest.raises(InputError, match="out: can't be written to .* choose another --output_dir"),
        staged(tmp_path / "out"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


COUNT = """
import sys
from pathlib import Path
from hf_nli.core.files import locked
counter = Path(sys.argv[1])
for _ in range(50):
    with locked(counter):
        number = int(counter.read_text())
        counter.write_text(str(number + 1))
"""


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path):
    (tmp_path / "counter").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, tmp_path / "counter"]) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert (tmp_path / "counter").read_text() == "100"
    assert [path.name for path in tmp_path.iterdir()] == ["counter"]


def test_a_killed_process_holds_no_lock(tmp_path):
    code = "import sys, os; from hf_nli.core.files import locked; locked(sys.argv[1]).acquire(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "file"]).returncode == 9
    with locked(tmp_path / "file").acquire(timeout=5):
        pass


def test_hashes_and_zips(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("file", "abc")
    assert (is_zip(tmp_path / "file"), is_zip(tmp_path / "zip"), is_zip(tmp_path / "nowhere")) == (False, True, False)
