"""The recipe as a Trainer: the same steps as the Accelerate loop, and what users of Trainer expect of it."""

import json
import math
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import ClassLabel, Value
from helpers import launcher, write_tiny_model
from model_hub import Repository
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, EarlyStoppingCallback

from hf_nli.core.errors import InputError
from hf_nli.data.batches import epoch_batches
from hf_nli.data.load import load_nli
from hf_nli.model.folder import weights_sha256
from hf_nli.settings.options import RunOptions
from hf_nli.settings.recipe import RECIPES, Recipe
from hf_nli.training.train import train
from hf_nli.training.trainer import NLITrainingArguments, make_trainer

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "trainer_program.py"
RECIPE = {"learning_rate": 5e-3, "per_device_train_batch_size": 8, "num_train_epochs": 3, "mixed_precision": "no"}
RECIPE["embedding_lr_multiplier"] = 2.0
QUIET = {"disable_tqdm": True, "use_cpu": True}


@pytest.fixture
def rows(pairs):
    return load_nli(pairs)["train"]


def losses(history):
    return [record["loss"] for record in history if "loss" in record]


def validation(history, name):
    return [record[name] for record in history if name in record and record.get("epoch", 0) > 0]


@pytest.fixture
def run_both(model, pairs, rows, tmp_path):
    """Runs the Accelerate loop and Trainer with one recipe on the first so many rows; the loop logs mean losses."""

    def run(recipe, number):
        every_step = RunOptions(logging_steps=1)
        train(model, pairs, tmp_path / "loop", recipe, pairs, max_train_samples=number, run_options=every_step)
        log = [json.loads(line) for line in (tmp_path / "loop/train_log.jsonl").read_text().splitlines()]
        arguments = NLITrainingArguments.from_recipe(recipe, tmp_path / "trainer", logging_steps=1, **QUIET)
        trainer = make_trainer(model, rows.select(range(number)), rows, arguments)
        trainer.train()
        return log, trainer

    return run


