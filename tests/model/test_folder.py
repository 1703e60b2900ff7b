"""Model folders are replaced as a whole or not at all, and each report in them says which weights it is about."""

import hashlib
import json
import os
import signal
import subprocess
import sys

import pytest
from helpers import write_tiny_model
from matplotlib.figure import Figure
from model_hub import Repository

from hf_nli.core.errors import InputError
from hf_nli.model.folder import (
    holds_model,
    local_folder,
    model_folder,
    read_epochs,
    read_report,
    refuse_other_model,
    speaks_of,
    weights_sha256,
)
from hf_nli.model.load import load_model

OLD_MODEL = ("config.json", "model.safetensors", "tokenizer.json", "vocab.txt", "README.md", "conversion_report.json")
OLD_MODEL += ("training.json", "all_results.json", "train_log.jsonl", "training_curves.png", "evaluations.json")
OLD_MODEL += ("confusion_matrix-snli-test.png", "eval_results.json", "predictions.jsonl", "model.onnx", "export.json")


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def old(tmp_path):
    """A folder with a model, what is reported of it, and files of its owner."""
    folder = tmp_path / "model"
    (folder / "checkpoint-3").mkdir(parents=True)
    (folder / "notes").mkdir()
    for name in (*OLD_MODEL, "checkpoint-3/model.safetensors", "notes/mine.txt", "mine.json", ".gitattributes"):
        (folder / name).write_text("old")
    return folder


def write_model(folder):
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text("new")


def test_the_identity_of_weights(tmp_path):
    assert weights_sha256(tmp_path) is None
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert weights_sha256(tmp_path) == hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "pytorch_model.bin").write_bytes(b"others")  # which Transformers doesn't look at then
    assert weights_sha256(tmp_path) == hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "model.safetensors").unlink()
    assert weights_sha256(tmp_path) == hashlib.sha256(b"others").hexdigest()
    parts = [b"one", b"two"]
    for number, part in enumerate(parts, 1):
        (tmp_path / f"model-0000{number}-of-00002.safetensors").write_bytes(part)
    both = "".join(hashlib.sha256(part).hexdigest() for part in parts)
    assert weights_sha256(tmp_path) == hashlib.sha256(both.encode()).hexdigest()


def test_nothing_of_an_earlier_model_is_left(old):
    before = content(old)
    with model_folder(old, overwrite=True) as folder:
        write_model(folder)
        assert content(old) == before
    assert content(old) == {
        "config.json": b"new",
        "model.safetensors": b"new",
        **dict.fromkeys(("notes/mine.txt", "mine.json", ".gitattributes"), b"old"),
    }
    assert [path.name for path in old.parent.iterdir()] == ["model"]


def test_where_there_is_no_model_everything_stays(tmp_path):
    """A vocab.json may be a checkpoint's own."""
    (tmp_path / "model").mkdir()
    for name in ("vocab.json", "README.md"):
        (tmp_path / "model" / name).write_text("old")
    with model_folder(tmp_path / "model") as folder:
        write_model(folder)
    assert content(tmp_path / "model") == {
        "config.json": b"new", "model.safetensors": b"new", "vocab.json": b"old", "README.md": b"old"
    }  # fmt: skip


def test_a_failure_leaves_everything(old):
    before = content(old)
    with pytest.raises(KeyError), model_folder(old, overwrite=True) as folder:
        write_model(folder)
        raise KeyError
    assert content(old) == before and [path.name for path in old.parent.iterdir()] == ["model"]


