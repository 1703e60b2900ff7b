"""Runs that are killed, stopped, or lose a process: real processes, real signals."""

import json
import multiprocessing
import os
import random
import signal
import socket
import time
from pathlib import Path

import pytest

from hf_nli.cli.run import main

# Their modules are loaded once, in a process that the others are forked from.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["hf_nli.training.train", "tensorboard"])


def command(rank, processes, port, output, flags):
    """`hf-nli train` in one of some processes, as torchrun starts them."""
    os.environ |= {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    if processes > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    file = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os._exit(main(["train", *flags]))


class Training:
    """A run of one or more processes."""

    def __init__(self, output: Path, flags: list[str], processes: int = 1) -> None:
        self.output = output
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        arguments = [(rank, processes, port, str(output), flags) for rank in range(processes)]
        self.processes = [PROCESSES.Process(target=command, args=each) for each in arguments]
        for process in self.processes:
            process.start()

    def wait(self, seconds: float) -> list[int | None]:
        """Waits so long, and gives the exit codes: None of those that still run."""
        end = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0, end - time.monotonic()))
        return [process.exitcode for process in self.processes]

    def wait_for(self, file: Path) -> None:
        """Waits for a file."""
        while not file.exists():
            assert self.wait(0.02) == [None] * len(self.processes), self.output.read_text()

    def kill(self) -> None:
        """Kills all processes at once."""
        for process in self.processes:
            process.kill()
        self.wait(30)


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """The first process waits until all modules are loaded."""
    process = PROCESSES.Process(target=time.sleep, args=(0,))
    process.start()
    process.join()


@pytest.fixture
def flags(model, pairs, tmp_path):
    given = {"model_name_or_path": model, "dataset": pairs, "validation_dataset": pairs, "num_train_epochs": 5}
    given |= {"per_device_train_batch_size": 4, "learning_rate": 0.005, "seed": 3, "embedding_lr_multiplier": 2}
    given |= {"dropout": 0.1}  # so that random numbers count
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]


