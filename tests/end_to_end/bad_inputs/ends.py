"""How commands end: streams, signals, and what the environment says."""

from __future__ import annotations

import signal

from bad_inputs.rows import (
    CONVERT,
    EVALUATE,
    INSPECT,
    PREDICT,
    PUSH,
    TRAIN,
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
    done("output: bytes that aren't text in a name", CONVERT + "--output_dir new\udcff", "carried over", forked=False),
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
    stopped("SIGHUP to train", LONG, signal.SIGHUP, 9, 129, 143),
]

ENVIRONMENT = [
    variable("HF_HOME", "pairs.jsonl", INSPECT + "pairs.jsonl"),
    variable("HF_HOME", "/proc/nowhere", TRAIN),
    variable("HF_HOME", "/proc/nowhere", "cache"),
    variable("HOME", "/proc/nowhere", EVALUATE, right=("on 36 pairs",)),
    Row("variable: HF_HUB_OFFLINE=1, push", PUSH, ("HF_HUB_OFFLINE",), forked=False,
        environment={"HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_write"}),
    variable("TMPDIR", "/proc/nowhere"),
    variable("MPLBACKEND", "foo", EVALUATE, right=("on 36 pairs",)),
    variable("MPLCONFIGDIR", "/proc/nowhere", EVALUATE, right=("on 36 pairs",)),
    *[variable(name, value, TRAIN, right=("36 pairs",)) for name, value in (
        ("ACCELERATE_USE_CPU", "foo"), ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "x"),
        ("ACCELERATE_DYNAMO_BACKEND", "foo"), ("ACCELERATE_USE_DEEPSPEED", "true"), ("ACCELERATE_USE_FSDP", "true"),
        ("ACCELERATE_MIXED_PRECISION", "foo"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2"))],
    variable("ACCELERATE_USE_CPU", "foo", EVALUATE, right=("36 pairs",)),
    variable("LOCAL_RANK", "1", EVALUATE, right=("36 pairs",)),
    *[variable("RANK", value, PREDICT, right=(LABEL,)) for value in ("1", "x")],
    *[variable("WORLD_SIZE", value, PREDICT, right=(LABEL,)) for value in ("1", "2")],
    variable("CUDA_VISIBLE_DEVICES", "foo", PREDICT, right=(LABEL,)),
    variable("COLUMNS", "0", "train --help"),
    variable("TRANSFORMERS_VERBOSITY", "debug", PREDICT, right=(LABEL,)),
]  # fmt: skip

ROWS = [*STREAMS, *SIGNALS, *ENVIRONMENT]
