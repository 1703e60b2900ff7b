"""Measures whether anything but time grows with the rows: trains on some, and on more, each in a process.

    python scripts/benchmarks/memory.py --model_name_or_path MODEL --dataset dev.jsonl \
        [--rows 10000 100000 1000000] [--steps 300]

The lines of the data set are repeated. A run loads, encodes, lays out and takes so many steps; examples/s are those of
the steps. Peak memory is given twice: what the process allocated (RssAnon, looked at every 10 ms), and all that was
resident, in which the pages of mapped files count until the system wants the room for something else.
"""

import argparse
import itertools
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

from hf_nli.settings.recipe import Recipe
from hf_nli.training.train import train


def anonymous_memory() -> float:
    """What this process has allocated, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def child(arguments: argparse.Namespace) -> None:
    """Trains, and prints times and the two peaks, in MiB."""
    disable_progress_bars()
    peak, done = [anonymous_memory()], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], anonymous_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    results = train(
        arguments.model_name_or_path,
        arguments.child,
        f"{arguments.child}-run",
        Recipe(max_train_steps=arguments.steps),
        validation_dataset=arguments.dataset,
    )
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    figures = {
        name: getattr(results, name) for name in ("num_train_examples", "examples_per_second", "padding_fraction")
    }
    figures |= {"seconds": seconds, "allocated": peak[0]}
    print(json.dumps(figures | {"resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def main() -> None:
    """Runs all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_name_or_path", required=True)
    parser.add_argument("--dataset", required=True, help="a .jsonl file")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments)
    lines, results = Path(arguments.dataset).read_text(encoding="utf-8").splitlines(keepends=True), []
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            source = Path(folder) / f"{rows}.jsonl"
            with source.open("w", encoding="utf-8") as file:
                file.writelines(itertools.islice(itertools.cycle(lines), rows))
            output = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--child", str(source)],
                env=os.environ | {"HF_HOME": folder},
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
            results.append(json.loads(output))
    print("| rows | seconds in all | examples/s | padding | allocated MiB | resident MiB |\n|---|---|---|---|---|---|")
    row = "| {num_train_examples:,} | {seconds:.0f} | {examples_per_second:.0f} | {padding_fraction:.1%} | "
    for result in results:
        print((row + "{allocated:.0f} | {resident:.0f} |").format(**result))
    names = ("examples_per_second", "allocated", "resident")
    growth = {name: results[-1][name] / results[0][name] - 1 for name in names}
    print("The last against the first:", ", ".join(f"{name} {change:+.1%}" for name, change in growth.items()))


if __name__ == "__main__":
    main()
