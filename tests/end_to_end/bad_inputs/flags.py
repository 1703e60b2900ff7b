"""Flags: unknown, missing, out of range; commands and help."""

from __future__ import annotations

from bad_inputs.rows import (
    CONVERT,
    EVALUATE,
    EXPORT,
    INSPECT,
    PREDICT,
    PUSH,
    REPRODUCE,
    TRAIN,
    TRAINER,
    TRUNCATION,
    Row,
    done,
    either,
    refused,
)

COMMANDS = {
    "convert": CONVERT, "train": TRAIN, "evaluate": EVALUATE, "inspect": INSPECT + "pairs.jsonl ", "predict": PREDICT,
    "export": EXPORT, "push": PUSH, "cache": "cache ", "reproduce": REPRODUCE,
        "quickstart": "quickstart --output_dir q ",
    "the Trainer": TRAINER, "compare_truncation": TRUNCATION,
    **{f"scripts/{name}.py": f"scripts/{name}.py " + command.partition(" ")[2] for name, command in (
        ("convert_d2l_checkpoint", CONVERT), ("evaluate_nli", EVALUATE), ("finetune_accelerate", TRAIN),
        ("push_to_hub", PUSH))},
}  # fmt: skip

# Flags whose value is that of a shell's variable that isn't set.
EMPTY = {
    "convert": ("source", "vocab", "text_sample", "revision"),
    "train": ("model_name_or_path", "dataset", "validation_dataset", "resume_from_checkpoint", "revision", "license",
        "dataset_config", "hub_model_id"),
    "evaluate": ("dataset", "split", "revision"), "predict": ("model_name_or_path", "revision"),
    "inspect": ("model_name_or_path",), "export": ("model_name_or_path",), "push": ("model_name_or_path", "repo_id"),
    "reproduce": ("source", "dataset", "resume_from_checkpoint"),
    "the Trainer": ("output_dir", "validation_dataset", "resume_from_checkpoint"),
    "compare_truncation": ("output_dir", "validation_dataset"),
}  # fmt: skip


def wrong(command: str, flags: str, *words: str, **settings: object) -> Row:
    """A flag's value that isn't one."""
    name = flags if len(flags) < 60 else flags[:60]
    return refused(
        f"flag: {command} {name}", COMMANDS[command] + flags, flags.split()[0].partition("=")[0], *words, **settings
    )


UNKNOWN = [
    *[refused(f"flag: {name}, unknown", command + "--outptu_dir x", "--outptu_dir", "nearest|mean",
              real=name in ("train", "cache", "the Trainer", "scripts/evaluate_nli.py")) for name,
                  command in COMMANDS.items()],
    *[refused(f"flag: {name}, a stray word", command + "stray", "stray") for name, command in COMMANDS.items()],
    refused("flag: --epochs", TRAIN + "--epochs 3", "--epochs", "--num_train_epochs", real=True),
    refused("flag: --lr", TRAIN + "--lr 3", "--lr"),
    refused("flag: --batch_size", EVALUATE + "--batch_size=3", "--batch_size", "--per_device_eval_batch_size"),
    *[refused(f"flag: {name}, an empty {flag}", f"{COMMANDS[name]}--{flag} ''", f"--{flag}", "empty")
      for name, flags in EMPTY.items() for flag in flags],
    done("flag: predict, an empty text", PREDICT + "--premise ''", '"label"'),
    refused("flag: an abbreviation", TRAIN + "--recip d2l", "--recip", "--recipe"),
    refused("flag: one dash", TRAIN + "-seed 3", "-seed"),
    refused("flag: a newline in it", TRAIN + "'--no\nsuch' 3", r"--no\\nsuch"),
    refused("flag: a newline in a stray word", PREDICT + "'stray\nword'", r"stray\\nword"),
    refused("flag: text that lacks quotes", "predict --model_name_or_path m --premise a man --hypothesis b", "man"),
    refused("flag: two dashes alone", PREDICT + "-- x", "x|--"),
    refused("flag: an empty word", PREDICT + "''", "word|flag|''"),
    *[refused(f"flag: {name}, nothing given", name, r"--\w+", "required|needs|give") for name in COMMANDS
      if name in ("convert", "train", "evaluate", "inspect", "predict", "export", "push", "reproduce", "quickstart")],
    refused("flag: a value lacks", TRAIN + "--learning_rate", "--learning_rate"),
    refused("flag: a value lacks before another flag", TRAIN + "--learning_rate --seed 3", "--learning_rate"),
    refused("flag: push needs where", TRAIN + "--push_to_hub", "--hub_model_id"),
]  # fmt: skip

