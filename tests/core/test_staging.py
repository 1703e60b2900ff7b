"""A folder changes as a whole or not at all: mounted, closed, in the way, full, or killed in the middle."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from hf_nli.core.disk import check_output
from hf_nli.core.errors import InputError
from hf_nli.core.files import staged
from hf_nli.core.staging import clean, link, staging
from hf_nli.model.folder import model_folder

NEW = {"config.json": "new", "deep/model.safetensors": "new", "added": "new"}
OLD = {"config.json": "old", "deep/model.safetensors": "old", "mine": "mine"}


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def read(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def mounted(tmp_path):
    """A small disk of its own."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no disk may be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("writer", [staged, lambda folder: model_folder(folder, overwrite=True)])
def test_a_mounted_folder(writer, mounted, tmp_path):
    write(mounted, OLD)
    with writer(mounted) as folder:
        write(folder, NEW)
    assert read(mounted) == OLD | NEW
    assert [path.name for path in tmp_path.iterdir()] == ["mounted"]


def test_a_part_of_the_same_disk_that_is_mounted(tmp_path):
    """Its device number is that of the folder around it."""
    write(tmp_path / "elsewhere", OLD)
    (tmp_path / "out").mkdir()
    command = ["mount", "--bind", tmp_path / "elsewhere", tmp_path / "out"]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        with model_folder(tmp_path / "out") as folder:
            write(folder, NEW)
        assert read(tmp_path / "elsewhere") == OLD | NEW
    finally:
        subprocess.run(["umount", "--lazy", tmp_path / "out"], check=True)


def test_a_full_disk_leaves_nothing(mounted):
    write(mounted / "out", OLD)
    numpy = pytest.importorskip("numpy")
    for size in (3 * 2**18, 2**20):  # one that it refuses at once, and one of which a part fits
        with pytest.raises(InputError, match="out: can't be written to .No space left on device.; choose another"):
            with staged(mounted / "out") as folder:
                write(folder, NEW)
                save_file({"weights": numpy.zeros(size, numpy.uint8)}, folder / "a")
                save_file({"weights": numpy.zeros(size, numpy.uint8)}, folder / "b")
        assert read(mounted) == {f"out/{name}": text for name, text in OLD.items()}
        assert [path.name for path in mounted.iterdir()] == ["out"]


@pytest.fixture
def open_folder():
    """A folder that every user can reach, which `tmp_path` isn't."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_parent_that_is_closed(open_folder):
    """To another user than its owner, to whom the folder itself is open."""
    (open_folder / "parent/out").mkdir(parents=True)
    for path, mode in ((open_folder / "parent/out", 0o777), (open_folder / "parent", 0o755)):
        path.chmod(mode)
    program = """
import os, sys
from hf_nli.core.files import staged
os.setuid(65534)
with staged(sys.argv[1]) as folder:
    (folder / "file").write_text("new")
"""
    command = [sys.executable, "-c", program, str(open_folder / "parent/out")]
    done = subprocess.run(command, env=os.environ | {"HF_HOME": "/dev/shm/none"}, capture_output=True, text=True)
    if "HF_HOME" in done.stderr:
        pytest.skip("no folder for locks")
    assert done.returncode == 0, done.stderr
    assert read(open_folder / "parent") == {"out/file": "new"}


@pytest.mark.parametrize("whole", [False, True])
def test_a_folder_in_the_place_of_a_file(whole, tmp_path):
    out = write(tmp_path / "out", {"added/theirs": "theirs", "config.json": "old"})
    with pytest.raises(InputError, match="out: can't be written to .added is a folder there.; choose another"):
        with model_folder(out) if whole else staged(out) as folder:
            write(folder, NEW)
    assert read(out) == {"added/theirs": "theirs", "config.json": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("whole", [False, True])
def test_a_file_that_may_not_be_replaced(whole, tmp_path):
    """The others, which were replaced before it, are put back."""
    out = write(tmp_path / "out", OLD | {"model.safetensors": "old"})
    if subprocess.run(["chattr", "+i", out / "deep/model.safetensors"], capture_output=True).returncode:
        pytest.skip("no such attribute here")
    try:
        with pytest.raises(InputError, match="out: can't be written to .Operation not permitted."):
            with model_folder(out, overwrite=True) if whole else staged(out) as folder:
                write(folder, NEW)
    finally:
        subprocess.run(["chattr", "-i", out / "deep/model.safetensors"], check=True)
    assert read(out) == OLD | {"model.safetensors": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


KILLED = """
import os, signal, sys
from pathlib import Path
from hf_nli.core.staging import staging
times, replace = int(sys.argv[2]), os.replace
def killing(*paths):
    global times
    if times == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    times -= 1
    replace(*paths)
