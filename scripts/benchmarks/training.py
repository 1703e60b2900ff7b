"""Measures training speed: d2l's own loop, Transformers' Trainer and ours, side by side on the same pairs.

    python scripts/benchmarks/training.py --dataset DATA [--size small|base] [--batch_size 256] [--rounds 5] \
        [--contenders d2l trainer stock ours compiled checkpointed]

- d2l: `BERTClassifier` and `train_batch_ch13`, padded to 128, float32, Adam, dropout 0.2.
- Trainer: the converted model, `TrainingArguments`' defaults (padding to the longest of a batch, AdamW, dropout 0.1).
- stock: the converted model with the default recipe, but `--forward stock`.
- ours: the converted model with the default recipe.
- compiled: ours behind `torch.compile(mode="reduce-overhead")`, which on GPUs replays CUDA graphs; as
  `accelerate launch --dynamo_backend inductor --dynamo_mode reduce-overhead` does it.
- checkpointed: ours with `--gradient_checkpointing`.

The net has bert.small's or bert.base's shape and random weights; the words of the data are its vocabulary, filled up
to `--vocab_size`. Each contender is a process of its own that works while the others wait; rounds alternate, the first
one warms up, medians count. Denormal numbers, which CPUs are slow with, are flushed to zero in all three.
"""

import argparse
import dataclasses
import functools
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy
import torch

from hf_nli.core.files import write_json
from hf_nli.d2l.checkpoint import Sizes
from hf_nli.d2l.convert import convert
from hf_nli.d2l.source import PARAMETERS, VOCABULARY
from hf_nli.data.load import load_nli
from hf_nli.model.load import load_model
from hf_nli.model.precision import fast_precision
from hf_nli.sample.checkpoint import initial_state
from hf_nli.settings.recipe import Recipe
from hf_nli.text.encoding import encode
from hf_nli.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

MAX_LENGTH = 128
SIZES = {
    "small": Sizes(num_hiddens=256, ffn_num_hiddens=512, num_heads=4, num_blks=2, max_len=512, vocab_size=0),
    "base": Sizes(num_hiddens=768, ffn_num_hiddens=3072, num_heads=12, num_blks=12, max_len=512, vocab_size=0),
}
# What a contender calls after each optimizer step, with the lengths of its pairs and the positions computed. It waits
# there while the others work, and ends when it is told False.
Done = Callable[[numpy.ndarray, int], bool]


def train_d2l(setting: argparse.Namespace, workspace: Path, done: Done) -> None:
    """d2l's loop."""
    from d2l_chapter import BERTClassifier, SNLIBERTDataset, d2l, vocabulary

    sizes = read_sizes(workspace)
    net = d2l.BERTModel(
        sizes.vocab_size, sizes.num_hiddens, sizes.ffn_num_hiddens, sizes.num_heads, sizes.num_blks, 0.2, sizes.max_len
    )
    tokens = json.loads((workspace / VOCABULARY).read_text(encoding="utf-8"))
    texts = [(workspace / f"{side}.txt").read_text(encoding="utf-8").split("\n") for side in ("premise", "hypothesis")]
    labels = numpy.loadtxt(workspace / "labels.txt", dtype=int).tolist()
    data = SNLIBERTDataset([*texts, labels], MAX_LENGTH, vocabulary(tokens))
    net, device = BERTClassifier(net), torch.device(setting.device)
    rows = [[each[:2] for each in (data.all_token_ids, data.all_segments, data.valid_lens)], data.labels[:2]]
    net(rows[0])  # its layers are lazy
    net.to(device)
    trainer, loss = torch.optim.Adam(net.parameters(), lr=1e-4), torch.nn.CrossEntropyLoss(reduction="none")
    order = cycle(torch.randperm(len(labels)).split(setting.batch_size)[:-1])
    for rows in order:
        features = [data.all_token_ids[rows], data.all_segments[rows], data.valid_lens[rows]]
        d2l.train_batch_ch13(net, features, data.labels[rows], loss, trainer, [device])
        if not done(data.valid_lens[rows].numpy(), len(rows) * MAX_LENGTH):
            break