NUMBERS = [
    *[wrong("train", f"--learning_rate {value}", *words) for value, *words in (
        ("abc", "abc"), ("nan", "nan"), ("inf", "inf"), ("1e999", "inf|1e999"), ("-1e-4",), ("''",), ("0x1",), ("1,5",)
            )],
    wrong("train", "--learning_rate=-1", "-1"),
    *[wrong("train", f"--{name} {value}", str(value)) for name in ("weight_decay", "embedding_lr_multiplier",
          "max_grad_norm")
      for value in ("inf", "nan", "-1")],
    *[wrong("train", f"--{name} {value}", real=(name, value) == ("per_device_train_batch_size", "0")) for name,
          values in {
        "per_device_train_batch_size": ("0", "-3", "1.5"),
            "per_device_eval_batch_size": ("0", "-3"),
        "num_train_epochs": ("0", "-1", "1.5", "1e3"), "max_train_steps": ("0", "-1"),
            "gradient_accumulation_steps": ("0",),
        "max_seq_length": ("0", "4", "-1", "x"), "tokens_per_batch": ("0",), "dropout": ("1", "-0.1", "nan", "2"),
        "warmup_ratio": ("1.1", "nan", "-1"), "early_stopping_patience": ("0",), "seed": ("-1", "4294967296",
            "18446744073709551616", "1.5"),
        "checkpointing_steps": ("0", "-1", "²", "often", "1.5", "''"), "checkpoints_total_limit": ("0", "-1"),
        "logging_steps": ("0", "-5"), "max_train_samples": ("0", "-1"), "mixed_precision": ("fp8",), "recipe": ("foo",)
            ,
        "truncation": ("foo",), "lr_scheduler_type": ("foo",), "loss_reduction": ("max",), "report_to": ("nobody",),
        "group_by_length": ("maybe",)}.items() for value in values],
    *[wrong("evaluate", f"--{name} {value}", real=(name, value) == ("per_device_eval_batch_size", "-3")) for name,
          values in {
        "per_device_eval_batch_size": ("0", "-3", "x", "nan"), "max_seq_length": ("0", "4", "-128"),
            "mixed_precision": ("int8",),
        "truncation": ("no",)}.items() for value in values],
    *[wrong("predict", f"--max_seq_length {value}") for value in ("0", "4", "-1", "1.5")],
    *[wrong("inspect", f"--max_seq_length {value}") for value in ("0", "-1", "x")],
    *[wrong("convert", f"--num_heads {value}") for value in ("0", "-2", "3", "x", "1000000")],
    wrong("convert", "--text_style foo", "ptb", "wikitext"),
    wrong("convert", "--framework jax", "pytorch", "mxnet"),
    wrong("convert", "--framework mxnet", "mxnet"),
    wrong("convert", "--d2l_label_order entailment entailment neutral", "entailment"),
    wrong("convert", "--d2l_label_order entailment neutral", "contradiction|3|three|permutation"),
    wrong("convert", "--d2l_label_order a b c"),
    refused("flag: convert --text_sample nope.jsonl", CONVERT + "--text_sample nope.jsonl", r"nope\.jsonl", "no such"),
    refused("flag: convert --vocab nope.json", CONVERT + "--vocab nope.json", r"nope\.json", "no such"),
    wrong("export", "--format tf", "onnx"),
    wrong("export", "--int8 maybe"),
    wrong("reproduce", "--checkpoint bert.huge", "bert.small"),
    wrong("reproduce", "--learning_rate inf", "inf"),
    wrong("reproduce", "--per_device_train_batch_size 0"),
    wrong("reproduce", "--recipe foo", "tuned"),
    wrong("cache", "--clear maybe", "maybe"),
    refused("flag: the recipe's name, in train's words", TRAIN + "--recipe foo", "^hf-nli train", "tuned", "d2l-base"),
    refused("flag: --resume_from_checkpoint nope", TRAIN + "--resume_from_checkpoint nope", "nope|checkpoint"),
    refused("flag: --resume_from_checkpoint of a file", TRAIN + "--resume_from_checkpoint pairs.jsonl",
        "pairs.jsonl|checkpoint"),
    either("flag: --revision of a folder here", PREDICT + "--revision x", "revision", right=("label",)),
    refused("flag: a learning rate that ends in NaN", TRAIN + "--learning_rate 1e30 --max_train_steps 3",
        "nan|inf|finite",
            "step|epoch", "--learning_rate", late=True, real=True),
    refused("flag: a multiplier that ends in NaN", TRAIN + "--embedding_lr_multiplier 1e300", "nan|inf|finite",
            "step|epoch", late=True),
    refused("flag: NaN in the second epoch", TRAIN + "--learning_rate 1e36 --num_train_epochs 3 --warmup_ratio 0",
        "nan|inf|finite",
            late=True),
    refused("flag: the Trainer's batch of 0", TRAINER + "--per_device_train_batch_size 0", "batch_size"),
    refused("flag: the Trainer's batch of -3", TRAINER + "--per_device_eval_batch_size -3", "batch_size"),
    refused("flag: the Trainer's rate", TRAINER + "--learning_rate fast", "--learning_rate", "fast"),
    refused("flag: the Trainer's infinite rate", TRAINER + "--learning_rate inf", "learning_rate", "inf"),
    refused("flag: the Trainer's lengths", TRAINER + "--max_seq_length 3", "max_seq_length"),
    refused("flag: the Trainer's label names", TRAINER + "--dataset_label_names neutral neutral neutral",
        "label_names"),
    refused("flag: push, a name that can't be", PUSH + "--repo_id 'a b/c'", "a b/c"),
    refused("flag: push, no owner", PUSH + "--repo_id name", "name", "USER/|owner"),
    refused("flag: push, three parts", PUSH + "--repo_id a/b/c", "a/b/c"),
    refused("flag: push, an empty name", PUSH + "--repo_id ''", "repo_id|name"),
    refused("flag: push, no token", PUSH, "token|HF_TOKEN|HF_HUB_OFFLINE"),
    done("flag: a seed that just fits", TRAIN + "--seed 4294967295", "Trained on"),
    done("flag: a giant evaluation batch", EVALUATE + "--per_device_eval_batch_size 1000000000", "on 36 pairs"),
    done("flag: an evaluation batch of one", EVALUATE + "--per_device_eval_batch_size 1", "on 36 pairs"),
    done("flag: given twice, the last counts",
        EVALUATE + "--per_device_eval_batch_size 7 --per_device_eval_batch_size 2", "on 36 pairs"),
]  # fmt: skip

