"""Measures how long a command takes to tell what it can tell at once, beside what its libraries take to load.

    python scripts/benchmarks/startup.py [--rounds 5]

Rounds alternate; each command is a new process, with files that the system has read before. Medians count. That none
of these loads torch or Transformers is tested by tests/cli/test_start.py.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm.auto import tqdm

COMMANDS = {
    "hf-nli --help": "--help",
    "hf-nli train --help": "train --help",
    "a mistyped flag": "train --modl m",
    "a file of pairs that isn't there": "predict --model_name_or_path {folder} --input_file {folder}/pairs.csv",
    "a folder that is no model": "predict --model_name_or_path {folder} --premise a --hypothesis b",
}
LIBRARIES = "(for comparison: import torch, transformers, datasets, accelerate)"


def seconds(arguments: list[str]) -> float:
    """Runs Python once."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    return time.perf_counter() - started


def main() -> None:
    """Measures all, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pairs.jsonl").touch()
        runs = {name: ["-m", "hf_nli", *line.format(folder=folder).split()] for name, line in COMMANDS.items()}
        runs[LIBRARIES] = ["-c", "import torch, datasets, accelerate; from transformers import Trainer"]
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in tqdm(range(rounds + 1)):
            for name, arguments in runs.items():
                times[name].append(seconds(arguments))
    print("| | seconds |\n|---|---|")
    for name, taken in times.items():
        print(f"| {name} | {statistics.median(taken[1:]):.2f} |")  # the first round warms up


if __name__ == "__main__":
    main()
