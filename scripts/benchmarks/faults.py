"""Kills commands at random moments, fills their disk and breaks their writes, and counts what that leaves.

    python scripts/benchmarks/faults.py [--kills 105] [--writes 30] [--seed 0]

Of each command's files, what it left must be what was there before, to the byte, or the whole new result; then the
same command must succeed, and nothing hidden be left. Disks are full in a small tmpfs, where this may mount one;
writes fail by RLIMIT_FSIZE, a limit on the size of a file. Ends with a table, and with exit code 1 if anything failed.
"""

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from model_hub import Hub, serve

from hf_nli.model.folder import CARD, CONFUSION, EVALUATIONS

Files = dict[str, bytes]
# Their modules are loaded once, in a process that the others are forked from.
PROCESSES = multiprocessing.get_context("forkserver")
MODULES = ["hf_nli.training.train", "hf_nli.hub.push", "hf_nli.d2l.convert", "hf_nli.inference.export"]
MODULES += ["hf_nli.inference.files"]
KILLED, FULL, WRITES = "killed", "full disk", "failing writes"
SIZE = 2**28  # of the disk of the outputs
GOOD = ("as before", "whole")
PROGRESS = ("train_log.jsonl", "training_curves.png")  # of a training that goes on; a later one starts them anew


@dataclass
class Case:
    """A command, and what it writes.

    Attributes:
        flags: The command.
        output: Its folder; None if it writes none.
        overwrite: Flags by which it may replace earlier results.
        earlier: Flags that make earlier results differ from the new ones; None if there can't be any.
        stable: What is the same after each run, by its path.
        names: All that is there after a run.
        seconds: How long it takes.
        again: The exit code if it is run again, without `overwrite`, and has written everything.
    """

    flags: list[str]
    output: Path | None
    overwrite: list[str]
    earlier: list[str] | None
    stable: Files = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    seconds: float = 0.0
    again: int = 2


def run_command(flags: list[str], output: str, file_size: int | None) -> None:
    """Runs a command in a process of its own, in which no file may become larger than that."""
    file = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    from hf_nli.cli.run import main

    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    os._exit(main(flags))


class Bench:
    """What the commands work on, and the tally.

    Args:
        folder: An empty folder.
        hub: A Hub.
    """

    def __init__(self, folder: Path, hub: Hub) -> None:
        from hf_nli.sample.sample import write_sample

        self.hub, self.log, self.disk = hub, folder / "log.txt", folder / "disk"
        self.disk.mkdir()
        self.mounted = self._mount("", SIZE)
        sample = write_sample(folder / "sample")
        self.model, out = folder / "model", self.disk / "out"
        few = ["--max_train_steps", "8", "--max_seq_length", "32", "--mixed_precision", "no"]
        source = ["--source", str(sample.checkpoint)]
        data = ["--dataset", str(sample.corpus)]
        convert = ["convert", "--num_heads", "4", *source]
        self.done([*convert, "--output_dir", str(folder / "converted")])
        train = ["train", "--model_name_or_path", str(folder / "converted"), *data, *few]
        self.done([*train, "--output_dir", str(self.model)])
        ours, to = ["--model_name_or_path", str(self.model)], ["--output_dir", str(out)]
        shutil.copytree(self.model, folder / "pushed")  # the other one's card changes with each evaluation
        pushed = ["--model_name_or_path", str(folder / "pushed")]
        overwrite = "--overwrite_output_dir"
        answers = ["--input_file", str(sample.corpus), "--split", "train", "--output_file", str(out / "answers.csv")]
        self.cases = {
            "convert": Case([*convert, *to], out, [overwrite], ["--text_style", "wikitext"]),
            "train": Case([*train, *to], out, [overwrite], ["--seed", "2"]),
            "evaluate": Case(["evaluate", *ours, *data, *to], out, [], ["--split", "validation"]),
            "predict": Case(["predict", *ours, *answers], out, ["--overwrite"], ["--prefix", "its_"], again=0),
            "export": Case(["export", *ours, *to], out, [overwrite], ["--int8"]),
            "push": Case(["push", *pushed, "--repo_id", "user/nli"], None, [], None),
            "reproduce": Case(["reproduce", *source, *data, *few, *to], out, [overwrite], ["--seed", "2"]),
        }
        for case in self.cases.values():
            self._measure(case)

    def run(self, flags: list[str], kill: float | None = None, file_size: int | None = None) -> int:
        """Runs a command, maybe for so many seconds only, and gives its exit code."""
        process = PROCESSES.Process(target=run_command, args=(flags, str(self.log), file_size))
        process.start()
        process.join(kill)
        if process.is_alive():
            process.kill()
        process.join()
        return process.exitcode or 0

    def done(self, flags: list[str]) -> None:
        """Runs a command that has to succeed."""
        if self.run(flags) != 0:
            raise RuntimeError(f"{' '.join(flags)}: {self.log.read_text()}")

    def state(self, case: Case) -> Files:
        """What the command has written, without what shows the progress of a training that isn't complete."""
        if case.output is None:
            files = self.hub.files("user/nli") if "user/nli" in self.hub.repositories else {}
            return {name: each for name, each in files.items() if name != ".gitattributes"}
        files = content(case.output)
        models = {Path(name).parent for name in files if name.endswith("model.safetensors")}
        shown = [name for name in files if Path(name).name not in PROGRESS or Path(name).parent in models]
        return {name: files[name] for name in shown if not any(map(unfinished, Path(name).parts))}

    def _measure(self, case: Case) -> None:
        runs = []
        for _ in range(2):
            self.clear(case)
            started = time.perf_counter()
            self.done(case.flags)
            case.seconds = time.perf_counter() - started
            runs.append(self.state(case))
        case.names = set(runs[0])
        case.stable = {name: each for name, each in runs[0].items() if runs[1].get(name) == each}

    def clear(self, case: Case) -> None:
        """Makes it as if the command had never run."""
        if case.output:
            shutil.rmtree(case.output, ignore_errors=True)
        self.hub.repositories.clear()

    def try_one(self, name: str, fault: str, chance: random.Random) -> str:
        """Injects one fault into a command, and says what came of it."""
        case = self.cases[name]
        self.clear(case)
        flags = case.flags
        if case.earlier and chance.random() < 0.5:
            self.done([*flags, *case.earlier])
            flags = [*flags, *case.overwrite]
        before, weights = self.state(case), content(self.model / "model.safetensors")
        share = chance.uniform(0.001, 0.999)
        if fault == KILLED:
            self.run(flags, kill=1.05 * share * case.seconds)
        else:
            sizes = [len(each) for each in case.stable.values()]
            limit = int(share * max(sizes)) if fault == WRITES else None
            with self.full(int(share * sum(sizes)) if fault == FULL else None):
                code = self.run(flags, file_size=limit)
            text = self.log.read_text(errors="replace")
            if code and (code != 2 or text.count("error:") != 1 or "Traceback" in text):
                return f"exit code {code}: {text[-500:]}"
        after = self.state(case)
        parts = {Path(each).parts[:-1] for each in (*before, *after)}
        outcomes = {self.outcome(case, part, before, after) for part in parts}
        if "damage" in outcomes or content(self.model / "model.safetensors") != weights:
            return f"damage, {sorted(set(after) ^ set(before))}: {self.log.read_text(errors='replace')[-300:]}"
        complete = "whole" in outcomes and case.names <= set(after)
        again = case.again if complete and case.overwrite and flags == case.flags else 0  # it holds a model now
        if self.run(flags) != again or not case.names <= set(self.state(case)):
            return f"not again: {self.log.read_text(errors='replace')[-500:]}"
        hidden = [path.name for path in self.disk.rglob("*") if unfinished(path.name)]
        return f"left: {hidden}" if hidden else "whole" if complete else "as before"

    def outcome(self, case: Case, part: tuple[str, ...], before: Files, after: Files) -> str:
        """What has become of a folder of the output: each of them is as it was or whole."""
        was, now, names = (
            {each for each in files if Path(each).parts[:-1] == part} for files in (before, after, case.names)
        )
        if was == now and all(before[each] == after[each] for each in was):
            return "as before"
        if part == ("model",):  # reproduce's, to which scoring it adds these, and its scores to the card
            names = {each for each in names if not any(map(Path(each).match, (EVALUATIONS, CONFUSION, CARD)))}
        stable = {each: case.stable[each] for each in names & case.stable.keys()}
        return "whole" if names <= now and all(after[each] == stable[each] for each in stable) else "damage"

    @contextmanager
    def full(self, left: int | None) -> Iterator[None]:
        """Leaves so many bytes on the disk of the outputs."""
        if left is not None:
            used = sum(map(len, content(self.disk).values())) + 4096 * len(list(self.disk.rglob("*")))
            self._mount("remount,", used + left)
        yield
        if left is not None:
            self._mount("remount,", SIZE)

    def _mount(self, how: str, size: int) -> bool:
        words = ["mount", "-t", "tmpfs", "-o", f"{how}size={size // 1024 + 1}k", "tmpfs", str(self.disk)]
        return subprocess.run(words, capture_output=True).returncode == 0


