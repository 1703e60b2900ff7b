"""The programs in scripts/."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from bad_inputs.rows import TRAINER, TRUNCATION, Row, done, refused

SETTINGS = {
    "model_name_or_path": "m",
    "dataset": "pairs.jsonl",
    "validation_dataset": "pairs.jsonl",
    "output_dir": "new",
}
SETTINGS |= {"max_steps": 1}


def settings(title: str, name: str, content: object, *words: str, **others: object) -> Row:
    """A file of settings that the Trainer's program refuses."""
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    files = {} if content is None else {name: text}
    return refused(f"script: {title}", f"scripts/finetune_trainer.py {name}", *words, files=files, **others)


def damaged_results(folder: Path) -> None:
    (folder / "scores/longest_first-16-1").mkdir()
    (folder / "scores/longest_first-16-1/all_results.json").write_text("{")


def nan_weights(folder: Path) -> None:
    weights = load_file(folder / "m/model.safetensors")
    weights["classifier.bias"].fill_(float("nan"))
    save_file(weights, folder / "m/model.safetensors", metadata={"format": "pt"})


ROWS = [
    settings("no file of settings", "a.yaml", None, r"a\.yaml", "no such", real=True),
    settings("no json of settings", "a.json", None, r"a\.json", "no such"),
    settings("damaged yaml", "a.yaml", "a: [\n", r"a\.yaml"),
    settings("yaml with a tab", "a.yaml", "a:\n\t- b\n", r"a\.yaml", "line"),
    settings("empty yaml", "a.yaml", "", r"a\.yaml", "empty|names and values"),
    settings("a list in yaml", "a.yaml", "- a\n- b\n", r"a\.yaml", "names and values|list"),
    settings("a word in yaml", "a.yml", "hello\n", r"a\.yml", "names and values|word|text"),
    settings("code in yaml", "a.yaml", "!!python/object/apply:os.system ['touch ran']\n", r"a\.yaml"),
    settings("a yaml bomb", "a.yaml", "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)), "a|yaml",
            limit=30),
    settings("yaml of other bytes", "a.yaml", b"\xff\xfe\x00\x01", r"a\.yaml"),
    settings("damaged json", "a.json", "{", r"a\.json"),
    settings("a list in json", "a.json", [], r"a\.json"),
    settings("json without a setting that is needed", "a.json", {"dataset": "pairs.jsonl"},
        "model_name_or_path|output_dir"),
    settings("json with a rate that is a word", "a.json", SETTINGS | {"learning_rate": "fast"}, "learning_rate",
        "fast"),
    settings("json with an unknown setting", "a.json", SETTINGS | {"epochs": 3}, "epochs"),
    settings("json with a newline in a setting", "a.json", SETTINGS | {"no\nsuch": 3}, r"no\\nsuch"),
    settings("json with a batch of 0", "a.json", SETTINGS | {"per_device_train_batch_size": 0}, "batch_size"),
    settings("json with a dict as rate", "a.json", SETTINGS | {"learning_rate": {"a": 1}}, "learning_rate"),
    settings("json of null", "a.json", "null", r"a\.json"),
    done("script: settings that are right", "scripts/finetune_trainer.py a.yaml", "train_loss",
         files={"a.yaml": "".join(f"{name}: {value}\n" for name,
             value in SETTINGS.items()) + "learning_rate: 1e-4\n"}),
    refused("script: the Trainer's folder is a file", TRAINER + "--output_dir pairs.jsonl", r"pairs\.jsonl"),
    refused("script: the Trainer's folder holds a model", TRAINER + "--output_dir out", r"\bout\b",
        "--overwrite_output_dir|choose another"),
    refused("script: the Trainer's data", TRAINER + "--dataset nope.csv", r"nope\.csv", "no such"),
    refused("script: a second file", "scripts/finetune_trainer.py a.yaml b.yaml", r"a\.yaml"),
    *[refused(f"script: {title} to resume", f"{TRAINER}--resume_from_checkpoint {path}", path, "no checkpoint",
              make=make)
      for title, path, make in (("nothing", "nope", None), ("a file", "pairs.jsonl", None),
          ("an empty folder", "new/checkpoint-1", lambda f: (f / "new/checkpoint-1").mkdir(parents=True)))],
    settings("an alias in yaml", "a.yaml", "seed: &a 3\nmax_steps: *a\n", r"a\.yaml", "alias"),
    refused("script: the Trainer, NaN weights", TRAINER, r"\bm\b", "NaN", make=nan_weights),
    refused("script: compare_truncation, NaN weights", TRUNCATION + "--max_seq_lengths 16", r"\bm\b", "NaN",
        make=nan_weights),
    refused("script: compare_truncation, no model", TRUNCATION + "--max_seq_lengths 16 --model_name_or_path ./nope",
        "nope", "no such"),
    refused("script: a bad seed", TRUNCATION + "--max_seq_lengths 16 --seeds -1", "seed", "-1", real=True),
    refused("script: a giant seed", TRUNCATION + "--max_seq_lengths 16 --seeds 1 4294967296", "seed", "4294967296"),
    refused("script: a bad length after a good one", TRUNCATION + "--max_seq_lengths 16 -5", "max_seq_length", "-5"),
    refused("script: a length too small", TRUNCATION + "--max_seq_lengths 3", "max_seq_length", "3"),
    refused("script: a length that is a word", TRUNCATION + "--max_seq_lengths long", "max_seq_lengths", "long"),
    refused("script: no lengths", TRUNCATION + "--max_seq_lengths", "max_seq_lengths"),
    refused("script: no epochs", TRUNCATION + "--max_seq_lengths 16 --num_train_epochs 0", "num_train_epochs"),
    refused("script: no samples", TRUNCATION + "--max_seq_lengths 16 --max_train_samples 0", "max_train_samples"),
    refused("script: damaged results", TRUNCATION + "--max_seq_lengths 16", r"all_results\.json",
        make=damaged_results, late=True),
    refused("script: results in a file's place", TRUNCATION + "--max_seq_lengths 16 --output_dir pairs.jsonl",
        r"pairs\.jsonl"),
    refused("script: convert, nothing there",
        "scripts/convert_d2l_checkpoint.py --source nope --output_dir new --num_heads 2", "nope"),
    refused("script: evaluate, batch of 0", "scripts/evaluate_nli.py --model_name_or_path m --dataset pairs.jsonl "
            "--output_dir scores --per_device_eval_batch_size 0", "batch_size"),
    refused("script: push, nothing there", "scripts/push_to_hub.py --model_name_or_path nope --repo_id user/name",
        "nope"),
]  # fmt: skip