def test_a_killed_process_leaves_everything(old):
    before = content(old)
    program = """
import os, signal, sys
from hf_nli.model.folder import model_folder
with model_folder(sys.argv[1], overwrite=True) as folder:
    (folder / "model.safetensors").write_text("new")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program, str(old)]).returncode == -signal.SIGKILL
    assert content(old) == before


def test_a_model_is_not_replaced_unasked(old, tmp_path):
    before = content(old)
    with pytest.raises(InputError, match="holds a model already; .* replace it with --overwrite_output_dir"):
        with model_folder(old):
            raise AssertionError("the work began")
    assert content(old) == before
    with pytest.raises(InputError, match="holds a model already"), model_folder(tmp_path / "new") as folder:
        write_model(folder)
        (tmp_path / "new").mkdir()
        (tmp_path / "new/model.safetensors").write_text("by somebody else, meanwhile")
    assert list(content(tmp_path / "new")) == ["model.safetensors"]


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model-00001-of-00002.safetensors", "pytorch_model.bin", "m.onnx"]
)
def test_what_is_a_model(name, tmp_path):
    assert not holds_model(tmp_path) and not holds_model(tmp_path / "nowhere")
    refuse_other_model(tmp_path)
    (tmp_path / name).touch()
    assert holds_model(tmp_path)
    refuse_other_model(tmp_path, overwrite=True)
    with pytest.raises(InputError):
        refuse_other_model(tmp_path)


def test_the_current_folder_is_refused(tmp_path, monkeypatch):
    """A shell that is in it would be left in a deleted one."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is the current folder"), model_folder("."):
        raise AssertionError("the work began")


def test_a_link_stays_a_link(old, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "link").symlink_to(old)
    with model_folder(elsewhere / "link", overwrite=True) as folder:
        write_model(folder)
    assert (elsewhere / "link").is_symlink() and (old / "config.json").read_text() == "new"
    assert len(list(elsewhere.iterdir())) == 1


def test_two_processes_at_once(tmp_path):
    """What is there in the end is one model, whole, and the owner's file."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine").write_text("mine")
    program = """
import sys
from hf_nli.model.folder import model_folder
for time in range(50):
    with model_folder(sys.argv[1], overwrite=True) as folder:
        for file in ("config.json", "model.safetensors"):
            (folder / file).write_text(f"{sys.argv[2]} {time}")
"""
    command = [sys.executable, "-c", program, str(tmp_path / "model")]
    processes = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [process.wait() for process in processes] == [0, 0]
    files = content(tmp_path / "model")
    assert set(files) == {"config.json", "model.safetensors", "mine"}
    assert files["config.json"] == files["model.safetensors"] and files["config.json"][2:] == b"49"
    assert os.listdir(tmp_path) == ["model"]


def test_which_weights_a_report_is_about(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({"model_sha256": "ab"}))
    (tmp_path / "log.jsonl").write_text('{"epoch": 0}\n{"model_sha256": "cd"}\n')
    Figure().savefig(tmp_path / "picture.png", metadata={"model_sha256": "ef"})
    assert [speaks_of(tmp_path / name) for name in ("report.json", "log.jsonl", "picture.png")] == ["ab", "cd", "ef"]
    (tmp_path / "log.jsonl").write_text('{"model_sha256": "cd"}\n{"epoch": 1}\n')  # the run went on
    (tmp_path / "report.json").write_text("{")
    Figure().savefig(tmp_path / "picture.png")
    for name in ("report.json", "log.jsonl", "picture.png", "nowhere.json"):
        assert speaks_of(tmp_path / name) is None


def test_reading(tmp_path, caplog):
    assert read_report(tmp_path, "training.json") is None and not caplog.text
    for text in ("{", "[1]"):
        (tmp_path / "training.json").write_text(text)
        assert read_report(tmp_path, "training.json") is None
    assert caplog.text.count("training.json is left out") == 2
    (tmp_path / "train_log.jsonl").write_text('{"step": 1}\n{"epoch": 1, "eval_accuracy": 1}\n{"model_sha256": "a"}\n')
    assert read_epochs(tmp_path) == [{"epoch": 1, "eval_accuracy": 1}]


def test_the_files_of_a_model_on_the_hub(hub, tmp_path):
    folder = write_tiny_model(tmp_path / "model")
    hub.repositories["user/tiny"] = repository = Repository()
    repository.commit("first", content(folder), "main")
    assert local_folder("user/tiny") is None  # before it is loaded
    load_model("user/tiny")
    assert weights_sha256(local_folder("user/tiny")) == weights_sha256(folder)
    assert local_folder(str(folder)) == folder