@pytest.mark.parametrize("number", [143, 34])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_accumulation_steps": 2},
        {"gradient_accumulation_steps": 4},
        {"gradient_accumulation_steps": 4, "loss_reduction": "sum", "max_grad_norm": 0.0},
        {"gradient_checkpointing": True},
    ],
)
def test_the_same_steps_as_the_accelerate_loop(changes, number, run_both):
    """In steps of 8, 16 and 32 pairs, of which 143 leave 7 or 15, and 34 leave 2, too few for 4 parts."""
    log, trainer = run_both(Recipe(**RECIPE | changes), number)
    size = 8 * changes.get("gradient_accumulation_steps", 1)
    expected = losses(log)
    assert len(expected) == 3 * math.ceil(number / size)
    if changes.get("loss_reduction"):  # Trainer logs what is reduced
        lengths = trainer.get_train_dataloader().dataset.table.lengths
        steps = [len(step) for epoch in (1, 2, 3) for step in epoch_batches(lengths, size, 42, epoch)]
        expected = [loss * step for loss, step in zip(expected, steps, strict=True)]
    history = trainer.state.log_history
    assert losses(history) == pytest.approx(expected, abs=1e-5)
    assert validation(history, "eval_accuracy") == validation(log, "eval_accuracy")
    assert validation(history, "eval_loss") == pytest.approx(validation(log, "eval_loss"), abs=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_same_weights_as_the_accelerate_loop(reduction, run_both, tmp_path):
    recipe = {"gradient_accumulation_steps": 4, "num_train_epochs": 1, "warmup_ratio": 0.0}
    _, trainer = run_both(Recipe(**RECIPE | recipe, loss_reduction=reduction), 34)
    trainer.save_model()
    assert_same_weights(tmp_path / "loop", tmp_path / "trainer")


def assert_same_weights(*folders):
    ours, theirs = (load_file(folder / "model.safetensors") for folder in folders)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        if name.endswith("key.bias"):
            continue  # no output depends on it (softmax): its gradient is rounding, which Adam makes steps of
        torch.testing.assert_close(theirs[name], tensor, atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def two_processes(model, pairs, tmp_path_factory):
    """The folder of what `trainer_program.py` wrote; 35 pairs leave 3 for the third step of 16."""
    folder = tmp_path_factory.mktemp("two")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, *launcher(), *map(str, (PROGRAM, model, pairs, folder))]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return folder


def test_two_processes_take_the_steps_of_one(two_processes, model, pairs, tmp_path):
    """Of the last step the second process has one pair in its first part and none in its second one."""
    recipe = {"per_device_train_batch_size": 16, "num_train_epochs": 1, "warmup_ratio": 0.0}
    recipe |= {"learning_rate": 5e-3, "mixed_precision": "no"}
    every_step = RunOptions(logging_steps=1)
    train(model, pairs, tmp_path / "loop", Recipe(**recipe), pairs, max_train_samples=35, run_options=every_step)
    log = [json.loads(line) for line in (tmp_path / "loop/train_log.jsonl").read_text().splitlines()]
    history = json.loads((two_processes / "log_history.json").read_text())
    assert len(losses(log)) == 3
    assert losses(history) == pytest.approx(losses(log), abs=1e-5)
    assert_same_weights(tmp_path / "loop", two_processes / "plain")


def test_each_process_drops_in_its_own_way(two_processes):
    first, second = (torch.load(two_processes / f"masks_{rank}.pt") for rank in (0, 1))
    assert len(first) == len(second) == 10
    for one, other in zip(first, second, strict=True):
        assert 16 < one.sum() < 48 and not torch.equal(one, other)


def test_two_processes_resume_in_the_middle_of_an_epoch(two_processes):
    for rank in (0, 1):
        whole, resumed = torch.load(two_processes / f"weights_{rank}.pt")
        assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


def test_it_resumes_in_the_middle_of_an_epoch(model, rows, tmp_path):
    recipe, states = Recipe(**RECIPE, dropout=0.1), []
    for folder in ("whole", "resumed"):
        settings = QUIET | {"save_strategy": "steps", "save_steps": 24, "load_best_model_at_end": False}
        arguments = NLITrainingArguments.from_recipe(recipe, tmp_path / folder, **settings | {"save_total_limit": 9})
        trainer = make_trainer(model, rows, rows, arguments)
        trainer.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-24") if folder == "resumed" else None)
        states.append(trainer.model.state_dict())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_a_model_with_another_label_order(rows, tmp_path):
    names = {0: "CONTRADICTION", 1: "ENTAILMENT", 2: "NEUTRAL"}
    label2id = {name: index for index, name in names.items()}
    model = write_tiny_model(tmp_path / "model", id2label=names, label2id=label2id)
    arguments = NLITrainingArguments.from_recipe(Recipe(**RECIPE), tmp_path / "run", **QUIET)
    trainer = make_trainer(str(model), rows, rows, arguments)
    trainer.train()
    assert trainer.evaluate()["eval_accuracy"] > 0.9
    trainer.save_model()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    logits = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")(
        **tokenizer("a man runs.", "is", return_tensors="pt")
    ).logits
    assert names[logits.argmax().item()] == "ENTAILMENT"
    predictions = trainer.predict(trainer.eval_dataset)
    assert predictions.predictions.shape == (144, 3) and predictions.metrics["test_f1_neutral"] > 0.9


def test_callbacks_and_hyperparameter_search(model, rows, tmp_path):
    arguments = NLITrainingArguments.from_recipe(Recipe(**RECIPE), tmp_path / "run", max_steps=4, **QUIET)
    trainer = make_trainer(model, rows, rows, arguments, callbacks=[EarlyStoppingCallback(1)])
    best = trainer.hyperparameter_search(
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2)}, n_trials=2
    )
    assert 1e-4 <= best.hyperparameters["learning_rate"] <= 1e-2
    assert any(isinstance(callback, EarlyStoppingCallback) for callback in trainer.callback_handler.callbacks)


@pytest.fixture
def new_trainer(model, rows, tmp_path):
    """Makes Trainers that take 18 steps in `run`, by default with a checkpoint after each 9."""

    def make(folder="run", **others):
        settings = {"save_strategy": "steps", "save_steps": 9, "load_best_model_at_end": False} | QUIET | others
        recipe = Recipe(**RECIPE | {"num_train_epochs": 1})
        arguments = NLITrainingArguments.from_recipe(recipe, tmp_path / folder, **settings, save_total_limit=9)
        return make_trainer(model, rows, rows, arguments)

    return make


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def finished(model, tmp_path):
    """A run's folder that has everything of another model, and a file of somebody's own."""
    shutil.copytree(model, tmp_path / "run")
    for name in ("README.md", "conversion_report.json", "all_results.json", "notes.txt", "checkpoint-99/old"):
        (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "run" / name).write_text("of another model")
    return tmp_path / "run"


