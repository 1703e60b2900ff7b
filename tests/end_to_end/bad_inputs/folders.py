"""Folders that can't be written to, are something else, are full, or hold what shall stay."""

from __future__ import annotations

import shutil
from pathlib import Path

from bad_inputs.rows import (
    CONVERT,
    EVALUATE,
    EXPORT,
    INSPECT,
    REPRODUCE,
    TRAIN,
    TRAINER,
    TRUNCATION,
    Row,
    done,
    either,
    refused,
    remove,
)

QUICKSTART = "quickstart --output_dir out "
# Commands that write a folder, by their names; the last --output_dir counts.
WRITERS = {
    "convert": CONVERT, "train": TRAIN, "evaluate": EVALUATE, "inspect": INSPECT + "pairs.jsonl ", "export": EXPORT,
    "reproduce": REPRODUCE, "the Trainer": TRAINER,
    "compare_truncation": TRUNCATION + "--max_seq_lengths 16 ",
}  # fmt: skip
PLACES = WRITERS | {"quickstart": QUICKSTART}


def to(path: str, title: str, *words: str, commands: dict[str, str] = PLACES, **settings: object) -> list[Row]:
    """What can't be an output folder, for all commands."""
    return [
        refused(f"folder: {title}, {name}", f"{command} --output_dir {path}", *words, **settings)
        for name, command in commands.items()
    ]


def writes(title: str, make, commands: dict[str, str], *words: str, **settings: object) -> list[Row]:
    """An output folder that can be written to, or is refused before anything is changed."""
    return [
        either(f"folder: {title}, {name}", command, *words, make=make, late=True, **settings)
        for name, command in commands.items()
    ]


def usual_modes(folder: Path) -> None:
    """Checks that others may read what was written, as far as the umask lets them."""
    probe = folder / "probe"
    probe.touch()
    modes = {path.name: path.stat().st_mode for path in (folder / "new").rglob("*") if path.is_file()}
    assert modes and set(modes.values()) == {probe.stat().st_mode}, modes


def moved(folder: Path) -> None:
    """Makes `out` a link to an empty folder."""
    shutil.rmtree(folder / "out")
    (folder / "real").mkdir()
    (folder / "out").symlink_to("real")


def dangling(folder: Path) -> None:
    shutil.rmtree(folder / "out")
    (folder / "out").symlink_to("nowhere")


def folder_named(*names: str):
    """Puts a folder in a file's place."""

    def make(folder: Path) -> None:
        for name in names:
            path = folder / name
            path.unlink(missing_ok=True)
            path.mkdir(parents=True)
            (path / "mine.txt").write_text("mine")

    return make


NEW = {"convert": CONVERT, "train": TRAIN, "evaluate": EVALUATE, "inspect": INSPECT + "pairs.jsonl "}
NO_OVERWRITE = {
    name: command.replace("--overwrite_output_dir", "")
    for name, command in WRITERS.items()
    if "--overwrite" in command
}
# Folders where a command writes a file.
IN_A_FILES_PLACE = {
    **{f"out/{name}": {"convert": CONVERT, "train": TRAIN, "export": EXPORT, "the Trainer": TRAINER +
        "--output_dir out --overwrite_output_dir "} for name in ("config.json", "model.safetensors", "README.md")},
    "out/model.onnx": {"export": EXPORT},
    "out/model/config.json": {"reproduce": REPRODUCE, "quickstart": QUICKSTART},
    "out/scores/eval_results.json": {"reproduce": REPRODUCE, "quickstart": QUICKSTART},
    "scores/eval_results.json": {"evaluate": EVALUATE},
    "scores/predictions.jsonl": {"evaluate": EVALUATE},
    "scores/inspect_results.json": {"inspect": NEW["inspect"]},
    "scores/length_histogram.png": {"inspect": NEW["inspect"]},
    "scores/truncation.json": {"compare_truncation": TRUNCATION + "--max_seq_lengths 16 "},
}  # fmt: skip

