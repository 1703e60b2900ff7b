"""How to reproduce: every argument that was no default, and every step before."""

import dataclasses
import shlex

import pytest
from folder_reports import evaluation, write_conversion, write_training
from helpers import write_tiny_model

from hf_nli.card.commands import commands
from hf_nli.card.facts import read_facts
from hf_nli.cli.run import COMMANDS
from hf_nli.evaluation.record import add_evaluation
from hf_nli.model.reports import read_reports
from hf_nli.settings.recipe import Recipe

BEFORE = {"model": "bert", "dataset": "stanfordnlp/snli", "base_model_sha256": "0" * 64, "versions": {}}
BEFORE |= {"recipe": vars(Recipe()) | {"seed": 1}, "arguments": {}}


@pytest.fixture
def folder(tmp_path):
    return write_tiny_model(tmp_path / "final")


def lines(folder):
    found = commands(read_facts(folder, read_reports(folder)))
    for line in found:
        program, command, *words = shlex.split(line, comments=True) or ("hf-nli", "train")
        known = {field.name for each in COMMANDS[command].settings for field in dataclasses.fields(each)}
        assert program == "hf-nli" and {word[2:] for word in words if word.startswith("--")} <= known, line
    return found


def test_nothing_is_known(folder):
    add_evaluation(folder, evaluation(folder))
    assert lines(folder) == []


def test_a_conversion(folder):
    arguments = {"num_heads": 2, "vocab": "vocab.json", "text_style": "wikitext", "revision": "v1"}
    arguments |= {"framework": "mxnet", "d2l_label_order": ["neutral", "entailment", "contradiction"]}
    write_conversion(folder, source="/home/some body/my net", arguments=arguments)
    assert lines(folder) == [
        "hf-nli convert --source 'my net' --num_heads 2 --vocab vocab.json --text_style wikitext --revision v1 "
        "--framework mxnet --d2l_label_order neutral entailment contradiction --output_dir final"
    ]


def test_a_training_on_part_of_the_data(folder):
    """Of a base model of which nothing else is known."""
    arguments = {"validation_dataset": "dev.jsonl", "max_train_samples": 20, "text": "parse", "dataset_config": "rte"}
    arguments |= {"label_names": ["neutral", "entailment"], "premise_column": "the premise"}
    recipe = vars(Recipe()) | {"learning_rate": 0.01, "soften_attention": False, "max_train_steps": 7}
    write_training(folder, arguments=arguments, recipe=recipe, base_model_sha256="ab12")
    assert lines(folder) == [
        "# bert-tiny: a model folder of which no more is known (SHA-256 of its weights: ab12)",
        "hf-nli train --model_name_or_path bert-tiny --dataset pairs.jsonl --output_dir final "
        "--validation_dataset dev.jsonl --max_train_samples 20 --text parse --dataset_config rte "
        "--label_names neutral entailment --premise_column 'the premise' --learning_rate 0.01 "
        "--soften_attention False --max_train_steps 7",
    ]


def test_two_trainings_after_a_conversion(folder):
    write_conversion(folder, model_sha256="0" * 64)
    write_training(folder, model="bert-snli", base=BEFORE, base_model_sha256="1" * 64)
    assert lines(folder) == [
        "hf-nli convert --source d2l_small --num_heads 2 --output_dir bert",
        "hf-nli train --model_name_or_path bert --dataset stanfordnlp/snli --output_dir bert-snli --seed 1",
        "hf-nli train --model_name_or_path bert-snli --dataset pairs.jsonl --output_dir final",
    ]


def test_folders_of_one_name(folder):
    """runs/1/final became runs/2/final."""
    write_training(folder, model="final", base=BEFORE | {"model": "final"})
    assert lines(folder)[1:] == [
        "hf-nli train --model_name_or_path final --dataset stanfordnlp/snli --output_dir final-2 --seed 1",
        "hf-nli train --model_name_or_path final-2 --dataset pairs.jsonl --output_dir final-3",
    ]


def test_a_model_of_the_hub_and_evaluations(folder):
    write_training(folder, model="user/bert", arguments={"revision": "v1"})
    add_evaluation(folder, evaluation(folder))
    changes = {"dataset": "pairs.jsonl", "split": None, "max_seq_length": 32, "truncation": "proportional"}
    add_evaluation(folder, evaluation(folder, **changes, mixed_precision="bf16", text="parse", label_names=["a", "b"]))
    assert lines(folder) == [
        "hf-nli train --model_name_or_path user/bert --dataset pairs.jsonl --output_dir final --revision v1",
        "hf-nli evaluate --model_name_or_path final --dataset stanfordnlp/snli --split test --max_seq_length 128 "
        "--output_dir scores",
        "hf-nli evaluate --model_name_or_path final --dataset pairs.jsonl --label_names a b --max_seq_length 32 "
        "--text parse --truncation proportional --mixed_precision bf16 --output_dir scores",
    ]
