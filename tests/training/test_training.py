"""Fine-tuning: what is learned, logged, saved and counted."""

import dataclasses
import json
import logging
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import DatasetDict
from helpers import launcher, write_pairs, write_tiny_model
from PIL import Image
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.models.bert.modeling_bert import BertIntermediate

from hf_nli.core.errors import InputError
from hf_nli.data.load import load_nli
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.model.folder import read_epochs, speaks_of, weights_sha256
from hf_nli.model.load import load_model
from hf_nli.runs.log import closing_table
from hf_nli.settings.options import DataOptions, RunOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.training.optimization import embedding_scale, make_optimizer, parameter_groups
from hf_nli.training.train import train

ROOT = Path(__file__).parents[2]
RECIPE = {"learning_rate": 1e-2, "per_device_train_batch_size": 16, "num_train_epochs": 6, "mixed_precision": "no"}
RECIPE["embedding_lr_multiplier"] = 1.0


@pytest.fixture(scope="module")
def run(model, pairs, tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("runs") / "run"
    options = RunOptions(eval_on_start=True)
    results = train(model, pairs, output_dir, Recipe(**RECIPE), validation_dataset=pairs, run_options=options)
    log = [json.loads(line) for line in (output_dir / "train_log.jsonl").read_text().splitlines()]
    return output_dir, results, log


def test_it_learns(run):
    _, results, log = run
    epochs = [record for record in log if "eval_accuracy" in record]
    assert [record["epoch"] for record in epochs] == list(range(7))
    assert epochs[-1]["train_loss"] < 0.5 * epochs[1]["train_loss"]
    assert results.eval_accuracy > 0.9 > 0.6 > epochs[0]["eval_accuracy"]


def test_the_model_is_scored_before_training_only_if_asked(model, pairs, tmp_path):
    train(model, pairs, tmp_path / "run", Recipe(**RECIPE, max_train_steps=1), pairs)
    assert [record["epoch"] for record in read_epochs(tmp_path / "run")] == [1]


def test_results_count_what_was_done(run, model, pairs):
    output_dir, results, _ = run
    assert (output_dir / "all_results.json").read_text() == results.to_json()
    assert results.num_train_examples == 144 and results.dropped_examples == 4
    assert results.steps == 6 * 9 and results.epochs == 6
    assert (results.device, results.num_processes, results.mixed_precision) == ("cpu", 1, "no")
    assert results.padding_fraction == 0
    tokens_per_example = results.tokens_per_second / results.examples_per_second
    tokenizer = AutoTokenizer.from_pretrained(model)
    with open(pairs) as file:
        rows = [json.loads(line) for line in file]
    lengths = [len(tokenizer(row["premise"], row["hypothesis"]).input_ids) for row in rows if row["label"] != "-"]
    assert math.isclose(tokens_per_example, sum(lengths) / len(lengths), rel_tol=1e-6)
    assert math.isclose(results.examples_per_second * results.seconds, 6 * 144, rel_tol=1e-6)


def test_the_best_epoch_is_what_is_saved(run, pairs):
    output_dir, results, log = run
    epochs = [record for record in log if record.get("epoch", 0) > 0]
    best = max(epochs, key=lambda record: (record["eval_accuracy"], -record["eval_loss"]))
    assert results.best_epoch == best["epoch"] and results.eval_accuracy == best["eval_accuracy"]
    scores = evaluate(str(output_dir), pairs, output_dir.parent / "scores")
    assert scores.accuracy == best["eval_accuracy"]
    assert scores.loss == pytest.approx(best["eval_loss"], abs=1e-5)


def test_gradient_checkpointing_computes_again_what_it_computed(model, pairs, tmp_path, monkeypatch):
    """Every layer goes forwards twice for each step, and the weights are the same."""
    calls, forward = [], BertIntermediate.forward

    def count(layer, *inputs, **options):
        calls.append(torch.is_grad_enabled())
        return forward(layer, *inputs, **options)

    monkeypatch.setattr(BertIntermediate, "forward", count)
    weights, counts = [], []
    for checkpointing in (False, True):
        calls.clear()
        recipe = Recipe(**RECIPE | {"max_train_steps": 3, "dropout": 0.1, "gradient_checkpointing": checkpointing})
        train(model, pairs, tmp_path / str(checkpointing), recipe, validation_dataset=pairs)
        counts.append(sum(calls))
        weights.append((tmp_path / str(checkpointing) / "model.safetensors").read_bytes())
    assert counts == [3, 6]
    assert weights[0] == weights[1]


@pytest.fixture(scope="module")
def misleading(tmp_path_factory):
    """Pairs whose labels are wrong, so that a model gets worse on them the more it learns."""
    path = Path(write_pairs(tmp_path_factory.mktemp("data") / "misleading.jsonl", repeat=1))
    wrong = {"entailment": "neutral", "neutral": "contradiction", "contradiction": "entailment", "-": "-"}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"label": wrong[row["label"]]}) + "\n" for row in rows))
    return str(path)