def test_what_is_saved_is_stock(new_trainer, tmp_path):
    """And typed special tokens stay text for whoever reads tokenizer.json alone."""
    trainer = new_trainer()
    trainer.train()
    trainer.save_model()
    for folder in (tmp_path / "run", tmp_path / "run/checkpoint-9"):
        assert json.loads((folder / "tokenizer.json").read_text())["added_tokens"] == []
        assert AutoModelForSequenceClassification.from_pretrained(folder).config.id2label[1] == "neutral"


def test_another_model_is_not_written_over(new_trainer, finished):
    before = files(finished)
    trainer = new_trainer()
    with pytest.raises(InputError, match=r"run holds a model already; .*--overwrite_output_dir"):
        trainer.train()
    with pytest.raises(InputError, match="run holds a model already"):
        trainer.save_model()
    assert files(finished) == before


def test_overwriting_waits_for_the_new_model(new_trainer, finished):
    """Then all of the old one is gone; the run's checkpoints and what nobody here wrote stay."""
    before = files(finished)
    trainer = new_trainer(overwrite_output_dir=True)
    trainer.train()
    while_training = files(finished)
    assert before.items() - while_training.items() == {("checkpoint-99/old", b"of another model")}
    assert (finished / "checkpoint-18").is_dir()
    trainer.save_model()
    after = files(finished)
    assert after["model.safetensors"] != before["model.safetensors"]
    assert after["notes.txt"] == b"of another model"
    stale = {"README.md", "conversion_report.json", "all_results.json", "checkpoint-99/old"}
    assert stale.isdisjoint(after) and {"checkpoint-9/model.safetensors", "checkpoint-18/optimizer.pt"} <= after.keys()


def test_a_run_goes_on_in_its_folder(new_trainer, tmp_path):
    first = new_trainer(max_steps=9)
    first.train()
    first.save_model()
    with pytest.raises(InputError, match="run holds a model already"):
        new_trainer().train()
    (tmp_path / "run/model.safetensors").unlink()
    with pytest.raises(InputError, match="checkpoint-9 is of an earlier run; go on from it with --resume_from_check"):
        new_trainer().train()
    second = new_trainer()
    second.train(resume_from_checkpoint=True)
    second.save_model()
    second.save_model()
    assert second.state.global_step == 18 and (tmp_path / "run/checkpoint-9").is_dir()
    assert load_file(tmp_path / "run/model.safetensors").keys() == second.model.state_dict().keys()


def test_saving_elsewhere(new_trainer, finished, tmp_path):
    trainer = new_trainer("other")
    trainer.save_model(str(tmp_path / "new"))
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "new")
    with pytest.raises(InputError, match="run holds a model already"):
        trainer.save_model(str(finished))


def test_the_model_is_read_once(new_trainer, model, rows, tmp_path):
    """By `make_trainer`; what Trainer trains is a copy, each time."""
    shutil.copytree(model, tmp_path / "model")
    arguments = NLITrainingArguments.from_recipe(Recipe(**RECIPE), tmp_path / "run", max_steps=2, **QUIET)
    trainer = make_trainer(str(tmp_path / "model"), rows, rows, arguments)
    shutil.rmtree(tmp_path / "model")
    histories = []
    for _ in range(2):
        trainer.train()
        histories.append(losses(trainer.state.log_history))
    assert histories[0] == histories[1]


def test_a_model_on_the_hub_at_a_revision(hub, model, rows, tmp_path):
    repository = hub.repositories["me/nli"] = Repository()
    repository.commit("first", {"README.md": b"no model yet"}, "main")
    repository.commit("then", files(Path(model)), "trained")
    arguments = NLITrainingArguments.from_recipe(Recipe(**RECIPE), tmp_path / "run", **QUIET)
    trainer = make_trainer("me/nli", rows, rows, arguments, revision="trained")
    for name, tensor in load_file(Path(model) / "model.safetensors").items():
        assert torch.equal(trainer.model.state_dict()[name], tensor)
    with pytest.raises(InputError, match="me/nli: not a model folder"):
        make_trainer("me/nli", rows, rows, arguments)