os.replace = killing
with staging(Path(sys.argv[1])) as stage:
    for name in ("config.json", "deep/model.safetensors", "added"):
        (stage.new / name).parent.mkdir(exist_ok=True)
        (stage.new / name).write_text("new")
    stage.install(["mine"])
"""


@pytest.mark.parametrize("times", range(3))
def test_what_a_killed_process_had_begun_to_swap_is_put_back(times, tmp_path):
    out = write(tmp_path / "out", OLD)
    done = subprocess.run([sys.executable, "-c", KILLED, out, str(times)])
    assert done.returncode == -signal.SIGKILL and read(tmp_path) != {f"out/{name}": text for name, text in OLD.items()}
    clean(out)
    assert read(tmp_path) == {f"out/{name}": text for name, text in OLD.items()}


def test_a_disk_that_is_full_when_the_swap_begins(tmp_path, monkeypatch):
    """Then nothing is swapped, and nothing stays that the next run would take for a swap that was begun."""
    target = write(tmp_path / "target", OLD)
    monkeypatch.chdir(target)  # so that another folder can't take its place
    text = Path.write_text

    def full(path, *arguments, **options):
        if "journal" in path.name:
            text(path, "")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return text(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(InputError, match="No space left"), staged(target) as folder:
            write(folder, NEW)
    assert read(target) == OLD and [path.name for path in tmp_path.iterdir()] == ["target"]
    with staged(target) as folder:
        write(folder, NEW)
    assert read(target) == OLD | NEW


def test_leftovers_are_cleaned_but_not_those_of_a_live_run(tmp_path):
    write(tmp_path / ".out.0123abcd", NEW)
    write(tmp_path / ".out.notes", {"file": "theirs"})
    with staging(tmp_path / "out") as live:
        assert not (tmp_path / ".out.0123abcd").exists()
        with staged(tmp_path / "out") as folder:
            write(folder, NEW)
        assert live.new.is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"out", ".out.notes"}


def test_a_whole_folder_is_exchanged_in_one_step(tmp_path):
    """Whoever looks at any moment sees one of them: here, a process that looks all the time."""
    out = write(tmp_path / "out", {"model.safetensors": "0", "config.json": "0"})
    program = """
import sys
from pathlib import Path
while (Path(sys.argv[1]) / "config.json").exists():
    pass
"""
    looking = subprocess.Popen([sys.executable, "-c", program, out])
    for number in range(50):
        with model_folder(out, overwrite=True) as folder:
            write(folder, {"model.safetensors": str(number), "config.json": str(number)})
    assert looking.poll() is None
    looking.kill()
    looking.wait()


def test_names_that_are_too_long_empty_or_links_to_nothing(tmp_path, monkeypatch):
    for name, words in (("a" * 300, "File name too long"), ("link", "a link to .*nowhere, which doesn't exist")):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        with pytest.raises(InputError, match=words):
            check_output(tmp_path / name)
    with pytest.raises(InputError, match="--output_dir is empty"):
        check_output("")
    write(tmp_path, {"file": ""})
    with pytest.raises(InputError, match="file/out: can't be written to"):
        check_output(tmp_path / "file/out")
    with staged(tmp_path / ("é" * 127)) as folder:  # 254 bytes, one less than names may have
        write(folder, NEW)
    assert read(tmp_path / ("é" * 127)) == NEW


def test_a_current_folder_that_was_deleted(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    with pytest.raises(InputError, match="the current folder was deleted"):
        check_output("out")
    with model_folder(tmp_path / "out") as folder:
        write(folder, NEW)
    assert read(tmp_path / "out") == NEW


def test_a_link_to_a_file_stays_one(tmp_path):
    write(tmp_path, {"file": "text"})
    (tmp_path / "link").symlink_to("file")
    link(tmp_path / "link", tmp_path / "other")
    assert os.readlink(tmp_path / "other") == "file"