def test_a_worse_last_epoch_does_not_replace_the_best(model, pairs, misleading, tmp_path):
    results = train(model, pairs, tmp_path / "run", Recipe(**RECIPE), misleading)
    epochs = read_epochs(tmp_path / "run")
    assert results.best_epoch < results.epochs == 6 and results.eval_accuracy > epochs[-1]["eval_accuracy"]
    assert results.eval_accuracy == max(record["eval_accuracy"] for record in epochs)
    scores = evaluate(str(tmp_path / "run"), misleading, tmp_path / "scores")
    assert scores.accuracy == results.eval_accuracy


def test_early_stopping(model, pairs, misleading, tmp_path, caplog):
    caplog.set_level(logging.INFO, "hf_nli")
    results = train(model, pairs, tmp_path / "run", Recipe(**RECIPE, early_stopping_patience=2), misleading)
    assert results.epochs == results.best_epoch + 2 < 6 and results.steps == 9 * results.epochs
    assert f"Stopped early: no better epoch than epoch {results.best_epoch}" in caplog.text


def test_the_folder_is_stock(run):
    output_dir, _, _ = run
    model = AutoModelForSequenceClassification.from_pretrained(output_dir)
    assert type(model).__name__ == "BertForSequenceClassification"
    assert model.config.id2label == {0: "entailment", 1: "neutral", 2: "contradiction"}
    assert AutoTokenizer.from_pretrained(output_dir)("a man", "runs").token_type_ids == [0, 0, 0, 0, 1, 1]
    names = {file.name for file in output_dir.iterdir()}
    evaluated = {name for name in names if name.startswith(("evaluations.", "confusion_matrix-"))}  # by the test above
    assert names - evaluated == {
        "README.md", "all_results.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "train_log.jsonl", "training.json", "training_curves.png",
    }  # fmt: skip


def test_same_seed_same_weights(model, pairs, tmp_path):
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(model, pairs, tmp_path / name, Recipe(max_train_steps=5, seed=seed), pairs)
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def logged(folder):
    records = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    return [record for record in records if "learning_rate" in record]


def test_schedule_warms_up_and_decays_once_a_step(model, pairs, tmp_path):
    recipe = Recipe(learning_rate=1e-3, max_train_steps=10, warmup_ratio=0.2, gradient_accumulation_steps=2,
                    per_device_train_batch_size=8)  # fmt: skip
    results = train(model, pairs, tmp_path / "run", recipe, pairs, run_options=RunOptions(logging_steps=1))
    rates = [record["learning_rate"] for record in logged(tmp_path / "run")]
    assert rates == pytest.approx(
        [1e-3 * share for share in (0, 1 / 2, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8)]
    )
    assert results.steps == 10


