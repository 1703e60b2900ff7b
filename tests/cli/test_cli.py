"""The command as people run it: real processes, their output and exit codes."""

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from helpers import d2l_model, launcher, write_checkpoint, write_tiny_model
from transformers import BertConfig, BertForSequenceClassification

from hf_nli.cli.run import COMMANDS, main
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.runs.report import TrainingResults
from hf_nli.settings.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"vocab_size": 20, "num_hiddens": 16, "ffn_num_hiddens": 24, "num_heads": 2, "num_blks": 1, "max_len": 24}
# `accelerate launch --cpu` starts one process, unless MPI is installed.
RESULTS = dict.fromkeys((field.name for field in fields(TrainingResults)), 0.0)
RESULTS = TrainingResults(**RESULTS | {"best_epoch": 1, "examples_per_second": 8778.9, "device": "cpu"})
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


def run(*arguments, program=("-m", "hf_nli"), **options):
    command = [sys.executable, *map(str, program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300, **options)


@pytest.fixture(scope="module")
def checkpoint(d2l, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("d2l") / "checkpoint", d2l_model(d2l, **SIZES).state_dict())


def test_predict_prints_one_json_line(model):
    result = run("predict", "--model_name_or_path", model, "--premise", "A man runs.", "--hypothesis", "Élan — ça va?")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") == 1
    row = json.loads(result.stdout)
    assert list(row) == ["premise", "hypothesis", "label", "scores"]
    assert row["hypothesis"] == "Élan — ça va?" and row["label"] == max(row["scores"], key=row["scores"].get)


def test_convert_train_evaluate(checkpoint, pairs, tmp_path, capfd, caplog):
    def succeeds(*arguments):
        assert main([str(argument) for argument in arguments]) == 0
        return capfd.readouterr().out

    output = succeeds("convert", "--source", checkpoint, "--output-dir", tmp_path / "model", "--num-heads", 2)
    assert "largest difference from d2l's function" in output
    flags = ["--model_name_or_path", tmp_path / "model", "--dataset", pairs, "--output_dir", tmp_path / "run"]
    output = succeeds("train", *flags, "--max_train_steps", 2, "--per-device-train-batch-size", 8, "--seed", 3)
    assert "Trained on 137 pairs" in output and "7 of 144 training rows (5%) set aside by seed 3" in caplog.text
    assert json.loads((tmp_path / "run/all_results.json").read_text())["steps"] == 2
    flags = ["--model_name_or_path", tmp_path / "run", "--dataset", pairs, "--output_dir", tmp_path / "scores"]
    output = succeeds("evaluate", *flags)
    assert "on 144 pairs, 4 without a gold label dropped" in output
    assert {file.name for file in (tmp_path / "scores").iterdir()} == {
        "confusion_matrix.png",
        "eval_results.json",
        "predictions.jsonl",
        "reliability.png",
        "report.html",
        "report.md",
        "risk_coverage.png",
    }


def test_fine_tuning_a_model_of_another_task(pairs, tmp_path, capfd):
    stars = {0: "1 star", 1: "2 stars", 2: "3 stars", 3: "4 stars", 4: "5 stars"}
    model = str(write_tiny_model(tmp_path / "stars", id2label=stars, label2id=None))
    data = ["--dataset", pairs, "--output_dir", str(tmp_path / "run")]
    assert main(["predict", "--model_name_or_path", model, "--premise", "a", "--hypothesis", "b"]) == 2
    labels = ", ".join(stars.values())
    assert f"labels are {labels}; needs entailment, neutral, contradiction; or" in capfd.readouterr().err
    assert main(["train", "--model_name_or_path", model, *data, "--max_train_steps", "1", "--seed", "7"]) == 0
    error = capfd.readouterr().err
    told = f"{model} gets a new head for entailment, neutral, contradiction (seed 7): its labels are {labels}\n"
    assert error.count(told) == 1 and "MISMATCH" not in error
    scores = ["--dataset", pairs, "--output_dir", str(tmp_path / "scores")]
    assert main(["evaluate", "--model_name_or_path", str(tmp_path / "run"), *scores]) == 0


def test_conversion_script(checkpoint, tmp_path):
    flags = ["--source", checkpoint, "--num_heads", 2, "--output_dir", tmp_path / "model"]
    result = run(*flags, program=[ROOT / "scripts/convert_d2l_checkpoint.py"], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "model/conversion_report.json").exists()


def test_scripts_on_two_processes_count_each_example_once(model, pairs, tmp_path):
    """137 training and 144 validation rows divide by neither the batch nor the processes."""
    flags = ["--model_name_or_path", model, "--dataset", pairs, "--output_dir", tmp_path / "run"]
    flags += ["--num_train_epochs", 1, "--per_device_train_batch_size", 7, "--per_device_eval_batch_size", 4]
    launch = ["-m", "accelerate.commands.launch", "--config_file", ROOT / "scripts/configs/two_cpu_processes.yaml"]
    result = run(*flags, program=[*launch, ROOT / "scripts/finetune_accelerate.py"])
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Trained on 137 pairs") == 1
    results = json.loads((tmp_path / "run/all_results.json").read_text())
    assert (results["num_processes"], results["num_train_examples"], results["steps"]) == (2, 137, 10)
    flags = ["--model_name_or_path", model, "--dataset", pairs, "--output_dir", tmp_path / "two"]
    program = [*launcher(), ROOT / "scripts/evaluate_nli.py"]
    result = run(*flags, "--per_device_eval_batch_size", 5, program=program)
    assert result.returncode == 0, result.stderr
    assert len((tmp_path / "two/predictions.jsonl").read_text().splitlines()) == 144
    scores = json.loads((tmp_path / "two/eval_results.json").read_text())
    alone = evaluate(model, pairs, tmp_path / "one")
    assert scores["confusion_matrix"] == alone.confusion_matrix
    assert scores["loss"] == pytest.approx(alone.loss, abs=1e-6)
    (tmp_path / "one.jsonl").write_text('{"premise": "a man runs", "hypothesis": "is", "label": "neutral"}\n')
    flags = ["--model_name_or_path", model, "--dataset", tmp_path / "one.jsonl", "--output_dir", tmp_path / "few"]
    assert run(*flags, program=program).returncode == 0
    assert json.loads((tmp_path / "few/eval_results.json").read_text())["examples"] == 1


def test_sample_configurations():
    configurations = {
        path.stem: load_config_from_file(str(path)) for path in (ROOT / "scripts/configs").glob("*.yaml")
    }
    shapes = {name: (each.num_processes, each.num_machines) for name, each in configurations.items()}
    assert shapes == {
        "one_gpu": (1, 1),
        "eight_gpus": (8, 1),
        "two_nodes": (16, 2),
        "fsdp_bert_base": (8, 1),
        "two_cpu_processes": (2, 1),
    }
    fsdp = configurations["fsdp_bert_base"]
    assert fsdp.distributed_type == "FSDP"
    layer = fsdp.fsdp_config["fsdp_transformer_layer_cls_to_wrap"]
    assert any(type(module).__name__ == layer for module in BertForSequenceClassification(BertConfig()).modules())


BAD_INPUT = {
    "no heads": (["convert", "--source", "{checkpoint}", "--output_dir", "{out}"], "--num_heads"),
    "no source": (["convert", "--source", "nowhere", "--num_heads", "2", "--output_dir", "{out}"], "nowhere: no such"),
    "no model": (["predict", "--model_name_or_path", "{out}", "--premise", "a", "--hypothesis", "b"], "not a model"),
    "undecodable": (["predict", "--model_name_or_path", "{model}", "--premise", os.fsdecode(b"a \xff"), "--hypothesis",
                     "b"], "half of a surrogate pair"),
    "two-way training": (["train", "--model_name_or_path", "{model}", "--dataset", "{two_way}", "--output_dir",
                          "{out}"], "give --labels two_way"),
    "label names": (["evaluate", "--model_name_or_path", "{model}", "--dataset", "{pairs}", "--output_dir", "{out}",
                     "--label_names", "yes", "no"], "--label_names: 'yes'"),
    "no column": (["inspect", "--dataset", "{pairs}", "--output_dir", "{out}", "--premise_column", "context"],
                  "no column for the premise (context)"),
    "short": (["predict", "--model_name_or_path", "{model}", "--premise", "a", "--hypothesis", "b",
               "--max_seq_length", "4"], "--max_seq_length is 4"),
    "no data": (["evaluate", "--model_name_or_path", "{model}", "--dataset", "x.csv", "--output_dir", "{out}"],
                "x.csv"),
    "bad value": (["train", "--model_name_or_path", "{model}", "--dataset", "{pairs}", "--output_dir", "{out}",
                   "--learning_rate", "-1"], "--learning_rate is -1.0"),
    "file in the way": (["evaluate", "--model_name_or_path", "{model}", "--dataset", "{pairs}", "--output_dir",
                         "{pairs}"], "another --output_dir"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line_and_exit_code_2(case, checkpoint, model, pairs, tmp_path, capfd):
    flags, message = BAD_INPUT[case]
    two_way = tmp_path / "two_way.csv"
    two_way.write_text("premise,hypothesis,label\na,b,not_entailment\n")
    places = {"checkpoint": checkpoint, "model": model, "pairs": pairs, "out": tmp_path / "out", "two_way": two_way}
    assert main([flag.format(**places) for flag in flags]) == 2
    output = capfd.readouterr()
    errors = [line for line in output.err.splitlines() if "error:" in line]
    assert len(errors) == 1 and message in errors[0], output.err
    assert "Traceback" not in output.err and output.out == ""
    assert not (tmp_path / "out").exists()


def test_recipe_by_name_and_flags_that_change_it(monkeypatch, tmp_path, capsys):
    """The book's settings, read off d2l's section; what is given beside them wins, wherever it stands."""
    recipes = []
    monkeypatch.setattr("hf_nli.training.train.train", lambda recipe, **_: recipes.append(recipe) or RESULTS)
    epoch = {"epoch": 1, "step": 9, "train_loss": 0.519, "train_accuracy": 0.791, "eval_loss": 1, "eval_accuracy": 0.7}
    (tmp_path / "train_log.jsonl").write_text(json.dumps(epoch | {"test_accuracy": 0.784}))
    (tmp_path / "config.json").write_text("{}")
    flags = ["--model_name_or_path", str(tmp_path), "--dataset", "d", "--output_dir", str(tmp_path)]
    changes = ["--num_train_epochs", "2", "--recipe=d2l", "--dropout", "0.1"]
    for more in ([], ["--recipe", "d2l"], changes, ["--recipe", "d2l-base"]):
        assert main(["train", *flags, *more]) == 0
    ours, book, changed, base = recipes
    assert ours == Recipe()
    assert (book.learning_rate, book.num_train_epochs, book.per_device_train_batch_size) == (1e-4, 5, 512)
    assert (book.max_seq_length, book.dropout, book.lr_scheduler_type, book.loss_reduction) == (
        128,
        0.2,
        "constant",
        "sum",
    )
    assert (book.weight_decay, book.warmup_ratio, book.max_grad_norm, book.group_by_length) == (0, 0, 0, False)
    assert book.embedding_lr_multiplier == 1 and book.test_each_epoch
    assert changed == replace(book, num_train_epochs=2, dropout=0.1)
    # Devlin et al. (2019), appendix A.3
    assert base.per_device_train_batch_size == 32 and 2e-5 <= base.learning_rate <= 5e-5 and base.dropout == 0.1
    assert base.test_each_epoch
    assert (
        capsys.readouterr().out.count("loss 0.519, train acc 0.791, test acc 0.784\n8778.9 examples/sec on cpu") == 3
    )


def test_help_names_every_command_and_flag(capsys):
    with pytest.raises(SystemExit) as error:
        main(["--help"])
    assert error.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    for flag in (
        "model_name_or_path dataset output_dir validation_dataset learning_rate num_train_epochs max_train_steps "
        "per_device_train_batch_size per_device_eval_batch_size max_seq_length gradient_accumulation_steps "
        "mixed_precision seed max_train_samples truncation text premise_column hypothesis_column label_column "
        "label_names dataset_config dataset_revision checkpointing_steps checkpoints_total_limit "
        "resume_from_checkpoint report_to recipe early_stopping_patience tokens_per_batch"
    ).split():
        assert f"--{flag}" in text and f"--{flag.replace('_', '-')}" in text