@pytest.mark.parametrize("which", ["train_pairs", "validation_pairs"])
def test_labels_that_are_none(which, model, rows, tmp_path):
    arguments = NLITrainingArguments.from_recipe(Recipe(**RECIPE), tmp_path / "run", **QUIET)
    ids = rows.cast_column("label", Value("int64"))
    for value in (-1, 3, None):
        labels = [*ids["label"][:7], value, *ids["label"][8:]]
        changed = ids.remove_columns("label").add_column("label", labels)
        pairs = {"train_pairs": ids, "validation_pairs": ids} | {which: changed}
        with pytest.raises(InputError, match=f"^{which}, row 8: the label is {value}, not 0, 1 or 2; load_nli leaves"):
            make_trainer(model, **pairs, arguments=arguments)
    other = rows.cast_column("label", ClassLabel(names=["entailment", "contradiction", "neutral"]))
    with pytest.raises(InputError, match=f"^{which}: its labels are entailment, contradiction, neutral, not entail"):
        make_trainer(model, **{"train_pairs": rows, "validation_pairs": rows} | {which: other}, arguments=arguments)


def test_recipes_in_trainer_s_words(tmp_path):
    book = Recipe(**RECIPES["d2l"])
    arguments = NLITrainingArguments.from_recipe(book, tmp_path, use_cpu=True)
    assert arguments.lr_scheduler_type == "constant_with_warmup" and arguments.warmup_steps == 0
    assert (arguments.loss_reduction, arguments.dropout, arguments.bf16) == ("sum", 0.2, False)
    assert NLITrainingArguments.from_recipe(Recipe(mixed_precision="bf16"), tmp_path, use_cpu=True).bf16
    assert NLITrainingArguments.from_recipe(Recipe(mixed_precision="bf16"), tmp_path).bf16
    plain, ours = NLITrainingArguments(str(tmp_path), use_cpu=True), Recipe(mixed_precision="no")
    assert NLITrainingArguments.from_recipe(ours, tmp_path, use_cpu=True).to_dict() == plain.to_dict()
    with pytest.raises(InputError, match="tokens_per_batch"):
        NLITrainingArguments.from_recipe(Recipe(tokens_per_batch=100), tmp_path)


SCRIPT = ROOT / "scripts/finetune_trainer.py"


def test_script(model, pairs, tmp_path):
    flags = ["--model_name_or_path", model, "--dataset", pairs, "--validation_dataset", pairs]
    flags += ["--output_dir", tmp_path / "run", "--num_train_epochs", 1, "--learning_rate", 0.005, "--use_cpu", True]
    command = [sys.executable, *map(str, [SCRIPT, *flags])]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    results = json.loads((tmp_path / "run/all_results.json").read_text())
    assert {"train_loss", "eval_accuracy", "epoch"} <= results.keys()
    assert results["model_sha256"] == weights_sha256(tmp_path / "run")
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"finetune_trainer.py: error: {tmp_path}/run holds a model al")