EMPTY = [
    wrong(command, f"--{name} ''", "empty") for command, names in {
        "convert": "vocab text_sample revision",
        "train": "validation_dataset revision license hub_model_id resume_from_checkpoint dataset_config "
            "dataset_revision premise_column",
        "evaluate": "split revision label_column", "inspect": "model_name_or_path output_dir", "predict": "revision",
        "export": "revision", "push": "revision commit_message license", "reproduce": "source",
        "the Trainer": "validation_dataset"}.items() for name in names.split()
] + [wrong("inspect", "--model_name_or_path '  '", "empty")]  # fmt: skip

COMMAND_NAMES = [
    done("help: --version", "--version", r"^hf-nli \d+\.\d+", real=True),
    done("help: --help", "--help", "convert", "quickstart"),
    done("help: help", "help", "convert", "quickstart", real=True),
    *[done(f"help: help {name}", f"help {name}", f"hf-nli {name}", "--") for name in
      ("convert", "train", "predict", "cache", "quickstart")],
    *[done(f"help: {name} --help", f"{name} --help", f"hf-nli {name}", "--") for name in ("train", "push", "cache")],
    done("help: among other flags", "train --seed 3 --help", "--learning_rate"),
    refused("help: of no command", "help nope", "nope", "nearest|command"),
    refused("help: of two", "help train nope", "nope|train"),
    refused("help: no command", "", "command", "--help"),
    refused("help: a mistyped command", "trian", "trian", "train"),
    refused("help: a command in capitals", "Train", "Train", "train"),
    refused("help: an empty command", "''", "command"),
    refused("help: a mistyped flag", "--verison", "--verison", "--version"),
    refused("help: a flag before the command", "--seed 3 train", "--seed"),
    refused("help: a newline in the command", "'tra\nin'", r"tra\\nin", "train"),
]  # fmt: skip

ROWS = [*UNKNOWN, *NUMBERS, *EMPTY, *COMMAND_NAMES]