@pytest.mark.parametrize(
    "precision, processes, kills, mixed", [("no", 1, 8, False), ("bf16", 1, 6, True), ("no", 2, 6, True)]
)
def test_killed_at_random_moments_and_resumed_it_ends_the_same(
    precision, processes, kills, mixed, pairs, flags, tmp_path
):
    """Weights and log are equal to the byte; kills come while checkpoints are written, too.

    In a mixture one epoch has as many pairs as the data set alone.
    """
    flags = [*flags, "--mixed_precision", precision]
    if mixed:
        halves = [f"{tmp_path}/{name}.jsonl" for name in "ab"]
        lines = Path(pairs).read_text().splitlines(keepends=True)
        for half, path in enumerate(halves):
            Path(path).write_text("".join(lines[half::2]))
        flags[flags.index("--dataset") + 1 : flags.index("--dataset") + 2] = halves
        flags += ["--mixing_weights", "1", "2"]
    plain = Training(tmp_path / "plain.txt", [*flags, "--output_dir", str(tmp_path / "plain")], processes)
    assert plain.wait(120) == [0] * processes, (tmp_path / "plain.txt").read_text()

    def newest() -> int:
        return max([int(path.name[11:]) for path in (tmp_path / "killed").glob("checkpoint-*")], default=0)

    flags = [*flags, "--output_dir", str(tmp_path / "killed"), "--checkpointing_steps", "3"]
    flags += ["--checkpoints_total_limit", "2"]
    chance, seen = random.Random(precision + str(processes)), []
    steps = 5 * 144 // (4 * processes)
    for target in [*sorted(chance.sample(range(int(0.8 * steps)), kills)), None]:
        resume = ["--resume_from_checkpoint", "latest"] if newest() else []
        run = Training(tmp_path / "killed.txt", flags + resume, processes)
        if target is None:
            assert run.wait(120) == [0] * processes, (tmp_path / "killed.txt").read_text()
            break
        while newest() < target:
            assert run.wait(0.001) == [None] * processes, (tmp_path / "killed.txt").read_text()
        time.sleep(chance.uniform(0, 0.05))  # some steps and checkpoints later
        run.kill()
        seen.append(newest())
    assert len(set(seen)) > kills / 2, seen  # it was killed at different places
    for name in ("model.safetensors", "train_log.jsonl"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    results = [json.loads((tmp_path / run / "all_results.json").read_text()) for run in ("plain", "killed")]
    for name in ("train_loss", "train_accuracy", "eval_accuracy", "best_epoch", "steps", "padding_fraction"):
        assert results[0][name] == results[1][name]
    assert len(list((tmp_path / "killed").glob("checkpoint-*"))) == 2
    assert not list((tmp_path / "killed").glob(".checkpoint-*"))


@pytest.mark.parametrize(
    "number, code, processes",
    [(signal.SIGTERM, 143, 1), (signal.SIGINT, 130, 1), (signal.SIGHUP, 143, 1)]
    + [(signal.SIGTERM, 143, 2), (signal.SIGINT, 130, 2)],
)
def test_stopped_by_a_signal_it_can_go_on(number, code, processes, flags, tmp_path):
    flags += ["--output_dir", str(tmp_path / "run"), "--num_train_epochs", "200"]
    run = Training(tmp_path / "run.txt", flags, processes)
    run.wait_for(tmp_path / "run/training_curves.png")
    time.sleep(0.3)
    for process in run.processes:
        os.kill(process.pid, number)
    assert run.wait(60) == [code] * processes
    checkpoint = next((tmp_path / "run").glob("checkpoint-*"))
    step, steps = checkpoint.name.removeprefix("checkpoint-"), 200 * 144 // (4 * processes)
    output = (tmp_path / "run.txt").read_text()
    assert (
        f"stopped by {number.name} after step {step} of {steps}; to go on, give the same command and --resume"
        in output
    )
    assert "Traceback" not in output
    assert not list((tmp_path / "run").rglob(".*")) and not (tmp_path / "run/model.safetensors").exists()
    (tmp_path / "again.txt").touch()
    resumed = Training(tmp_path / "again.txt", [*flags, "--resume_from_checkpoint", "latest"], processes)
    while "Going on" not in (tmp_path / "again.txt").read_text():
        assert resumed.wait(0.05) == [None] * processes, (tmp_path / "again.txt").read_text()
    resumed.kill()
    assert f"Going on from {checkpoint}, after step {step} of {steps}" in (tmp_path / "again.txt").read_text()


def test_a_process_that_dies_ends_the_others(flags, tmp_path):
    run = Training(
        tmp_path / "run.txt", [*flags, "--output_dir", str(tmp_path / "run"), "--num_train_epochs", "200"], 2
    )
    run.wait_for(tmp_path / "run/training_curves.png")
    run.processes[1].kill()
    codes = run.wait(60)
    run.kill()
    assert codes[0] not in (None, 0) and codes[1] == -signal.SIGKILL


def content(folder: Path) -> dict[str, bytes]:
    """All files, by their paths."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_killed_training_leaves_the_model_that_it_would_have_replaced(flags, tmp_path):
    """Model, card and reports are what they were, to the byte; the training can go on, and then replaces them."""
    old = tmp_path / "models/nli"
    first = Training(tmp_path / "first.txt", [*flags, "--output_dir", str(old), "--max_train_steps", "3"])
    assert first.wait(120) == [0], (tmp_path / "first.txt").read_text()
    before = content(old)
    assert {"model.safetensors", "README.md", "training.json", "all_results.json"} <= before.keys()
    flags = [*flags, "--output_dir", str(old), "--num_train_epochs", "3", "--learning_rate", "0.01"]
    flags += ["--checkpointing_steps", "10", "--overwrite_output_dir"]
    killed = Training(tmp_path / "killed.txt", flags)
    beside = tmp_path / "models/.nli.training/nli"
    killed.wait_for(beside / "checkpoint-40")  # the first epoch's model is there already
    killed.kill()
    assert (beside / "model.safetensors").exists() and content(old) == before
    again = Training(tmp_path / "again.txt", [*flags, "--resume_from_checkpoint", "latest"])
    assert again.wait(120) == [0], (tmp_path / "again.txt").read_text()
    assert "Going on from" in (tmp_path / "again.txt").read_text()
    plain = Training(tmp_path / "plain.txt", [*flags, "--output_dir", str(tmp_path / "plain")])
    assert plain.wait(120) == [0], (tmp_path / "plain.txt").read_text()
    after, expected = content(old), content(tmp_path / "plain")
    assert after.keys() == expected.keys() and after["model.safetensors"] != before["model.safetensors"]
    for name in ("model.safetensors", "train_log.jsonl", "training_curves.png", "training.json"):
        assert after[name] == expected[name]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["nli"]


def test_the_same_command_starts_anew_after_a_kill(flags, tmp_path):
    """What a run that was killed had as its best model is no model yet."""
    flags = [*flags, "--output_dir", str(tmp_path / "out/run"), "--num_train_epochs", "200"]
    killed = Training(tmp_path / "killed.txt", flags)
    killed.wait_for(tmp_path / "out/run/.best/tokenizer.json")
    killed.kill()
    assert not (tmp_path / "out/run/model.safetensors").exists()
    again = Training(tmp_path / "again.txt", [*flags, "--num_train_epochs", "1"])
    assert again.wait(120) == [0], (tmp_path / "again.txt").read_text()
    log = (tmp_path / "out/run/train_log.jsonl").read_text().splitlines()
    assert sum("eval_accuracy" in line for line in log) == 1  # the epoch's, nothing of the killed run's
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run"] and not list((tmp_path / "out").rglob(".*"))


def test_a_run_that_had_ended_goes_on_and_is_killed(flags, tmp_path):
    """Until the longer run is complete, model, card and reports are those of the shorter one."""
    flags = [*flags, "--output_dir", str(tmp_path / "run"), "--checkpointing_steps", "36"]
    flags += ["--lr_scheduler_type", "constant"]
    first = Training(tmp_path / "first.txt", [*flags, "--num_train_epochs", "1"])
    assert first.wait(120) == [0], (tmp_path / "first.txt").read_text()
    before = content(tmp_path / "run")
    longer = [*flags, "--num_train_epochs", "200", "--resume_from_checkpoint", "latest"]
    killed = Training(tmp_path / "killed.txt", longer)
    killed.wait_for(tmp_path / "run/checkpoint-108")
    killed.kill()
    after = content(tmp_path / "run")
    assert {name: after[name] for name in before} == before


def test_a_second_run_is_refused(flags, tmp_path):
    flags = [*flags, "--output_dir", str(tmp_path / "run"), "--num_train_epochs", "200"]
    first = Training(tmp_path / "first.txt", flags)
    first.wait_for(tmp_path / "run/training_curves.png")
    second = Training(tmp_path / "second.txt", flags)
    assert second.wait(60) == [2]
    first.kill()
    words = f"run: another run writes there, process {first.processes[0].pid}, started 20"
    assert words in (tmp_path / "second.txt").read_text()


@pytest.mark.parametrize("wrong", ["dataset", "model_name_or_path", "output_dir"])
def test_an_error_ends_all_processes_with_one_line(wrong, flags, tmp_path):
    value = {"output_dir": flags[1]}.get(wrong, str(tmp_path / "nowhere"))  # the model's folder, which isn't replaced
    flags = [*flags, "--output_dir", str(tmp_path / "run"), f"--{wrong}", value]
    run = Training(tmp_path / "run.txt", flags, 2)
    assert run.wait(60) == [2, 2]
    output = (tmp_path / "run.txt").read_text()
    assert output.count("error:") == 1 and f"hf-nli train: error: {value}" in output and "Traceback" not in output