def run_script(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return ended.value.code


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_script_with_a_file(form, model, tmp_path, monkeypatch):
    """The data set numbers its labels as d2l does; YAML takes 5e-3 for a text."""
    names = ["entailment", "contradiction", "neutral"]
    texts = {"entailment": "is", "neutral": "outside", "contradiction": "not ."}
    lines = [f"a man runs.,{texts[name]},{names.index(name)}\n" for name in names * 8]
    (tmp_path / "pairs.csv").write_text("premise,hypothesis,label\n" + "".join(lines))
    settings = {"model_name_or_path": model, "dataset": "pairs.csv", "validation_dataset": "pairs.csv"}
    settings |= {"dataset_label_names": names, "output_dir": "run", "learning_rate": 5e-3, "use_cpu": True}
    settings |= {"per_device_train_batch_size": 4, "num_train_epochs": 9, "premise_column": None}
    text = json.dumps(settings)
    (tmp_path / f"arguments.{form}").write_text(text if form == "json" else text.replace("0.005", "5e-3"))
    monkeypatch.chdir(tmp_path)
    assert run_script(monkeypatch, f"arguments.{form}") == 0
    assert json.loads((tmp_path / "run/all_results.json").read_text())["eval_accuracy"] == 1
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    logits = classifier(**tokenizer("a man runs.", "outside", return_tensors="pt")).logits
    assert classifier.config.id2label[logits.argmax().item()] == "neutral"


NEEDED = ["--model_name_or_path", "nowhere", "--dataset", "nowhere.jsonl", "--output_dir"]


@pytest.mark.parametrize(
    "given, message",
    [
        ([*NEEDED, "new"], "nowhere.jsonl: no such file or folder"),
        ([*NEEDED, "file.yaml"], "file.yaml: can't be written to ("),
        (
            [*NEEDED, "new", "--per_device_train_batch_size", 0],
            "--per_device_train_batch_size is 0; it must be at lea",
        ),
        ([*NEEDED, "new", "--dropout", 1], "--dropout is 1.0; it must be at least 0 and less than 1"),
        ([*NEEDED, "new", "--learn", 1], "unknown flag --learn; the nearest is --learning_rate"),
        (["missing.yaml"], "missing.yaml: it can't be read (No such file or directory)"),
        (["file.yaml"], "file.yaml: give names and values"),
        (["list.json"], "list.json: give names and values"),
        (["bad.yaml"], "bad.yaml: it can't be read (while parsing"),
        (["bad.json"], "bad.json: it can't be read (Expecting"),
        (["few.json"], "the following arguments are required: --model_name_or_path"),
        (["slow.json"], "argument --learning_rate/--learning-rate: invalid float value: 'slow'"),
    ],
)
def test_script_says_what_is_wrong_in_a_line(given, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    texts = {"file.yaml": "", "list.json": "[1]", "bad.yaml": "a: [", "bad.json": "{", "few.json": '{"dataset": "x"}'}
    for name, text in (texts | {"slow.json": '{"learning_rate": "slow"}'}).items():
        (tmp_path / name).write_text(text)
    assert run_script(monkeypatch, *given) == 2
    output = capsys.readouterr().err.splitlines()
    assert len(output) == 1 and output[0].startswith(f"finetune_trainer.py: error: {message}")
    assert {path.name for path in tmp_path.iterdir()} == {*texts, "slow.json"}


@pytest.mark.parametrize("name", ["learning_rate", "embedding_lr_multiplier"])
def test_an_epoch_of_nan_is_never_the_best(name, model, rows, tmp_path):
    settings = RECIPE | {"max_grad_norm": 0.0, name: 1e30}
    arguments = NLITrainingArguments.from_recipe(Recipe(**settings), tmp_path / "run", **QUIET)
    trainer = make_trainer(model, rows, rows, arguments)
    with pytest.raises(InputError, match=r"^validation pairs, row \d+: the model's logits are NaN or infinite; lower"):
        trainer.train()
    assert trainer.state.best_model_checkpoint is None


def test_weights_of_nan_are_not_saved(model, rows, tmp_path):
    trainer = make_trainer(model, rows, rows, NLITrainingArguments(str(tmp_path / "run"), **QUIET))
    trainer.model.classifier.bias.data[1] = math.nan
    with pytest.raises(InputError, match=r"the weights are NaN or infinite \(classifier\.bias\): nothing is saved"):
        trainer.save_model()
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    "settings",
    [
        *({"num_train_epochs": value} for value in (0, -1, math.nan, math.inf, "3")),
        *({"warmup_steps": value} for value in (-1, math.nan, math.inf)),
        *({"max_steps": value} for value in (0, -2, 1.5)),
        *({"per_device_eval_batch_size": value} for value in (0, -3, 2.5)),
        *({"save_total_limit": 0}, {"logging_steps": -1}, {"learning_rate": math.inf}, {"seed": 2**32}),
    ],
    ids=str,
)
def test_arguments_are_checked_as_recipes_are(settings, tmp_path):
    (name,) = settings
    with pytest.raises(InputError, match=f"^--{name} is "):
        NLITrainingArguments(str(tmp_path), **QUIET, **settings)


def test_what_trainer_takes_beside(tmp_path):
    """Parts of an epoch, a share of the steps, and no limit of them."""
    arguments = NLITrainingArguments(str(tmp_path), num_train_epochs=0.5, warmup_steps=0.1, max_steps=-1, **QUIET)
    assert (arguments.num_train_epochs, arguments.warmup_steps, arguments.max_steps) == (0.5, 0.1, -1)
