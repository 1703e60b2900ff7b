"""The folder of a run: where it works, and what is saved there."""

import logging

import pytest
import torch
from helpers import write_tiny_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from hf_nli.core.errors import InputError
from hf_nli.runs.checkpoints import list_checkpoints
from hf_nli.runs.output import (
    begun,
    check_keys,
    drop_interrupted,
    keep_best,
    key_groups,
    plain_keys,
    put_in_place,
    refuse_unseen,
    restore_best,
    run_folder,
    working_folder,
)


def finished(folder, weights=b"old"):
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "training.json").write_text("{}")
    return folder


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("resume", [None, "latest"])
def test_a_new_folder_is_worked_in(overwrite, resume, tmp_path):
    assert working_folder(tmp_path / "new", resume, overwrite) == tmp_path / "new"
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/notes.txt").touch()
    assert working_folder(tmp_path / "notes", resume, overwrite) == tmp_path / "notes"


def test_what_is_there_is_not_written_over(tmp_path):
    with pytest.raises(InputError, match="model holds a model already; .*--overwrite_output_dir"):
        working_folder(finished(tmp_path / "model"), None, overwrite=False)
    (tmp_path / "run/checkpoint-9").mkdir(parents=True)
    with pytest.raises(
        InputError, match="checkpoint-9 of an earlier run; go on from it with --resume_from_checkpoint"
    ):
        working_folder(tmp_path / "run", None, overwrite=False)
    assert working_folder(tmp_path / "run", "latest", overwrite=False) == tmp_path / "run"


def test_a_run_that_replaces_works_beside_and_is_found_again(tmp_path, caplog):
    model = finished(tmp_path / "model")
    folder = working_folder(model, None, overwrite=True)
    assert folder != model and folder.name == "model" and folder.parent.parent == tmp_path
    assert not folder.exists() and folder.parent.name.startswith(".")
    # Nothing was begun: what goes on is the run in the folder itself, as without the flag.
    assert working_folder(model, "latest", overwrite=True) == model
    (folder / "checkpoint-3").mkdir(parents=True)
    assert working_folder(model, "latest", overwrite=True) == folder
    assert working_folder(model, "latest", overwrite=False) == model
    caplog.set_level(logging.WARNING, "hf_nli")
    with run_folder(model, None, overwrite=True) as run:
        assert run.checkpoints == folder and folder.exists()  # as long as the new one may be refused
        with begun(run):
            assert not folder.exists() and "an unfinished run is dropped" in caplog.text
    finished(folder, b"new")
    put_in_place(folder, model)
    assert (model / "model.safetensors").read_bytes() == b"new" and list(tmp_path.iterdir()) == [model]