def unfinished(name: str) -> bool:
    """Says whether what has this name is out of sight, or what a run that was killed will go on from."""
    return name.startswith(".") or name.endswith(".parts")


def content(folder: Path) -> Files:
    """All files, by their paths."""
    files = [folder] if folder.is_file() else [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def main() -> int:
    """Runs it, and prints the table."""
    parser = argparse.ArgumentParser(description="Kills commands, fills their disk and breaks their writes.")
    parser.add_argument("--kills", type=int, default=105, help="How often to kill, in all.")
    parser.add_argument("--writes", type=int, default=30, help="How many failing writes, in all; as many full disks.")
    parser.add_argument("--seed", type=int, default=0, help="Of the moments.")
    setting = parser.parse_args()
    hub, chance = serve(), random.Random(setting.seed)
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"HF_ENDPOINT": hub.address, "HF_HOME": f"{name}/home", "HF_TOKEN": "hf_write"}
        os.environ |= {"HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
        PROCESSES.set_forkserver_preload(MODULES)
        bench = Bench(Path(name), hub)
        tally: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        try:
            writers = [each for each, case in bench.cases.items() if case.output]
            plan = [(KILLED, list(bench.cases), setting.kills), (WRITES, writers, setting.writes)]
            plan += [(FULL, writers, setting.writes)] if bench.mounted else []
            for fault, names, times in plan:
                for number in range(times):
                    command = names[number % len(names)]
                    outcome = bench.try_one(command, fault, chance)
                    tally[fault, command][outcome.partition(":")[0]] += 1
                    print(f"{fault}, {command}, number {number + 1}: {outcome}", file=sys.stderr, flush=True)
        finally:
            if bench.mounted:
                subprocess.run(["umount", "--lazy", str(bench.disk)], check=True)
    print("| fault | command | times | left as before | whole | else |\n|---|---|---|---|---|---|")
    for (fault, command), counts in tally.items():
        cells = [counts.total(), *(counts[each] for each in GOOD), counts.total() - sum(counts[each] for each in GOOD)]
        print(f"| {fault} | {command} | {' | '.join(map(str, cells))} |")
    if not bench.mounted:
        print("No tmpfs may be mounted here: no full disks.")
    return int(any(set(counts) - set(GOOD) for counts in tally.values()))


if __name__ == "__main__":
    sys.exit(main())
