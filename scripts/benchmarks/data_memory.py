"""Measures whether memory grows with the rows: loads and encodes 1 and 10 times as many, each in a process of its own.

    python scripts/benchmarks/data_memory.py [--rows 55000]

Peak memory is given twice: what the process allocated (RssAnon, looked at every 10 ms), and all that was resident, in
which the pages of mapped files count until the system wants the room for something else.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from datasets import disable_progress_bars

from hf_nli.data import load_nli
from hf_nli.encoding import encode
from hf_nli.tokenization import SPECIAL_TOKENS, build_tokenizer
from hf_nli.training import train  # noqa: F401  so that a run's libraries are there

SENTENCES = (
    "A soccer game with multiple males playing in front of a large crowd, number {}.",
    "Some people aren't watching game {}.",
)
LABELS = ("entailment", "neutral", "contradiction")


def write_rows(path: Path, rows: int) -> None:
    """Writes pairs of SNLI's length, all different."""
    with path.open("w") as file:
        for row in range(rows):
            premise, hypothesis = (sentence.format(row) for sentence in SENTENCES)
            pair = {"premise": premise, "hypothesis": hypothesis, "label": LABELS[row % 3]}
            file.write(json.dumps(pair) + "\n")


def anonymous_memory() -> float:
    """What this process has allocated, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def child(source: str) -> None:
    """Loads and encodes, and prints the time and the two peaks, in MiB."""
    disable_progress_bars()
    peak, done = [anonymous_memory()], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], anonymous_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    tokens = [*SPECIAL_TOKENS, *" ".join(SENTENCES).lower().split()]
    pairs = load_nli(source)["train"]
    encoded = encode(pairs, build_tokenizer(tokens, 128), 128)
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": len(encoded), "seconds": seconds, "resident": resident, "allocated": peak[0]}))


def main() -> None:
    """Runs both sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=55_000, help="a tenth of SNLI, by default")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments.child)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for times in (1, 10):
            source = Path(folder) / f"{times}.jsonl"
            write_rows(source, times * arguments.rows)
            output = subprocess.run(
                [sys.executable, __file__, "--child", str(source)],
                env=os.environ | {"HF_HOME": folder},
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
            results.append(json.loads(output))
    print("| rows | seconds | allocated MiB | resident MiB |\n|---|---|---|---|")
    for result in results:
        print("| {rows:,} | {seconds:.1f} | {allocated:.0f} | {resident:.0f} |".format(**result))
    growth = {name: results[1][name] / results[0][name] - 1 for name in ("resident", "allocated")}
    print(f"10 times the rows: allocated {growth['allocated']:+.1%}, resident {growth['resident']:+.1%}")


if __name__ == "__main__":
    main()