def test_what_is_left_of_a_run_that_fails(tmp_path):
    for existed in (False, True):
        if existed:
            (tmp_path / "run").mkdir()
            (tmp_path / "run/notes.txt").touch()
        with pytest.raises(KeyError), run_folder(tmp_path / "run", None, overwrite=False) as run, begun(run):
            finished(run.model)
            (run.log / "train_log.jsonl").touch()
            raise KeyError
        assert [path.name for path in tmp_path.rglob("*")] == ["run", "notes.txt"] * existed
    with pytest.raises(KeyError), run_folder(tmp_path / "run", None, overwrite=False) as run, begun(run):
        (run.checkpoints / "checkpoint-3").mkdir()
        raise KeyError
    assert list_checkpoints(tmp_path / "run")  # by which it can go on
    drop_interrupted(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_a_run_beside_a_model_leaves_it_alone(tmp_path):
    model = finished(tmp_path / "model")
    with pytest.raises(KeyError), run_folder(model, None, overwrite=True) as run, begun(run):
        finished(run.model, b"new")
        raise KeyError
    drop_interrupted(model)
    assert (model / "model.safetensors").read_bytes() == b"old" and list(tmp_path.iterdir()) == [model]


def test_machines_without_a_common_disk(tmp_path):
    refuse_unseen(tmp_path)
    with pytest.raises(InputError, match="run: not seen by all machines; .* on a disk that they share"):
        refuse_unseen(tmp_path / "run")


def test_the_best_model_is_in_the_checkpoint(tmp_path):
    """And comes back from it, whatever became of the folder's."""
    run, checkpoint = finished(tmp_path / "run"), tmp_path / "checkpoint"
    (run / "tokenizer.json").write_text("tokenizer")
    (run / "notes.txt").touch()
    checkpoint.mkdir()
    keep_best(run, checkpoint)
    assert {file.name for file in (checkpoint / "best").iterdir()} == {"model.safetensors", "tokenizer.json"}
    assert (checkpoint / "best/model.safetensors").samefile(run / "model.safetensors")  # it takes no room
    (run / "later").write_bytes(b"later")
    (run / "later").replace(run / "model.safetensors")
    (run / "tokenizer.json").unlink()
    restore_best(checkpoint, run)
    assert (run / "model.safetensors").read_bytes() == b"old" and (run / "tokenizer.json").exists()
    (tmp_path / "first").mkdir()  # a checkpoint before the first epoch's end
    restore_best(tmp_path / "first", run)
    assert not (run / "model.safetensors").exists() and (run / "notes.txt").exists()


def test_no_links(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("not supported")

    monkeypatch.setattr("os.link", fail)
    run = finished(tmp_path / "run")
    (tmp_path / "checkpoint").mkdir()
    keep_best(run, tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint/best/model.safetensors").read_bytes() == b"old"


@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "module.", "_orig_mod.module.", "module._orig_mod."])
def test_prefixes_of_wrappers(prefix):
    keys = ["bert.encoder.layer.0.attention.self.query.weight", "classifier.bias"]
    assert list(plain_keys({prefix + key: torch.zeros(1) for key in keys})) == keys


def test_prefixes_inside():
    """Accelerate compiles layer by layer, if it is told to."""
    model = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    keys = list(model.state_dict())
    model[1] = torch.compile(model[1], backend="eager")
    assert list(model.state_dict()) != keys == list(plain_keys(model.state_dict()))


def test_what_was_saved_is_read_back(tmp_path):
    folder = write_tiny_model(tmp_path / "model")
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    keys = key_groups(model)
    check_keys(folder, keys)
    weights = load_file(folder / "model.safetensors")
    save_file({f"_orig_mod.{name}": tensor for name, tensor in weights.items()}, folder / "model.safetensors")
    with pytest.raises(RuntimeError, match="not saved: bert.* that aren't the model's: _orig_mod.bert"):
        check_keys(folder, keys)
    del weights["classifier.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(RuntimeError, match="not saved: classifier.bias; that aren't the model's: none"):
        check_keys(folder, keys)


def test_shared_weights_are_saved_once(tmp_path):
    """BART's three tables of embeddings are one."""
    from transformers import BartConfig, BartForSequenceClassification

    sizes = {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    sizes |= {"encoder_attention_heads": 1, "decoder_attention_heads": 1, "vocab_size": 10}
    model = BartForSequenceClassification(BartConfig(**sizes))
    keys = key_groups(model)
    assert max(map(len, keys)) == 3
    model.save_pretrained(tmp_path)
    check_keys(tmp_path, keys)


@pytest.mark.parametrize("resume", [None, "latest"])
def test_a_run_that_is_refused_before_it_begins_changes_nothing(resume, tmp_path):
    """Neither what an earlier run left, nor what is of no run."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/train_log.jsonl").write_text("{}")
    if resume is None:
        with pytest.raises(KeyError), run_folder(tmp_path / "run", None, overwrite=False):
            raise KeyError
    else:
        with (
            pytest.raises(InputError, match="no checkpoint to resume from"),
            run_folder(tmp_path / "run", resume, True),
        ):
            pass
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "train_log.jsonl"]


def test_a_run_cannot_replace_the_current_folder(tmp_path, monkeypatch):
    """It would be told so when it is done."""
    monkeypatch.chdir(tmp_path)
    for resume in (None, "latest"):
        with pytest.raises(InputError, match="is the current folder"):
            working_folder(tmp_path, resume, overwrite=True)
