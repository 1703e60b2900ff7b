"""Fine-tuning: what is learned, logged, saved and counted."""

import json
import logging
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from datasets import DatasetDict
from helpers import write_tiny_model
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.models.bert.modeling_bert import BertSelfAttention

from hf_nli.core.errors import InputError
from hf_nli.data.load import load_nli
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.model.folder import read_epochs
from hf_nli.model.load import load_model
from hf_nli.settings.options import RunOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.training.log import closing_table
from hf_nli.training.loop import Run
from hf_nli.training.optimization import embedding_scale, make_optimizer, parameter_groups
from hf_nli.training.train import train

ROOT = Path(__file__).parents[2]
RECIPE = {"learning_rate": 1e-2, "per_device_train_batch_size": 16, "num_train_epochs": 6, "mixed_precision": "no"}
RECIPE["embedding_lr_multiplier"] = 1.0


@pytest.fixture(scope="module")
def run(model, pairs, tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("runs") / "run"
    results = train(model, pairs, output_dir, Recipe(**RECIPE), validation_dataset=pairs)
    log = [json.loads(line) for line in (output_dir / "train_log.jsonl").read_text().splitlines()]
    return output_dir, results, log


def test_it_learns(run):
    _, results, log = run
    epochs = [record for record in log if "eval_accuracy" in record]
    assert [record["epoch"] for record in epochs] == list(range(7))
    assert epochs[-1]["train_loss"] < 0.5 * epochs[1]["train_loss"]
    assert results["eval_accuracy"] > 0.9 > 0.6 > epochs[0]["eval_accuracy"]


def test_results_count_what_was_done(run, model, pairs):
    output_dir, results, _ = run
    assert json.loads((output_dir / "all_results.json").read_text()) == results
    assert results["num_train_examples"] == 144 and results["dropped_examples"] == 4
    assert results["steps"] == 6 * 9 and results["epochs"] == 6
    assert (results["device"], results["num_processes"], results["mixed_precision"]) == ("cpu", 1, "no")
    assert 0 < results["padding_fraction"] < 0.5
    tokens_per_example = results["tokens_per_second"] / results["examples_per_second"]
    tokenizer = AutoTokenizer.from_pretrained(model)
    with open(pairs) as file:
        rows = [json.loads(line) for line in file]
    lengths = [len(tokenizer(row["premise"], row["hypothesis"]).input_ids) for row in rows if row["label"] != "-"]
    assert math.isclose(tokens_per_example, sum(lengths) / len(lengths), rel_tol=1e-6)
    assert math.isclose(results["examples_per_second"] * results["seconds"], 6 * 144, rel_tol=1e-6)


def test_the_best_epoch_is_what_is_saved(run, pairs):
    output_dir, results, log = run
    epochs = [record for record in log if record.get("epoch", 0) > 0]
    best = max(epochs, key=lambda record: (record["eval_accuracy"], -record["eval_loss"]))
    assert results["best_epoch"] == best["epoch"] and results["eval_accuracy"] == best["eval_accuracy"]
    scores = evaluate(str(output_dir), pairs, output_dir.parent / "scores")
    assert scores.accuracy == best["eval_accuracy"]
    assert scores.loss == pytest.approx(best["eval_loss"], abs=1e-5)


def test_gradient_checkpointing_computes_again_what_it_computed(model, pairs, tmp_path, monkeypatch):
    """Every layer goes forwards twice for each step, and the weights are the same."""
    calls, forward = [], BertSelfAttention.forward

    def count(layer, *inputs, **options):
        calls.append(torch.is_grad_enabled())
        return forward(layer, *inputs, **options)

    monkeypatch.setattr(BertSelfAttention, "forward", count)
    weights, counts = [], []
    for checkpointing in (False, True):
        calls.clear()
        recipe = Recipe(**RECIPE | {"max_train_steps": 3, "dropout": 0.1, "gradient_checkpointing": checkpointing})
        train(model, pairs, tmp_path / str(checkpointing), recipe, validation_dataset=pairs)
        counts.append(sum(calls))
        weights.append((tmp_path / str(checkpointing) / "model.safetensors").read_bytes())
    assert counts == [3, 6]
    assert weights[0] == weights[1]


def test_a_worse_last_epoch_does_not_replace_the_best(model, pairs, tmp_path, monkeypatch):
    accuracies = iter([0.9, 0.2, 0.8, 0.5])  # before training, then three epochs
    monkeypatch.setattr(Run, "_evaluate", lambda _: {"eval_loss": 1.0, "eval_accuracy": next(accuracies)})
    saved = []
    monkeypatch.setattr(Run, "_save", lambda self: saved.append(self.progress.step))
    monkeypatch.setattr("hf_nli.training.train.write_card", lambda _: None)
    results = train(model, pairs, tmp_path / "run", Recipe(**RECIPE | {"num_train_epochs": 3}), pairs)
    assert saved == [9, 18] and results["best_epoch"] == 2


def test_the_folder_is_stock(run):
    output_dir, _, _ = run
    model = AutoModelForSequenceClassification.from_pretrained(output_dir)
    assert type(model).__name__ == "BertForSequenceClassification"
    assert model.config.id2label == {0: "entailment", 1: "neutral", 2: "contradiction"}
    assert AutoTokenizer.from_pretrained(output_dir)("a man", "runs").token_type_ids == [0, 0, 0, 0, 1, 1]
    evaluated = {"evaluations.json", "confusion_matrix-pairs.jsonl-train.png"}  # by the test above
    assert {file.name for file in output_dir.iterdir()} - evaluated == {
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


def test_schedule_warms_up_and_decays_once_a_step(model, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_nli.training.loop.LOGGING_STEPS", 1)
    recipe = Recipe(learning_rate=1e-3, max_train_steps=10, warmup_ratio=0.2, gradient_accumulation_steps=2,
                    per_device_train_batch_size=8)  # fmt: skip
    results = train(model, pairs, tmp_path / "run", recipe, pairs)
    rates = [record["learning_rate"] for record in logged(tmp_path / "run")]
    assert rates == pytest.approx(
        [1e-3 * share for share in (0, 1 / 2, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8)]
    )
    assert results["steps"] == 10


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


@pytest.mark.parametrize("accumulation", [1, 2])
def test_two_processes_take_the_steps_of_one(accumulation, pairs, tmp_path):
    """Without dropout: the same pairs in the same order; 143 pairs divide by neither batch, processes nor parts."""
    plain = write_tiny_model(tmp_path / "plain", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    flags = [
        "--model_name_or_path",
        plain,
        "--dataset",
        pairs,
        "--validation_dataset",
        pairs,
        "--learning_rate",
        "1e-2",
    ]
    flags += ["--max_train_samples", 143, "--max_train_steps", 12, "--mixed_precision", "no"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    logs, states = [], []
    for processes in (1, 2):
        folder = tmp_path / f"run{processes}"
        sizes = ["--per_device_train_batch_size", 28 // processes // accumulation]
        sizes += ["--gradient_accumulation_steps", accumulation, "--output_dir", folder]
        program = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        command = [sys.executable, *program, ROOT / "scripts/finetune_accelerate.py", *flags, *sizes]
        subprocess.run([str(part) for part in command], env=environment, check=True, timeout=300)
        logs.append([json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()])
        states.append(AutoModelForSequenceClassification.from_pretrained(folder).state_dict())
    assert len(logs[0]) == len(logs[1]) == 3  # 12 steps: two epochs of 6
    for one, two in zip(*logs, strict=True):
        assert two == pytest.approx(one, abs=1e-4)
    for name, tensor in states[0].items():
        if not name.endswith("key.bias"):  # as above
            torch.testing.assert_close(states[1][name], tensor, atol=1e-3, rtol=1e-2)


def test_sum_of_losses(model, pairs, tmp_path):
    """A summed loss is a mean one with larger gradients, which only plain clipping notices."""
    losses = []
    for reduction, norm in (("mean", 0.0), ("sum", 0.0), ("mean", 1e-3), ("sum", 1e-3)):
        recipe = Recipe(**RECIPE | {"num_train_epochs": 1}, loss_reduction=reduction, max_grad_norm=norm)
        losses.append(train(model, pairs, tmp_path / f"{reduction}{norm}", recipe, pairs)["train_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)  # Adam divides it out, but for its epsilon
    assert losses[2] == pytest.approx(losses[3], rel=1e-3)


def test_early_stopping(model, pairs, tmp_path, monkeypatch):
    accuracies = iter([0.1, 0.5, 0.6, 0.5, 0.6, 0.9])
    monkeypatch.setattr(Run, "_evaluate", lambda _: {"eval_loss": 1.0, "eval_accuracy": next(accuracies)})
    results = train(model, pairs, tmp_path / "run", Recipe(**RECIPE, early_stopping_patience=2), pairs)
    assert (results["best_epoch"], results["epochs"], results["steps"]) == (2, 4, 36)


@pytest.mark.parametrize("schedule, last", [("linear", 0.1), ("constant", 1.0), ("cosine", 0.0245)])
def test_schedules_and_the_embeddings_own_rate(schedule, last, model, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_nli.training.loop.LOGGING_STEPS", 1)
    settings = {
        "lr_scheduler_type": schedule,
        "embedding_lr_multiplier": 500.0,
        "warmup_ratio": 0.0,
        "max_train_steps": 10,
    }
    train(model, pairs, tmp_path / "run", Recipe(learning_rate=1e-3, **settings), pairs)
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
    assert results["steps"] > 2 * 9 and results["padding_fraction"] < 0.2
    assert math.isclose(results["examples_per_second"] * results["seconds"], 2 * 144, rel_tol=1e-6)


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
    lines = closing_table(output_dir, results["best_epoch"]).splitlines()
    assert lines[0].split() == ["epoch", "eval", "loss", "eval", "accuracy", "train", "loss", "train", "accuracy"]
    assert [line.split()[0] for line in lines[1:]] == [str(epoch) for epoch in range(7)]
    (best,) = (line for line in lines if "best" in line)
    figures = next(record for record in log if record.get("epoch") == results["best_epoch"])
    names = ("eval_loss", "eval_accuracy", "train_loss", "train_accuracy")
    assert best.split() == [str(results["best_epoch"]), "best", *(f"{figures[name]:.4f}" for name in names)]


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
    assert len(records) == 3 and scores.accuracy in [record["test_accuracy"] for record in records[1:]]
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


def test_checkpoints_of_another_run_are_refused(model, pairs, tmp_path):
    recipe = Recipe(**RECIPE | {"num_train_epochs": 1})
    keep = RunOptions(checkpointing_steps="epoch")
    train(model, pairs, tmp_path / "run", recipe, pairs, run_options=keep)
    with pytest.raises(InputError, match="checkpoint-9 of an earlier run; go on from it"):
        train(model, pairs, tmp_path / "run", recipe, pairs)
    latest = RunOptions(resume_from_checkpoint="latest")
    with pytest.raises(InputError, match=r"another run .learning_rate 0.01 there, 0.02 now"):
        train(model, pairs, tmp_path / "run", replace(recipe, learning_rate=0.02), pairs, run_options=latest)
    with pytest.raises(InputError, match=r"another run .train_data '\w+' there"):
        train(model, pairs, tmp_path / "run", recipe, pairs, max_train_samples=99, run_options=latest)
    again = train(model, pairs, tmp_path / "run", recipe, pairs, run_options=latest)  # which had ended
    assert again["steps"] == 9
    with pytest.raises(InputError, match="no checkpoint to resume from"):
        train(model, pairs, tmp_path / "new", recipe, pairs, run_options=latest)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"checkpointing_steps": "0"}, "--checkpointing_steps is 0"),
        ({"checkpointing_steps": "often"}, "--checkpointing_steps is often; it must be a number of steps, or 'epoch'"),
        ({"checkpoints_total_limit": 0}, "--checkpoints_total_limit is 0"),
    ],
)
def test_impossible_run_options(options, message):
    with pytest.raises(InputError, match=message):
        RunOptions(**options)


def test_a_missing_tracker_says_how_to_get_it(model, pairs, tmp_path):
    with pytest.raises(InputError, match="--report_to wandb: .*pip install wandb"):
        train(model, pairs, tmp_path / "run", Recipe(), pairs, run_options=RunOptions(report_to="wandb"))


def test_precision_is_chosen_and_logged(model, pairs, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "hf_nli")
    for fast, precision in ((True, "bf16"), (False, "no")):
        monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda fast=fast: fast)
        monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
        AcceleratorState._reset_state(reset_partial_state=True)
        results = train(model, pairs, tmp_path / precision, Recipe(max_train_steps=1), pairs)
        assert results["mixed_precision"] == precision
        assert f"mixed_precision auto: {precision} on cpu" in caplog.text


def test_a_compiled_model_takes_the_same_steps(model, pairs, tmp_path, monkeypatch):
    """As `accelerate launch --dynamo_backend` does it; what is saved doesn't know."""
    figures, folders = [], [tmp_path / "plain", tmp_path / "compiled"]
    for folder in folders:
        AcceleratorState._reset_state(reset_partial_state=True)
        train(model, pairs, folder, Recipe(**RECIPE | {"num_train_epochs": 2}), pairs)
        figures.append(list(read_epochs(folder)[-1].values()))
        monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "aot_eager")
    AcceleratorState._reset_state(reset_partial_state=True)
    assert figures[1] == pytest.approx(figures[0], abs=1e-4)
    plain, compiled = (AutoModelForSequenceClassification.from_pretrained(folder).state_dict() for folder in folders)
    assert plain.keys() == compiled.keys()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


def test_max_train_samples_and_bf16(model, pairs, tmp_path):
    recipe = Recipe(num_train_epochs=1, per_device_train_batch_size=16, mixed_precision="bf16")
    results = train(model, pairs, tmp_path / "run", recipe, pairs, max_train_samples=20)
    assert (results["num_train_examples"], results["steps"], results["mixed_precision"]) == (20, 2, "bf16")
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "run").dtype == torch.float32


def test_model_with_another_label_order_keeps_it(tmp_path, pairs):
    names = {0: "CONTRADICTION", 1: "ENTAILMENT", 2: "NEUTRAL"}
    model = write_tiny_model(
        tmp_path / "model", id2label=names, label2id={name: index for index, name in names.items()}
    )
    results = train(str(model), pairs, tmp_path / "run", Recipe(**RECIPE), pairs)
    assert results["eval_accuracy"] > 0.9
    trained = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    assert trained.config.id2label == names
    inputs = AutoTokenizer.from_pretrained(tmp_path / "run")("a man runs.", "is", return_tensors="pt")
    assert names[trained(**inputs).logits.argmax().item()] == "ENTAILMENT"


def test_model_without_nli_labels_gets_our_head(tmp_path, pairs):
    model = write_tiny_model(tmp_path / "model", id2label=None, label2id=None, num_labels=3)
    with pytest.raises(InputError, match="its labels are LABEL_0, LABEL_1, LABEL_2"):
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