ROWS = [
    *to("''", "no name", "--output_dir", limit=20),
    *to("pairs.jsonl", "a file", r"pairs\.jsonl"),
    *to("pairs.jsonl/out", "below a file", r"pairs\.jsonl", commands=NEW),
    *to("/dev/null", "a device", "/dev/null", commands=NEW),
    *to("/proc/nowhere", "where nothing can be made", "/proc"),
    *to("x" * 300, "a long name", "long"),
    *to("'no\nsuch\nfile'", "a newline", r"no\\nsuch", commands=NEW, make=lambda f: (f / "no\nsuch\nfile").touch()),
    *[refused(f"folder: a model is there, {name}", command, r"\bout\b", "--overwrite_output_dir|choose another",
          real=name == "convert")
      for name, command in NO_OVERWRITE.items() if name != "reproduce"],
    *[done(f"folder: the usual modes, {name}", f"{command} --output_dir new", "", check=usual_modes)
      for name, command in (NEW | {"export": EXPORT}).items() if name != "export"],
    *[done(f"folder: a mount, {name}", f"{command} --output_dir mounted", "", mount=("mounted", "size=64m"))
      for name, command in NEW.items()],
    done("folder: a model folder that is a mount", EVALUATE.replace("path m", "path mounted"), "on 36 pairs",
         mount=("mounted", "size=64m"), make=lambda f: shutil.copytree(f / "m", f / "mounted", dirs_exist_ok=True),
         check=lambda f: (f / "mounted/evaluations.json").read_text()),
    *[done(f"folder: a mount in a folder that can't be written to, {name}", f"{command} --output_dir sys/mounted", "",
           mount=("sys/mounted", "size=64m"), sealed="sys") for name, command in NEW.items()],
    *[refused(f"folder: full, {name}", f"{command} --output_dir full/new", "space|full", mount=("full", "size=8k"),
          late=True)
      for name, command in (NEW | {"quickstart": QUICKSTART}).items()],
    *[refused(f"folder: full and a mount itself, {name}", f"{command} --output_dir full", "space|full", mount=("full",
          "size=8k"),
              late=True) for name, command in NEW.items()],
    *[refused(f"folder: files of no size, {name}", f"{command} --output_dir new", r"new|large|size|written|space",
          file_size=4096, late=True)
      for name, command in NEW.items() if name != "inspect"],
    *writes("a link", moved, {"convert": CONVERT, "train": TRAIN}, "out"),
    *writes("a link to nothing", dangling, {"convert": CONVERT, "train": TRAIN, "export": EXPORT}, "out"),
    *[refused(f"folder: a folder named {path}, {name}", command, "out|scores", Path(path).name,
              "folder there", make=folder_named(path))
      for path, commands in IN_A_FILES_PLACE.items() for name, command in commands.items()],
    *[refused(f"folder: a file named {path}, {name}", command, path, "is a file",
              make=lambda f, path=path: (f / path).parent.mkdir(exist_ok=True) or (f / path).touch())
      for name, command, path in (("reproduce", REPRODUCE, "out/converted"), ("reproduce", REPRODUCE, "out/model"),
          ("reproduce", REPRODUCE, "out/scores"), ("quickstart", QUICKSTART, "out/model"),
          ("quickstart", QUICKSTART, "out/scores"), ("quickstart", QUICKSTART, "out/sample"))],
    *writes("a folder named evaluations.json in the model", folder_named("m/evaluations.json"),
        {"evaluate": EVALUATE}, "evaluations.json"),
    refused("folder: the current one", CONVERT + "--output_dir .", "current|choose another"),
    *[refused(f"folder: the current one, {name}", command + "--output_dir .", "current|choose another")
      for name, command in (("train", TRAIN), ("export", EXPORT), ("the Trainer", TRAINER),
          ("the Trainer that replaces", TRAINER + "--overwrite_output_dir "))],
    either("folder: the data's own", TRAIN + "--output_dir folder", "folder", late=True,
           check=lambda f: (f / "folder/train.jsonl").read_text()),
    either("folder: the checkpoint's own", CONVERT + "--output_dir ck", "ck", late=True,
           check=lambda f: (f / "ck/pretrained.params").read_bytes()),
    either("folder: the model's own", TRAIN + "--output_dir m", r"\bm\b", late=True,
           check=lambda f: (f / "m/model.safetensors").read_bytes()),
    refused("folder: the current one is gone", CONVERT.replace("ck", "{here}/ck") + "--output_dir x",
        "current folder|directory|no such",
            gone=True),
    refused("folder: the current one is gone, predict", "predict --model_name_or_path m --premise a --hypothesis b",
            "current folder|directory|no such|m", gone=True),
    *[refused(f"folder: bytes that aren't text, {name}", command + "--output_dir new\udcff", r"new\\udcff", "UTF-8",
          "choose another")
      for name, command in PLACES.items() if name not in ("evaluate", "inspect", "compare_truncation")],
    *[done(f"folder: bytes that aren't text, {name}", NEW[name] + "--output_dir new\udcff", "pairs")
      for name in ("evaluate", "inspect")],
    done("folder: any name", CONVERT + "--output_dir '-new % \U0001f600'".replace("'-", "'./-"), "carried over"),
    done("folder: nothing there before", EVALUATE + "--output_dir a/b/c", "on 36 pairs"),
    refused("folder: what fails late leaves it as it was", TRAIN + "--learning_rate 1e30 --num_train_epochs 3",
        "nan|inf|finite", late=True),
    refused("folder: evaluate, what fails leaves it as it was", EVALUATE + "--max_seq_length 2", "max_seq_length"),
    refused("folder: a log of no run", NO_OVERWRITE["train"] + "--output_dir new --dataset nope.csv", "nope.csv",
            make=lambda f: (f / "new").mkdir() or (f / "new/train_log.jsonl").write_text("mine")),
    refused("folder: an unfinished run of it", TRAIN + "--dataset nope.csv", "nope.csv",
            make=lambda f: (f / ".out.training/out/checkpoint-3").mkdir(parents=True)),
    refused("folder: checkpoints of an earlier run, reproduce", NO_OVERWRITE["reproduce"], "checkpoint-3",
            "--resume_from_checkpoint", make=lambda f: (f / "out/model/checkpoint-3").mkdir(parents=True)),
    refused("folder: another model's, evaluate", EVALUATE + "--output_dir out", r"\bout\b", "another model"),
    refused("folder: no weights, push", "push --model_name_or_path m --repo_id user/name", "token|weights|HF_",
        make=remove("m/model.safetensors")),
    refused("folder: checkpoints of an earlier run", TRAIN.replace("--overwrite_output_dir", "") + "--output_dir new",
        "checkpoint",
            make=lambda f: (f / "new/checkpoint-1").mkdir(parents=True)
                or (f / "new/checkpoint-1/checkpoint.json").write_text("{}")),
    *[refused(f"folder: a checkpoint of {title}", TRAIN.replace("--overwrite_output_dir",
          "") + "--output_dir new --resume_from_checkpoint new/checkpoint-1",
              "checkpoint-1", make=lambda f, text=text: (f / "new/checkpoint-1").mkdir(parents=True)
                  or (f / "new/checkpoint-1/checkpoint.json").write_text(text))
      for title, text in (("half an object", "{"), ("a list", "[]"), ("no identity", '{"files": {}}'), ("a number",
          "3"), ("other shapes", '{"files": [], "identity": 3}'))],
    refused("folder: nothing to go on from", TRAIN.replace("--overwrite_output_dir",
        "") + "--output_dir new --resume_from_checkpoint latest", "checkpoint"),
]  # fmt: skip
