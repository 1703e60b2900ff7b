"""How commands end: streams, signals, and what the environment says."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from warm_process import PROJECT

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
)

CAFE = "predict --model_name_or_path m --premise 'café \U0001f600' --hypothesis 'a man eats.' "
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LABEL = r'"label": "'
OUTPUTS = {"predict": PREDICT, "evaluate": EVALUATE, "convert": CONVERT, "cache": "cache", "--help": "--help",
    "train --help": "train --help",
           "--version": "--version"}  # fmt: skip
LONG = TRAIN.replace("epochs 1", "epochs 2000")


def variable(name: str, value: str, command: str = PREDICT, **settings: object) -> Row:
    """A variable that is named as the cause, or is harmless."""
    title = f"variable: {name}={value}, {command.split()[0]}"
    return either(title, command, name, environment={name: value}, forked=False, late=True, **settings)


STREAMS = [
    *[Row(f"output: full, {name}", command, ("standard output|stdout|output", "space|full|written"), code=1,
          output="full",
          forked=False) for name, command in OUTPUTS.items() if name in ("predict", "evaluate", "cache",
              "train --help")],
    *[Row(f"output: closed, {name}", command, ("standard output|stdout|output",), code=1, output="closed",
          forked=False)
      for name, command in OUTPUTS.items() if name in ("predict", "convert")],
    *[Row(f"output: a pipe that nobody reads, {name}", command, (), code=(0, 1, 141), output="pipe", forked=False)
      for name, command in OUTPUTS.items() if name in ("predict", "evaluate", "--help")],
    *[done(f"output: {encoding}", CAFE, LABEL, environment={"PYTHONIOENCODING": encoding}, forked=False)
      for encoding in ("ascii", "latin-1")],
    done("output: ascii, help", "train --help", "--learning_rate", environment={"PYTHONIOENCODING": "ascii"},
        forked=False),
    either("output: the C locale", CAFE, "UTF-8|locale", right=(LABEL,), environment=C_LOCALE, forked=False),
    done("output: the C locale, a name of other letters", CONVERT + "--output_dir neu-ü", "carried over",
         environment=C_LOCALE, forked=False),
    Row("output: bytes that aren't text in a name", CONVERT + "--output_dir new\udcff", (r"new\\udcff", "UTF-8"),
        forked=False),
    Row("output: ascii, a refusal", "inspect --dataset 'nö\U0001f600.csv'", ("no such",),
        environment={"PYTHONIOENCODING": "ascii"}, forked=False),
]  # fmt: skip


def stopped(title: str, command: str, number: int, seconds: float, *codes: int) -> Row:
    """A command that gets a signal after some seconds."""
    return Row(
        f"signal: {title} after {seconds} s",
        command,
        ("interrupt|stop|signal|SIG|terminat|hang|ended",),
        code=codes,
        signal=(number, seconds),
        forked=False,
    )


QUICKSTART = "quickstart --output_dir q"
SIGNALS = [
    stopped("SIGINT to quickstart", QUICKSTART, signal.SIGINT, 0.3, 130),
    stopped("SIGINT to quickstart", QUICKSTART, signal.SIGINT, 8, 130),
    stopped("SIGINT to train", LONG, signal.SIGINT, 9, 130),
    stopped("SIGTERM to quickstart", QUICKSTART, signal.SIGTERM, 3, 143),
    stopped("SIGTERM to train", LONG, signal.SIGTERM, 9, 143),
    stopped("SIGHUP to train", LONG, signal.SIGHUP, 9, 143),
]


def full_home(title: str, size: str, command: str, make: Callable[[Path], object] | None = None) -> Row:
    """A HF_HOME on a file system that is full, or is after some files."""
    return Row(f"variable: HF_HOME is full, {title}", command, (r"\bhome/", "No space left", "HF_HOME"), forked=False,
               environment={"HF_HOME": "../home"}, late=True, mount=("../home", size), make=make)  # fmt: skip


def many_pairs(folder: Path) -> None:
    """22,200 pairs, whose tokens take 1.2 MiB after 2.2 MiB of other caches."""
    (folder / "pairs.jsonl").write_text((folder / "pairs.jsonl").read_text() * 600)


def no_space(folder: Path) -> None:
    """Leaves place for empty files and folders alone."""
    (folder / "../home/fill").write_bytes(bytes(64 * 1024))


def fault(command: str, library: str, error: str) -> Row:
    """A command that fails in a way that nobody has foreseen: here, as a library is another one."""
    program = command.split()[0].removeprefix("scripts/")
    return Row(
        f"fault: {program} with another {library}",
        command,
        ("a fault of hf-nli's own", "please report it", "HF_NLI_DEBUG=1", error, REPORT),
        code=1,
        files={f"broken/{library}.py": OTHER_LIBRARIES[library]},
        environment={"PYTHONPATH": f"broken:{PROJECT}", "TMPDIR": "broken"},
        forked=False,
        late=True,
    )


OTHER_LIBRARIES = {"transformers": "1 / 0\n", "pooch": "HTTPDownloader = None\n"}  # at the start, and in the middle
REPORT = r"traceback is in \S+/broken/hf_nli_\w+\.txt"
SCRIPTS = [
    f"scripts/{name}.py {command.partition(' ')[2]}"
    for name, command in {
        "convert_d2l_checkpoint": CONVERT,
        "finetune_accelerate": TRAIN,
        "evaluate_nli": EVALUATE,
        "push_to_hub": PUSH,
    }.items()
]
COMMANDS = (CONVERT, TRAIN, EVALUATE, INSPECT + "pairs.jsonl", PREDICT, EXPORT, PUSH, REPRODUCE, QUICKSTART, "cache")
FAULTS = [
    *[fault(command, "transformers", "ZeroDivisionError")
      for command in (*COMMANDS, TRAINER, TRUNCATION, *SCRIPTS)],
    *[fault(command, "pooch", "AttributeError") for command in (CONVERT, TRAIN)],
]  # fmt: skip


ENVIRONMENT = [
    full_home("caches", "size=64k", INSPECT + "pairs.jsonl", no_space),
    full_home("after some caches", "size=3400k", EVALUATE, many_pairs),
    full_home("locks", "size=64k", CONVERT, no_space),
    full_home("no files", "size=64k,nr_inodes=3", CONVERT),
    variable("HF_HOME", "pairs.jsonl", INSPECT + "pairs.jsonl"),
    variable("HF_HOME", "/proc/nowhere", TRAIN),
    variable("HF_HOME", "/proc/nowhere", "cache"),
    variable("HOME", "/proc/nowhere", EVALUATE, right=("on 36 pairs",)),
    Row("variable: HF_HUB_OFFLINE=1, push", PUSH, ("HF_HUB_OFFLINE",), forked=False,
        environment={"HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_write"}),
    variable("HF_HUB_OFFLINE", "1", PREDICT.replace(" m ", " user/x "), right=("never",)),
    variable("HF_HUB_OFFLINE", "1", "inspect --dataset user/x", right=("never",)),
    variable("TMPDIR", "/proc/nowhere"),
    variable("MPLBACKEND", "foo", EVALUATE, right=("on 36 pairs",)),
    variable("MPLCONFIGDIR", "/proc/nowhere", EVALUATE, right=("on 36 pairs",)),
    *[variable(name, value, TRAIN, right=("36 pairs",)) for name, value in (
        ("ACCELERATE_USE_CPU", "foo"), ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "x"),
        ("ACCELERATE_DYNAMO_BACKEND", "foo"), ("ACCELERATE_USE_DEEPSPEED", "true"), ("ACCELERATE_USE_FSDP", "true"),
        ("ACCELERATE_MIXED_PRECISION", "foo"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2"))],
    variable("ACCELERATE_USE_CPU", "foo", EVALUATE, right=("36 pairs",)),
    variable("ACCELERATE_USE_CPU", "foo", QUICKSTART, right=("never",)),
    variable("ACCELERATE_MIXED_PRECISION", "foo", TRAINER, right=("never",)),
    variable("LOCAL_RANK", "1", EVALUATE, right=("36 pairs",)),
    *[variable("RANK", value, PREDICT, right=(LABEL,)) for value in ("1", "x")],
    *[variable("WORLD_SIZE", value, PREDICT, right=(LABEL,)) for value in ("1", "2")],
    variable("CUDA_VISIBLE_DEVICES", "foo", PREDICT, right=(LABEL,)),
    variable("COLUMNS", "0", "train --help"),
    variable("TRANSFORMERS_VERBOSITY", "debug", PREDICT, right=(LABEL,)),
]  # fmt: skip

ROWS = [*STREAMS, *SIGNALS, *FAULTS, *ENVIRONMENT]
