"""Checkpoints: whole or not there, and the right run's."""

import dataclasses
import json
import logging
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from hf_nli.core.errors import InputError
from hf_nli.runs import checkpoints as checkpointing
from hf_nli.runs.identity import RunIdentity
from hf_nli.settings.recipe import Recipe

IDENTITY = RunIdentity("abc", "def", "ghi", Recipe(learning_rate=1e-3), 100, 10, 1, "no")


@pytest.fixture
def run(tmp_path):
    """A run's folder with checkpoints 2, 10 and 9, written in this order."""
    for step in (2, 10, 9):
        with checkpointing.writing(Accelerator(), tmp_path / "run", step, IDENTITY) as folder:
            (folder / "weights.bin").write_bytes(bytes(1000))
            (folder / "state.json").write_text(str(step))
    return tmp_path / "run"


def names(run):
    return sorted(folder.name for folder in run.iterdir())


def test_the_latest_is_found(run):
    assert checkpointing.find(run, "latest") == run / "checkpoint-10"
    assert checkpointing.find(run, str(run / "checkpoint-2")) == run / "checkpoint-2"
    assert checkpointing.check_run(run / "checkpoint-10", IDENTITY) == IDENTITY


def test_a_checkpoint_appears_whole_or_not_at_all(run):
    with pytest.raises(ZeroDivisionError), checkpointing.writing(Accelerator(), run, 11, IDENTITY) as folder:
        (folder / "weights.bin").write_bytes(bytes(1000))
        raise ZeroDivisionError
    assert names(run) == ["checkpoint-10", "checkpoint-2", "checkpoint-9"]
    assert checkpointing.find(run, "latest").name == "checkpoint-10"
    checkpointing.prune(run, None)
    assert names(run) == ["checkpoint-10", "checkpoint-2", "checkpoint-9"]


def flip(folder):
    content = bytearray((folder / "weights.bin").read_bytes())
    content[500] ^= 1
    (folder / "weights.bin").write_bytes(content)


DAMAGE = {
    "a bit": flip,
    "cut": lambda folder: (folder / "weights.bin").write_bytes(bytes(999)),
    "a file": lambda folder: (folder / "state.json").unlink(),
    "the manifest": lambda folder: (folder / checkpointing.MANIFEST).unlink(),
    "half the manifest": lambda folder: (folder / checkpointing.MANIFEST).write_text('{"sha256": {'),
    "another manifest": lambda folder: (folder / checkpointing.MANIFEST).write_text("[1, 2]"),
    "a manifest of other shapes": lambda folder: (folder / checkpointing.MANIFEST).write_text('{"sha256": [1]}'),
    "no identity": lambda folder: (folder / checkpointing.MANIFEST).write_text('{"sha256": {}}'),
    "an empty manifest": lambda folder: (folder / checkpointing.MANIFEST).write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_one_is_reported_and_the_one_before_is_used(damage, run, caplog):
    caplog.set_level(logging.WARNING, "hf_nli")
    DAMAGE[damage](run / "checkpoint-10")
    assert checkpointing.find(run, "latest") == run / "checkpoint-9"
    assert "checkpoint-10: a damaged checkpoint" in caplog.text
    with pytest.raises(InputError, match="checkpoint-10: a damaged checkpoint"):
        checkpointing.find(run, str(run / "checkpoint-10"))


def test_nothing_to_resume_from(run, tmp_path):
    for step in (2, 9, 10):
        flip(run / f"checkpoint-{step}")
    with pytest.raises(InputError, match="run: no checkpoint to resume from"):
        checkpointing.find(run, "latest")
    with pytest.raises(InputError, match="new: no checkpoint to resume from"):
        checkpointing.find(tmp_path / "new", "latest")
    with pytest.raises(InputError, match="checkpoint-3: no such checkpoint"):
        checkpointing.find(run, str(run / "checkpoint-3"))


def test_another_runs_checkpoint_is_refused(run, tmp_path):
    other = dataclasses.replace(IDENTITY, recipe=Recipe(learning_rate=1e-2), train_data="xyz")
    with pytest.raises(InputError, match="another run .the training data changed; learning_rate 0.001 there, 0.01"):
        checkpointing.check_run(run / "checkpoint-10", other)
    with pytest.raises(InputError, match="checkpoint-2 is not in .*other"):
        checkpointing.find(tmp_path / "other", str(run / "checkpoint-2"))


def test_the_newest_are_kept(run):
    checkpointing.prune(run, 2)
    assert names(run) == ["checkpoint-10", "checkpoint-9"]
    checkpointing.prune(run, None)
    checkpointing.prune(run, 5)
    assert names(run) == ["checkpoint-10", "checkpoint-9"]
    checkpointing.prune(run, 1)
    assert names(run) == ["checkpoint-10"]


class Code:
    """What runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    with checkpointing.writing(Accelerator(), tmp_path / "run", 1, IDENTITY) as folder:
        torch.save({"epoch": Code(tmp_path / "was_run")}, folder / "custom_checkpoint_0.pkl")
    with pytest.raises(InputError, match="checkpoint-1: a damaged checkpoint"):
        checkpointing.find(tmp_path / "run", str(tmp_path / "run/checkpoint-1"))
    assert not (tmp_path / "was_run").exists()


def test_a_checkpoint_of_another_version(run):
    manifest = json.loads((run / "checkpoint-10" / checkpointing.MANIFEST).read_text())
    manifest["identity"] = {"learning_rate": 1e-3}
    (run / "checkpoint-10" / checkpointing.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="written by another version"):
        checkpointing.check_run(run / "checkpoint-10", IDENTITY)


def test_manifest(run):
    manifest = json.loads((run / "checkpoint-9" / checkpointing.MANIFEST).read_text())
    assert (manifest["step"], manifest["identity"]) == (9, dataclasses.asdict(IDENTITY))
    assert set(manifest["sha256"]) == {"weights.bin", "state.json"}
