"""What a row of the table is, and the folder that each is run in."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from folder_reports import write_conversion, write_training
from helpers import SPECIAL_TOKENS, WORDS, write_checkpoint, write_pairs, write_tiny_model

from hf_nli.d2l.checkpoint import Sizes, key_shapes

# The commands, on the files of `write_template`: those that write find results of an earlier time.
CONVERT = "convert --source ck --num_heads 2 --output_dir out --overwrite_output_dir "
TRAIN = (
    "train --model_name_or_path m --dataset pairs.jsonl --validation_dataset pairs.jsonl --output_dir out "
    "--overwrite_output_dir --num_train_epochs 1 --per_device_train_batch_size 16 --max_seq_length 32 "
)
EVALUATE = "evaluate --model_name_or_path m --dataset pairs.jsonl --output_dir scores "
PREDICT = "predict --model_name_or_path m --premise 'a man runs.' --hypothesis 'a man eats.' "
INSPECT = "inspect --output_dir scores --dataset "
EXPORT = "export --model_name_or_path m --output_dir out --overwrite_output_dir "
PUSH = "push --model_name_or_path m --repo_id user/name "
REPRODUCE = "reproduce --source ck --dataset folder --output_dir out --overwrite_output_dir --num_train_epochs 1 "
TRAINER = (
    "scripts/finetune_trainer.py --model_name_or_path m --dataset pairs.jsonl --validation_dataset pairs.jsonl "
    "--output_dir new --max_steps 1 "
)
TRUNCATION = (
    "scripts/compare_truncation.py --model_name_or_path m --dataset pairs.jsonl --validation_dataset pairs.jsonl "
    "--output_dir scores --num_train_epochs 1 "
)

Content = str | bytes | Callable[[], bytes]  # of a file; what is large is made when it is needed


@dataclass(frozen=True)
class Row:
    """A case.

    Attributes:
        name: What it is, which becomes the test's name.
        command: The words after `hf-nli`, or a script and its flags.
        words: Regular expressions that the error line has, or if it shall succeed, what is printed.
        code: The exit code, or those that are right.
        right: What is printed if it succeeds where it may be refused, too.
        files: Files to make, by name.
        make: What else to make, or to damage, in the folder.
        check: What to assert of the folder after a success.
        environment: Variables to set.
        stdin: What there is on standard input.
        real: Whether it is run by the real command, too.
        forked: Whether it is run in a fork; not if it depends on what libraries do when they are imported.
        late: Whether it is refused after the work has begun, of which there are lines, too.
        limit: The seconds after which it is killed.
        output: What standard output is: "file", a "full" device, "closed", or a "pipe" that nobody reads.
        signal: A signal, and the seconds after which it is sent.
        file_size: The bytes that a file can have.
        mount: A folder that is a file system of its own, and its options.
        sealed: A folder that can't be written to, which holds the mount.
        gone: Whether the current folder is deleted before the command starts.
    """

    name: str
    command: str
    words: tuple[str, ...]
    code: int | tuple[int, ...] = 2
    right: tuple[str, ...] = ()
    files: Mapping[str, Content] = field(default_factory=dict)
    make: Callable[[Path], object] | None = None
    check: Callable[[Path], object] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    real: bool = False
    forked: bool = True
    late: bool = False
    limit: float = 60
    output: str = "file"
    signal: tuple[int, float] | None = None
    file_size: int | None = None
    mount: tuple[str, str] | None = None
    sealed: str | None = None
    gone: bool = False

    @property
    def argv(self) -> list[str]:
        """The words of the command; of two --dataset the row's own, as a flag that is repeated adds to what it has."""
        twice = self.command.count(" --dataset ") == 2
        return shlex.split(re.sub(r" --dataset \S+", "", self.command, count=1) if twice else self.command)


def refused(name: str, command: str, *words: str, **settings: Any) -> Row:
    """A row that is refused."""
    return Row(name, command, words, **settings)


def done(name: str, command: str, *words: str, **settings: Any) -> Row:
    """A row that succeeds, and prints this."""
    return Row(name, command, words, code=0, **settings)


def either(name: str, command: str, *words: str, right: tuple[str, ...] = (), **settings: Any) -> Row:
    """A row that is refused in these words, or succeeds and prints what is right."""
    return Row(name, command, words, code=(0, 2), right=right, **settings)


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """All that is in a folder: modes, and the hashes of files and targets of links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = b""
        if path.is_symlink():
            content = str(path.readlink()).encode()
        elif path.is_file():
            content = path.read_bytes()
        name = path.relative_to(folder).as_posix().encode("utf-8", "backslashreplace").decode()
        found[name] = (path.lstat().st_mode, hashlib.sha256(content).hexdigest())
    return found


def tiny_state(seed: int = 0, **sizes: int) -> dict[str, torch.Tensor]:
    """The state dict of a tiny d2l BERT with random weights."""
    default = {"num_hiddens": 8, "ffn_num_hiddens": 12, "num_heads": 2, "num_blks": 1, "max_len": 32}
    default["vocab_size"] = len(SPECIAL_TOKENS) + len(WORDS)
    generator = torch.Generator().manual_seed(seed)
    shapes = key_shapes(Sizes(**default | sizes))
    return {name: torch.randn(shape, generator=generator) / 4 for name, shape in shapes.items()}


def write_template(folder: Path) -> Path:
    """Writes what each row finds: data, a model, a d2l checkpoint, and folders of earlier results."""
    folder.mkdir()
    write_pairs(folder / "pairs.jsonl", repeat=1)
    (folder / "folder").mkdir()
    for split in ("train", "dev", "test"):
        shutil.copy(folder / "pairs.jsonl", folder / "folder" / f"{split}.jsonl")
    write_tiny_model(folder / "m")
    write_checkpoint(folder / "ck", tiny_state(), [*SPECIAL_TOKENS, *WORDS])
    out = write_tiny_model(folder / "out", initializer_range=0.1)
    write_conversion(out)
    write_training(out)
    (out / "README.md").write_text("The card of an earlier model.\n")
    (out / "notes.txt").write_text("Not ours.\n")
    (folder / "scores").mkdir()
    for name in ("eval_results.json", "inspect_results.json", "truncation.json"):
        (folder / "scores" / name).write_text('{"accuracy": 0.5}\n')
    return folder


def edit(name: str, **changes: Any) -> Callable[[Path], None]:
    """Changes keys of a JSON file."""

    def make(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | changes))

    return make


def config(**changes: Any) -> Callable[[Path], None]:
    """Changes keys of the model's configuration."""
    return edit("m/config.json", **changes)


def remove(*names: str) -> Callable[[Path], None]:
    """Removes files."""

    def make(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return make


def both(*makers: Callable[[Path], object]) -> Callable[[Path], None]:
    """Does one after the other."""

    def make(folder: Path) -> None:
        for each in makers:
            each(folder)

    return make