def train_trainer(setting: argparse.Namespace, workspace: Path, done: Done) -> None:
    """Trainer's loop."""
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    model, tokenizer = load_model(str(workspace / "model"))
    pairs = encode(load_nli(setting.dataset)["train"].select(range(setting.rows)), tokenizer, MAX_LENGTH)
    collate, lengths, positions = DataCollatorWithPadding(tokenizer), [], []

    def count(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = collate(rows)
        lengths.append(batch["attention_mask"].sum(1).numpy())
        positions.append(batch["attention_mask"].numel())
        return batch

    class TakeTurns(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = not done(lengths.pop(0), positions.pop(0))

    arguments = TrainingArguments(
        str(workspace / "trainer"),
        per_device_train_batch_size=setting.batch_size,
        max_steps=10**6,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=setting.device == "cpu",
    )
    Trainer(model, arguments, count, pairs, processing_class=tokenizer, callbacks=[TakeTurns()]).train()


def train_ours(setting: argparse.Namespace, workspace: Path, done: Done, **changes: Any) -> None:
    """The steps of `hf_nli.training.train`."""
    from hf_nli.data.table import TokenTable
    from hf_nli.engine.attach import fast_forward, flat_batches
    from hf_nli.runs.state import LoopState
    from hf_nli.training.accelerator import choose_precision, make_accelerator
    from hf_nli.training.attention import EXAMPLES, fast_attention, soften_attention
    from hf_nli.training.learner import make_learner
    from hf_nli.training.plan import make_plan

    recipe = Recipe(per_device_train_batch_size=setting.batch_size, max_train_steps=10**5, **changes)
    accelerator = make_accelerator(workspace / "ours")
    model, tokenizer = load_model(str(workspace / "model"), dropout=recipe.dropout)
    pairs = encode(load_nli(setting.dataset)["train"].select(range(setting.rows)), tokenizer, MAX_LENGTH)
    table = TokenTable.open(pairs, tokenizer)
    soften_attention(model, table.first(EXAMPLES))
    plan, state = make_plan(table.lengths, recipe, accelerator.num_processes), LoopState()
    with fast_attention(model, accelerator.device), fast_forward(model, recipe.forward) as fast:
        on_device = table.to(accelerator.device, fast and flat_batches(accelerator))
        precision = choose_precision(accelerator, recipe.mixed_precision)
        trained_ids = table.token_ids() if fast else None
        learner = make_learner(accelerator, precision, model, plan, trained_ids)
        learner.model.train()
        for rows in cycle(plan.batches(1)):
            learner.take_step(on_device, rows, state)
            if not done(table.lengths[rows], on_device.positions(rows)):
                break


def train_compiled(setting: argparse.Namespace, workspace: Path, done: Done) -> None:
    """The loop of `hf_nli.training.train`, with a compiled model."""
    os.environ |= {"ACCELERATE_DYNAMO_BACKEND": "inductor", "ACCELERATE_DYNAMO_MODE": "reduce-overhead"}
    train_ours(setting, workspace, done)


CONTENDERS: dict[str, Callable[[argparse.Namespace, Path, Done], None]] = {
    "d2l": train_d2l,
    "trainer": train_trainer,
    "stock": functools.partial(train_ours, forward="stock"),
    "ours": train_ours,
    "compiled": train_compiled,
    "checkpointed": functools.partial(train_ours, gradient_checkpointing=True),
}


def contend(name: str, setting: argparse.Namespace, workspace: Path, pipe: Any) -> None:
    """A contender: works for so many seconds when it is told to, at least a step, and answers with what it did."""
    torch.set_flush_denormal(True)
    cuda, sizes = setting.device == "cuda", read_sizes(workspace)
    counted, seconds, started = [0, 0, 0, 0.0], 0.0, 0.0  # a step before the first turn, for what is made once

    def done(lengths: numpy.ndarray, positions: int) -> bool:
        nonlocal counted, seconds, started
        step = (len(lengths), int(lengths.sum()), positions, needed_flops(sizes, lengths))
        counted = [sum(pair) for pair in zip(counted, step, strict=True)]
        if time.perf_counter() - started < seconds:
            return True
        if cuda:
            torch.cuda.synchronize()
        pipe.send((*counted, time.perf_counter() - started))
        seconds = pipe.recv()
        counted, started = [0, 0, 0, 0.0], time.perf_counter()
        return seconds is not None

    CONTENDERS[name](setting, workspace, done)
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    pipe.send(torch.cuda.max_memory_allocated() / 2**30 if cuda else host)


def needed_flops(sizes: Sizes, lengths: numpy.ndarray) -> float:
    """The arithmetic that training d2l's net on pairs of so many tokens needs, in FLOP, whatever a contender computes.

    That is all layers but the last at every token; the last one at the first token, with attention's products of its
    query and the hidden states; and the classifier's hidden layer. Gradients take twice as much again.
    """
    width, tokens = sizes.num_hiddens, int(lengths.sum())
    one_token = 4 * width**2 + 2 * width * sizes.ffn_num_hiddens
    full = (sizes.num_blks - 1) * (one_token * tokens + 2 * width * float((lengths.astype(float) ** 2).sum()))
    last = one_token * len(lengths) + 2 * width * sizes.num_heads * tokens + width**2 * len(lengths)
    return 6 * (full + last)


def read_sizes(workspace: Path) -> Sizes:
    """The sizes of the net that `prepare` wrote."""
    return Sizes(**json.loads((workspace / "sizes.json").read_text()))


def prepare(setting: argparse.Namespace, workspace: Path) -> None:
    """Writes the words of the data, a d2l checkpoint for them, and the converted model."""
    from encoding import words  # here, so that d2l isn't loaded by the contenders that don't need it

    pairs = load_nli(setting.dataset)["train"].select(range(setting.rows))
    tokenizer = build_tokenizer(list(SPECIAL_TOKENS), MAX_LENGTH)
    known: set[str] = set()
    for side in ("premise", "hypothesis"):
        texts = words(tokenizer, pairs[side][:])
        known.update(word for text in texts for word in text.split())
        (workspace / f"{side}.txt").write_text("\n".join(texts), encoding="utf-8")
    numpy.savetxt(workspace / "labels.txt", pairs["label"][:], fmt="%d")
    tokens = [*SPECIAL_TOKENS, *sorted(known)]
    tokens += [f"unused{index}" for index in range(setting.vocab_size - len(tokens))]
    sizes = dataclasses.replace(SIZES[setting.size], vocab_size=len(tokens))
    torch.save(initial_state(sizes), workspace / PARAMETERS)
    write_json(workspace / VOCABULARY, tokens)
    write_json(workspace / "sizes.json", dataclasses.asdict(sizes))
    convert(str(workspace), workspace / "model", num_heads=sizes.num_heads)


def peak_flops(device: str, dtype: torch.dtype, size: int = 2048) -> float:
    """What the machine reaches on square matrix products, in FLOP/s."""
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(8):
        started = time.perf_counter()
        left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--vocab_size", type=int, default=16_734)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="of each contender in each round, at least one step")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=["d2l", "trainer", "ours"])
    parser.add_argument("--output", type=Path, help="JSON file to add the results to")
    setting = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepare(setting, Path(folder))
        results = measure(setting, Path(folder))
    names = ("float32", "bfloat16")[: 1 + (fast_precision(setting.device) == "bf16")]
    peaks = {name: peak_flops(setting.device, getattr(torch, name)) for name in names}
    print(
        f"bert.{setting.size}'s shape, batch {setting.batch_size}, {setting.device}, {torch.get_num_threads()} threads"
    )
    print("Matrix products:", ", ".join(f"{peak / 1e9:,.0f} GFLOP/s in {name}" for name, peak in peaks.items()), "\n")
    print("| | examples/s | tokens/s | padding | needed GFLOP/s | memory GiB |\n|---|---|---|---|---|---|")
    for name, result in results.items():
        rates = [result[unit] for unit in ("examples_per_second", "tokens_per_second")]
        figures = [f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}" for rate in rates]
        figures += [f"{result['padding_fraction']:.0%}", f"{result['needed_flops_per_second'] / 1e9:,.1f}"]
        print(f"| {' | '.join([name, *figures])} | {result['memory_gib']:.2f} |")
    last = list(results)[-1]
    for name in list(results)[:-1]:
        ratio = results[last]["examples_per_second"] / results[name]["examples_per_second"]
        print(f"{last} / {name}: {ratio:.1f}")
    if setting.output:
        facts = {name: value for name, value in vars(setting).items() if name not in ("dataset", "output")}
        facts |= {"torch": torch.__version__, "peak_flops_per_second": peaks, "results": results}
        facts["machine"] = torch.cuda.get_device_name() if setting.device == "cuda" else "cpu"
        setting.output.parent.mkdir(parents=True, exist_ok=True)
        others = json.loads(setting.output.read_text()) if setting.output.exists() else {}
        write_json(setting.output, others | {f"bert.{setting.size}, batch {setting.batch_size}": facts})


def measure(setting: argparse.Namespace, workspace: Path) -> dict[str, dict[str, float]]:
    """Lets the contenders take turns."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for name in setting.contenders:
        pipes[name], theirs = context.Pipe()
        processes.append(context.Process(target=contend, args=(name, setting, workspace, theirs)))
        processes[-1].start()
        theirs.close()  # so that a contender that fails ends the pipe
        pipes[name].recv()
    rounds: dict[str, list[tuple[int, int, int, float, float]]] = {name: [] for name in setting.contenders}
    for _ in range(setting.rounds + 1):
        for name, pipe in pipes.items():
            pipe.send(setting.seconds)
            rounds[name].append(pipe.recv())
    results = {}
    for name, pipe in pipes.items():
        pipe.send(None)
        counted = rounds[name][1:]
        tokens, positions = (sum(each[index] for each in counted) for index in (1, 2))
        results[name] = {
            "examples_per_second": statistics.median(examples / seconds for examples, *_, seconds in counted),
            "tokens_per_second": statistics.median(tokens / seconds for _, tokens, *_, seconds in counted),
            "needed_flops_per_second": statistics.median(flops / seconds for *_, flops, seconds in counted),
            "padding_fraction": 1 - tokens / positions,
            "memory_gib": pipe.recv(),
        }
    for process in processes:
        process.join()
    return results


if __name__ == "__main__":
    main()