def test_accumulation_takes_the_steps_of_the_larger_batch(model, pairs, tmp_path):
    """Without dropout, two batches of 8 make the step of one batch of 16."""
    plain = write_tiny_model(tmp_path / "plain", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    states = []
    for batch, accumulation in ((16, 1), (8, 2)):
        recipe = Recipe(**RECIPE | {"max_train_steps": 6}, gradient_accumulation_steps=accumulation)
        recipe = Recipe(**vars(recipe) | {"per_device_train_batch_size": batch})
        train(str(plain), pairs, tmp_path / f"run{batch}", recipe, pairs)
        states.append(AutoModelForSequenceClassification.from_pretrained(tmp_path / f"run{batch}").state_dict())
    for name, tensor in states[0].items():
        if name.endswith("key.bias"):  # softmax doesn't see it: its gradient is rounding, which Adam makes large
            continue
        torch.testing.assert_close(states[1][name], tensor, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("accumulation, mixed", [(1, False), (2, False), (1, True)])
def test_two_processes_take_the_steps_of_one(accumulation, mixed, pairs, tmp_path):
    """Without dropout: the same pairs in the same order; 143 pairs divide by neither batch, processes nor parts."""
    plain = write_tiny_model(tmp_path / "plain", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    flags = [
        "--model_name_or_path",
        plain,
        "--dataset",
        *([pairs, write_pairs(tmp_path / "other.jsonl")] if mixed else [pairs]),
        "--validation_dataset",
        pairs,
        "--learning_rate",
        "1e-2",
    ]
    flags += ["--max_train_samples", 143, "--max_train_steps", 12, "--mixed_precision", "no"]
    if mixed:  # 71 and 73 pairs
        flags += ["--max_train_samples", 72, "--mixing_weights", 71, 72]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    logs, states = [], []
    for processes in (1, 2):
        folder = tmp_path / f"run{processes}"
        sizes = ["--per_device_train_batch_size", 28 // processes // accumulation]
        sizes += ["--gradient_accumulation_steps", accumulation, "--output_dir", folder]
        command = [sys.executable, *launcher(processes), ROOT / "scripts/finetune_accelerate.py", *flags, *sizes]
        subprocess.run([str(part) for part in command], env=environment, check=True, timeout=300)
        logs.append([json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()])
        states.append(AutoModelForSequenceClassification.from_pretrained(folder).state_dict())
    assert len(logs[0]) == len(logs[1]) == 2 + 1  # 12 steps: two epochs of 6; whose training it was
    for one, two in zip(*(log[:2] for log in logs), strict=True):
        assert two == pytest.approx(one, abs=1e-4)
    for name, tensor in states[0].items():
        if not name.endswith("key.bias"):  # as above
            torch.testing.assert_close(states[1][name], tensor, atol=1e-3, rtol=1e-2)


def test_each_process_drops_in_its_own_way(model, pairs, tmp_path):
    command = [sys.executable, *launcher(), ROOT / "tests/training/dropout_program.py", model, pairs, tmp_path]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    subprocess.run(list(map(str, command)), env=environment, check=True, timeout=300)
    first, second = (torch.load(tmp_path / f"masks_{rank}.pt") for rank in (0, 1))
    assert len(first) == len(second) > 6
    for one, other in zip(first, second, strict=True):
        assert 16 < one.sum() < 48 and not torch.equal(one, other)


def test_sum_of_losses(model, pairs, tmp_path):
    """A summed loss is a mean one with larger gradients, which only plain clipping notices."""
    losses = []
    for reduction, norm in (("mean", 0.0), ("sum", 0.0), ("mean", 1e-3), ("sum", 1e-3)):
        recipe = Recipe(**RECIPE | {"num_train_epochs": 1}, loss_reduction=reduction, max_grad_norm=norm)
        losses.append(train(model, pairs, tmp_path / f"{reduction}{norm}", recipe, pairs).train_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)  # Adam divides it out, but for its epsilon
    assert losses[2] == pytest.approx(losses[3], rel=1e-3)


@pytest.mark.parametrize("schedule, last", [("linear", 0.1), ("constant", 1.0), ("cosine", 0.0245)])
def test_schedules_and_the_embeddings_own_rate(schedule, last, model, pairs, tmp_path):
    settings = {
        "lr_scheduler_type": schedule,
        "embedding_lr_multiplier": 500.0,
        "warmup_ratio": 0.0,
        "max_train_steps": 10,
    }
    recipe = Recipe(learning_rate=1e-3, **settings)
    train(model, pairs, tmp_path / "run", recipe, pairs, run_options=RunOptions(logging_steps=1))
    assert logged(tmp_path / "run")[-1]["learning_rate"] == pytest.approx(1e-3 * last, rel=2e-3)
    start, end = (load_model(str(folder))[0].state_dict() for folder in (model, tmp_path / "run"))
    moved = {name: (end[name] - start[name]).abs().max() for name in end}
    assert moved["bert.embeddings.word_embeddings.weight"] > 0.1 > 0.02 > moved["bert.pooler.dense.weight"] > 0


@pytest.mark.parametrize("deviation, factor", [(0.05, 1), (0.001, 1), (0.3, 15), (1.0, 50)])
def test_larger_embeddings_take_larger_steps(deviation, factor, model):
    net = load_model(model)[0]
    torch.nn.init.normal_(net.get_input_embeddings().weight, std=deviation)
    net.get_input_embeddings().weight.data[:, :2] = 1e4  # as converted models have
    assert embedding_scale(net) == pytest.approx(factor, rel=0.3)
    rates = {group["lr"] for group in make_optimizer(net, Recipe(learning_rate=1e-3)).param_groups}
    assert rates == {1e-3, 1e-3 * embedding_scale(net)}
    rates = {group["lr"] for group in make_optimizer(net, Recipe(embedding_lr_multiplier=0.5)).param_groups}
    assert rates == {Recipe.learning_rate, 0.5 * Recipe.learning_rate}


def test_token_budget(model, pairs, tmp_path):
    recipe = Recipe(**RECIPE | {"num_train_epochs": 2}, tokens_per_batch=100)
    results = train(model, pairs, tmp_path / "run", recipe, pairs)
    assert results.steps > 2 * 9 and results.padding_fraction < 0.2
    assert math.isclose(results.examples_per_second * results.seconds, 2 * 144, rel_tol=1e-6)


def test_tensorboard(model, pairs, tmp_path):
    recipe = Recipe(**RECIPE | {"num_train_epochs": 1})
    train(model, pairs, tmp_path / "run", recipe, pairs, run_options=RunOptions(report_to="tensorboard"))
    events = EventAccumulator(str(tmp_path / "run/hf_nli"))
    events.Reload()
    assert {"eval_accuracy", "train_loss", "train_accuracy"} <= set(events.Tags()["scalars"])
    log = [json.loads(line) for line in (tmp_path / "run/train_log.jsonl").read_text().splitlines()]
    expected = [record["eval_accuracy"] for record in log if "eval_accuracy" in record]
    assert [event.value for event in events.Scalars("eval_accuracy")] == pytest.approx(expected)


def test_curves(run):
    picture = Image.open(run[0] / "training_curves.png").convert("RGB")
    assert picture.size == (600, 420)
    assert {(31, 119, 180), (255, 127, 14), (44, 160, 44)} <= {color for _, color in picture.getcolors(100_000)}


def test_closing_table(run):
    output_dir, results, log = run
    lines = closing_table(output_dir, results.best_epoch).splitlines()
    assert lines[0].split() == ["epoch", "eval", "loss", "eval", "accuracy", "train", "loss", "train", "accuracy"]
    assert [line.split()[0] for line in lines[1:]] == [str(epoch) for epoch in range(7)]
    (best,) = (line for line in lines if "best" in line)
    figures = next(record for record in log if record.get("epoch") == results.best_epoch)
    names = ("eval_loss", "eval_accuracy", "train_loss", "train_accuracy")
    assert best.split() == [str(results.best_epoch), "best", *(f"{figures[name]:.4f}" for name in names)]


def test_the_book_s_words(model, pairs, tmp_path, capsys, caplog):
    """The test split is scored after every epoch, and doesn't choose the best one."""
    caplog.set_level(logging.INFO, "hf_nli")
    rows = load_nli(pairs)["train"]
    tested = rows.filter(lambda label: label == 0, input_columns="label")
    DatasetDict(train=rows, validation=rows, test=tested).save_to_disk(tmp_path / "data")
    recipe = Recipe(**RECIPE | {"num_train_epochs": 2}, test_each_epoch=True)
    train(model, str(tmp_path / "data"), tmp_path / "run", recipe)
    scores = evaluate(str(tmp_path / "run"), str(tmp_path / "data"), tmp_path / "scores", split="test")
    records = read_epochs(tmp_path / "run")
    assert len(records) == 2 and scores.accuracy in [record["test_accuracy"] for record in records]
    assert all(record["test_accuracy"] in {count / len(tested) for count in range(49)} for record in records)
    last = records[-1]
    words = f"loss {last['train_loss']:.3f}, train acc {last['train_accuracy']:.3f}, test acc"
    assert f"epoch 2: {words} {last['test_accuracy']:.3f}" in capsys.readouterr().err
    assert "No test split" not in caplog.text
    train(model, pairs, tmp_path / "untested", recipe, pairs)
    assert "test acc is the accuracy on the validation pairs" in caplog.text
    last = read_epochs(tmp_path / "untested")[-1]
    assert "test_accuracy" not in last and f"test acc {last['eval_accuracy']:.3f}" in capsys.readouterr().err


def test_the_effective_batch_is_logged(model, pairs, tmp_path, caplog):
    caplog.set_level(logging.INFO, "hf_nli")
    recipe = Recipe(num_train_epochs=2, per_device_train_batch_size=12, gradient_accumulation_steps=3)
    train(model, pairs, tmp_path / "run", recipe, pairs)
    assert "Effective batch: 36 pairs (12 a batch, 3 to accumulate, processes: 1); 8 steps in 2 epochs" in caplog.text


def test_every_report_names_the_weights(run):
    output_dir, results, log = run
    sha256 = weights_sha256(output_dir)
    assert results.model_sha256 == sha256 and log[-1] == {"model_sha256": sha256}
    for name in ("all_results.json", "training.json", "train_log.jsonl", "training_curves.png"):
        assert speaks_of(output_dir / name) == sha256


def test_what_the_run_was_is_told(model, pairs, tmp_path):
    recipe = Recipe(max_train_steps=1)
    options = DataOptions(label_names=["entailment", "neutral", "contradiction"])
    train(model, pairs, tmp_path / "first", recipe, max_train_samples=20, data_options=options, license="mit")
    report = json.loads((tmp_path / "first/training.json").read_text())
    assert report["model"] == "tiny" and report["dataset"] == "pairs.jsonl"
    assert report["validation"] == "5 % of the training rows" and report["license"] == "mit"
    names = ["entailment", "neutral", "contradiction"]
    assert report["arguments"] == {"max_train_samples": 20, "label_names": names}
    assert report["base_model_sha256"] == weights_sha256(model) and "base" not in report
    assert report["recipe"] == dataclasses.asdict(recipe) and "torch" in report["versions"]
    train(str(tmp_path / "first"), pairs, tmp_path / "second", recipe, pairs)
    again = json.loads((tmp_path / "second/training.json").read_text())
    assert again["base"] == report and again["base_model_sha256"] == report["model_sha256"]
    assert again["arguments"] == {"validation_dataset": "pairs.jsonl"} and again["validation"] == "pairs.jsonl"


def test_the_license_is_the_base_model_s(model, pairs, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model/README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    train(str(tmp_path / "model"), pairs, tmp_path / "run", Recipe(max_train_steps=1), pairs)
    assert json.loads((tmp_path / "run/training.json").read_text())["license"] == "cc-by-4.0"
    train(model, pairs, tmp_path / "unknown", Recipe(max_train_steps=1), pairs)
    assert "license" not in json.loads((tmp_path / "unknown/training.json").read_text())


def saturated(folder):
    """A tiny model whose attention looks at one token alone."""
    write_tiny_model(folder)
    weights = load_file(folder / "model.safetensors")
    for name in weights:
        if "self.query" in name or "self.key" in name:
            weights[name] *= 30
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return str(folder)


def test_saturated_attention_is_softened_once(pairs, tmp_path, caplog):
    """What was done is told; a model that was fine-tuned here stays as it is."""
    caplog.set_level(logging.INFO, "hf_nli")
    model, recipe = saturated(tmp_path / "model"), Recipe(max_train_steps=1, learning_rate=0.0)
    results = train(model, pairs, tmp_path / "run", recipe, pairs)
    (factor,) = results.softening_factors
    query = "bert.encoder.layer.0.attention.self.query.weight"
    before, after = (load_file(Path(folder) / "model.safetensors")[query] for folder in (model, tmp_path / "run"))
    assert factor < 0.2 and torch.equal(after, before * factor)
    assert json.loads((tmp_path / "run/all_results.json").read_text())["softening_factors"] == [factor]
    # As if fine-tuning had made it look at one token again.
    weights = load_file(tmp_path / "run/model.safetensors")
    save_file(weights | {query: before}, tmp_path / "run/model.safetensors", {"format": "pt"})
    training = json.loads((tmp_path / "run/training.json").read_text())
    training["model_sha256"] = weights_sha256(tmp_path / "run")
    (tmp_path / "run/training.json").write_text(json.dumps(training))
    caplog.clear()
    again = train(str(tmp_path / "run"), pairs, tmp_path / "again", recipe, pairs)
    assert again.softening_factors is None and "was fine-tuned before" in caplog.text
    assert torch.equal(load_file(tmp_path / "again/model.safetensors")[query], before)


def test_precisions_do_not_pass_from_one_run_to_the_next(model, pairs, tmp_path):
    """Three runs in this process, and some in processes of their own, where somebody had chosen a precision before."""
    settings = {"learning_rate": 1e-2, "max_train_steps": 12, "per_device_train_batch_size": 16}
    weights = []
    for index, precision in enumerate(("no", "bf16", "no")):
        results = train(model, pairs, tmp_path / str(index), Recipe(**settings, mixed_precision=precision), pairs)
        assert results.mixed_precision == precision
        weights.append((tmp_path / str(index) / "model.safetensors").read_bytes())
    assert weights[0] == weights[2] != weights[1]
    for precision, other, expected in (("no", "bf16", weights[0]), ("bf16", "no", weights[1])):
        program = f"""
from accelerate import Accelerator
Accelerator(mixed_precision={other!r})
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train
recipe = Recipe(**{settings}, mixed_precision={precision!r})
train({model!r}, {pairs!r}, {str(tmp_path / precision)!r}, recipe, {pairs!r})
"""
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=300)
        assert (tmp_path / precision / "model.safetensors").read_bytes() == expected


def test_nothing_stays_set(model, pairs, tmp_path):
    """Denormal numbers, and what else holds for a process: neither after importing, nor after training."""
    program = f"""
import logging, torch
def state():
    flushed = (torch.full((2,), 1e-40) * 1 == 0).any().item()
    return flushed, torch.get_num_threads(), torch.is_grad_enabled(), logging.root.level
before = state()  # which takes no second thread
import hf_nli.training.trainer
from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train
assert not before[0] and state() == before
train({model!r}, {pairs!r}, {str(tmp_path / "run")!r}, Recipe(max_train_steps=1), {pairs!r})
assert state() == before, state()
assert torch.all(torch.full((2000, 64), 1e-41) @ torch.full((64, 2000), 1.0) > 0)  # by all threads
"""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "options, message",
    [
        ({"checkpointing_steps": "0"}, "--checkpointing_steps is 0"),
        ({"checkpointing_steps": "often"}, "--checkpointing_steps is often; it must be a number of steps, or 'epoch'"),
        ({"checkpoints_total_limit": 0}, "--checkpoints_total_limit is 0"),
        ({"logging_steps": 0}, "--logging_steps is 0; it must be at least 1"),
    ],
)
def test_impossible_run_options(options, message):
    with pytest.raises(InputError, match=message):
        RunOptions(**options)


def test_a_missing_tracker_says_how_to_get_it(model, pairs, tmp_path):
    with pytest.raises(InputError, match="--report_to wandb: .*pip install wandb"):
        train(model, pairs, tmp_path / "run", Recipe(), pairs, run_options=RunOptions(report_to="wandb"))


def test_max_train_samples_and_bf16(model, pairs, tmp_path):
    recipe = Recipe(num_train_epochs=1, per_device_train_batch_size=16, mixed_precision="bf16")
    results = train(model, pairs, tmp_path / "run", recipe, pairs, max_train_samples=20)
    assert (results.num_train_examples, results.steps, results.mixed_precision) == (20, 2, "bf16")
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "run").dtype == torch.float32


def test_model_with_another_label_order_keeps_it(tmp_path, pairs):
    names = {0: "CONTRADICTION", 1: "ENTAILMENT", 2: "NEUTRAL"}
    model = write_tiny_model(
        tmp_path / "model", id2label=names, label2id={name: index for index, name in names.items()}
    )
    results = train(str(model), pairs, tmp_path / "run", Recipe(**RECIPE), pairs)
    assert results.eval_accuracy > 0.9
    trained = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    assert trained.config.id2label == names
    inputs = AutoTokenizer.from_pretrained(tmp_path / "run")("a man runs.", "is", return_tensors="pt")
    assert names[trained(**inputs).logits.argmax().item()] == "ENTAILMENT"


def test_model_without_nli_labels_gets_our_head(tmp_path, pairs):
    model = write_tiny_model(tmp_path / "model", id2label=None, label2id=None, num_labels=3)
    with pytest.raises(InputError, match="its 3 labels are LABEL_0, LABEL_1, LABEL_2"):
        load_model(str(model))
    train(str(model), pairs, tmp_path / "run", Recipe(max_train_steps=1), pairs)
    assert load_model(str(tmp_path / "run"))[0].config.label2id["contradiction"] == 2


def test_long_lengths_are_limited_by_the_model(model, pairs, tmp_path, caplog):
    train(model, pairs, tmp_path / "run", Recipe(max_train_steps=1, max_seq_length=128), pairs)
    assert "more than the model's positions: using 32" in caplog.text


def test_dropout_of_the_run_is_the_models(model, pairs, tmp_path):
    train(model, pairs, tmp_path / "run", Recipe(max_train_steps=1, dropout=0.25), pairs)
    config = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run").config
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0.25


def test_only_matrices_decay(model):
    net = load_model(model)[0]
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    decayed, others, embeddings = parameter_groups(net, 0.1, embedding_learning_rate=0.5)
    assert (decayed["weight_decay"], others["weight_decay"], embeddings["weight_decay"]) == (0.1, 0.0, 0.0)
    assert embeddings["lr"] == 0.5 and not {"lr"} & {*decayed, *others}
    assert all(
        "dense" in names[id(p)] or "self" in names[id(p)] or "classifier" in names[id(p)] for p in decayed["params"]
    )
    assert all(names[id(p)].endswith("weight") for p in decayed["params"])
    assert {id(p) for p in decayed["params"]} | {id(p) for p in others["params"] + embeddings["params"]} == set(names)
    assert {names[id(p)].split(".")[2] for p in embeddings["params"]} == {
        "word_embeddings",
        "position_embeddings",
        "token_type_embeddings",
    }


@pytest.mark.parametrize(
    "setting, value",
    [
        ("learning_rate", -1.0),
        ("learning_rate", math.nan),
        ("num_train_epochs", 0),
        ("max_train_steps", 0),
        ("per_device_train_batch_size", 0),
        ("warmup_ratio", 1.5),
        ("dropout", 1.0),
    ],
)
def test_impossible_settings_are_refused(setting, value):
    with pytest.raises(InputError, match=f"--{setting} is {value}"):
        Recipe(**{setting: value})


def test_errors_leave_nothing(model, pairs, tmp_path):
    with pytest.raises(InputError, match="fp16"):
        train(model, pairs, tmp_path / "run", Recipe(mixed_precision="fp16"), pairs)
    with pytest.raises(InputError, match="--max_train_samples is 0"):
        train(model, pairs, tmp_path / "run", Recipe(), pairs, max_train_samples=0)
    with pytest.raises(InputError, match="no such file"):
        train(model, "nowhere.jsonl", tmp_path / "run", Recipe())
    with pytest.raises(InputError, match="not a model folder"):
        train(str(tmp_path), pairs, tmp_path / "run", Recipe())
    assert not (tmp_path / "run").exists()


def test_diverging_runs_say_so(model, pairs, tmp_path):
    with pytest.raises(InputError, match="the training loss is .* lower --learning_rate"):
        train(model, pairs, tmp_path / "run", Recipe(learning_rate=1e30, max_grad_norm=0.0, max_train_steps=9), pairs)
