"""What is told at once: help, mistyped flags, and input that isn't there, without the libraries that take seconds."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hf_nli
from hf_nli.cli.run import COMMANDS

SLOW = ("torch", "transformers", "accelerate", "evaluate", "sklearn", "matplotlib")
# What help and mistyped flags need none of, either.
NEVER_FOR_FLAGS = (*SLOW, "datasets", "pyarrow", "pandas", "numpy", "huggingface_hub")

TELL = """
import sys
from hf_nli.cli import main
try:
    code = main(sys.argv[2:])
except SystemExit as end:
    code = end.code
print("code", code, "loaded", *sorted(set(sys.argv[1].split(",")) & set(sys.modules)))
"""


def ends(argv: list[str], unwanted: tuple[str, ...]) -> tuple[str, str, str]:
    """Runs a command in a new process; gives its exit code, what of some modules it loaded, and its errors."""
    result = subprocess.run(
        [sys.executable, "-c", TELL, ",".join(unwanted), *argv],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(hf_nli.__file__).parents[1]), "HF_HUB_OFFLINE": "1"},
    )
    _, code, _, *loaded = result.stdout.splitlines()[-1].split()
    return code, " ".join(loaded), result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_mistyped_flags(command):
    assert ends([command, "--help"], NEVER_FOR_FLAGS) == ("0", "", "")
    code, loaded, error = ends([command, "--halp"], NEVER_FOR_FLAGS)
    assert (code, loaded) == ("2", "") and error.count("\n") == 1 and "unknown flag --halp" in error


def test_help_on_all_commands():
    assert ends(["--help"], NEVER_FOR_FLAGS) == ("0", "", "")


@pytest.fixture(scope="module")
def places(tmp_path_factory, model, pairs) -> dict[str, str]:
    """What there is, and what is wrong in one way each."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "nothing.jsonl").touch()
    (folder / "binary.jsonl").write_bytes(b'{"premise": "a\0"}\n')
    (folder / "damaged.csv.gz").write_bytes(gzip.compress(b"premise,hypothesis,label\n" * 100)[:30])
    (folder / "columns.csv").write_text("a,b\n1,2\n")
    (folder / "no_model").mkdir()
    (folder / "damaged_model").mkdir()
    (folder / "damaged_model/config.json").write_text("{")
    (folder / "no_checkpoint").mkdir()
    return {path.name.partition(".")[0]: str(path) for path in folder.iterdir()} | {
        "model": model,
        "pairs": pairs,
        "missing": str(folder / "missing"),
        "missing_file": str(folder / "missing.csv"),
        "out": str(folder / "out"),
    }


TRAIN = "train --model_name_or_path {model} --output_dir {out} --dataset "
CALIBRATE = "calibrate --model_name_or_path {model} --output_dir {out} --split train --dataset "
EVALUATE = "evaluate --model_name_or_path {model} --output_dir {out} --split train --dataset "
PREDICT = "predict --model_name_or_path {model} --output_file {out}.jsonl --input_file "
REFUSED = {
    TRAIN + "{missing_file}": "no such file or folder",
    TRAIN + "{columns}": "no column for the premise",
    TRAIN + "{pairs} --validation_dataset {missing}": "no such file or folder",
    "train --model_name_or_path {no_model} --dataset {pairs} --output_dir {out}": "no config.json",
    "train --model_name_or_path missing/model --dataset {pairs} --output_dir {out}": "no such folder",
    EVALUATE + "{nothing}": "the file is empty",
    EVALUATE + "{damaged}": "damaged",
    "evaluate --model_name_or_path {damaged_model} --dataset {pairs} --output_dir {out}": "it isn't JSON",
    CALIBRATE + "{columns}": "no column for the premise",
    "calibrate --model_name_or_path {missing} --output_dir {out} --dataset {pairs}": "no such folder",
    "compare {model} {missing}": "no eval_results.json",
    "compare {missing} {model}": "no such folder",
    "compare {model} {no_model} --dataset {pairs}": "no config.json",
    "compare {model} {model} --dataset {missing_file}": "no such file or folder",
    "inspect --dataset {binary}": "NUL",
    "inspect --dataset {pairs} --model_name_or_path {missing}": "no such folder",
    PREDICT + "{missing_file}": "no such file or folder",
    PREDICT + "{binary}": "NUL",
    PREDICT + "{columns}": "no column for the premise",
    PREDICT + "{pairs} --split test": "no split named test",
    "predict --model_name_or_path {missing} --premise a --hypothesis b": "no such folder",
    "export --model_name_or_path {no_model} --output_dir {out}": "no config.json",
    "push --model_name_or_path {missing} --repo_id a/b": "no such folder",
    "convert --source {missing} --output_dir {out}": "no such file or folder",
    "convert --source {no_checkpoint} --output_dir {out}": "pretrained.params: no such file",
    "reproduce --dataset {missing_file} --output_dir {out}": "no such file or folder",
}


@pytest.mark.parametrize("line", REFUSED)
def test_input_that_is_missing_or_unreadable(line, places):
    code, loaded, error = ends([word.format(**places) for word in line.split()], SLOW)
    assert (code, loaded) == ("2", "") and error.count("\n") == 1 and REFUSED[line] in error
    assert not Path(places["out"]).exists()


def test_input_that_is_there_is_no_reason_to_refuse(places):
    """The same checks let a command that can work go on."""
    code, loaded, error = ends([*"inspect --dataset".split(), places["pairs"]], SLOW)
    assert code == "0" and "transformers" in loaded, error
