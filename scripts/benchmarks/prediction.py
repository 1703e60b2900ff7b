"""Measures how fast pairs of raw sentences get their labels, beside Transformers' pipeline and CrossEncoder.

    python scripts/benchmarks/prediction.py --model_name_or_path MODEL --dataset DATA [--split validation] \
        [--rounds 3] [--contenders pipeline CrossEncoder torch …] [--file_rows 100000 1000000] [--output FILE]

- pipeline: `transformers.pipeline("text-classification")`, batches of 32.
- CrossEncoder: sentence-transformers' `predict`, batches of 32.
- torch, torch bf16, onnx, onnx int8, openvino, openvino bf16, openvino int8: our `Predictor`, with its defaults.
- stock: the same with `forward="stock"`.

All have the same threads. Rounds alternate, the first one warms up, medians count. Then one pair at a time is asked
for. With `--file_rows` the pairs, with a running number so that none is another's copy, are answered by `hf-nli
predict` from a file to a file, and the most memory that it had is noted. Denormal numbers are flushed to zero.
"""

import argparse
import csv
import itertools
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from sentence_transformers import CrossEncoder
from tqdm.auto import tqdm
from transformers import pipeline

from hf_nli.core.files import write_json
from hf_nli.core.labels import LABELS, label_order
from hf_nli.data.load import load_nli
from hf_nli.inference.predictor import Predictor
from hf_nli.model.load import load_model

PEER_BATCH = 32
OURS: dict[str, dict[str, Any]] = {
    "stock": {"forward": "stock"},
    "torch": {},
    "torch bf16": {"dtype": "bfloat16"},
    "onnx": {"backend": "onnx"},
    "onnx int8": {"backend": "onnx", "int8": True},
    "openvino": {"backend": "openvino"},
    "openvino bf16": {"backend": "openvino", "dtype": "bfloat16"},
    "openvino int8": {"backend": "openvino", "int8": True},
}
# Runs a command and prints the most memory that it had, in KiB: a process counts that of the one that starts it, too,
# which is this small one then.
WITH_MEMORY = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
Pairs = Sequence[tuple[str, str]]
Contender = Callable[[Pairs], list[str]]


def make_pipeline(name: str) -> Contender:
    """Transformers' pipeline."""
    model, tokenizer = load_model(name)
    ready: Any = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")  # type: ignore[call-overload]

    def answer(pairs: Pairs) -> list[str]:
        inputs = [{"text": premise, "text_pair": hypothesis} for premise, hypothesis in pairs]
        return [each["label"] for each in ready(inputs, batch_size=PEER_BATCH)]

    return answer


def make_cross_encoder(name: str) -> Contender:
    """sentence-transformers' CrossEncoder."""
    model = CrossEncoder(name, device="cpu", trust_remote_code=False)
    order = label_order(model.config)

    def answer(pairs: Pairs) -> list[str]:
        logits = model.predict(list(pairs), batch_size=PEER_BATCH, show_progress_bar=False)
        return [LABELS[index] for index in logits[:, order].argmax(1)]

    return answer


def make_ours(name: str, settings: dict[str, Any]) -> Contender:
    """Our Predictor."""
    predictor = Predictor.from_pretrained(name, device="cpu", **settings)
    return lambda pairs: [answer["label"] for answer in predictor(list(pairs))]


def measure(contenders: dict[str, Contender], pairs: Pairs, gold: Sequence[str], rounds: int) -> dict[str, Any]:
    """Answers all pairs in rounds; gives figures by contender, and prints them."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    labels: dict[str, list[str]] = {}
    for name in tqdm(list(contenders) * (rounds + 1), desc="Rounds"):
        started = time.perf_counter()
        labels[name] = contenders[name](pairs)
        seconds[name].append(time.perf_counter() - started)
    figures, first = {}, next(iter(contenders))
    print("| | pairs/s | times " + first + " | accuracy | same label |\n|---|---|---|---|---|")
    for name in contenders:
        rate = len(pairs) / statistics.median(seconds[name][1:])
        figures[name] = {
            "pairs_per_second": rate,
            "accuracy": agreement(labels[name], gold),
            "same_label": agreement(labels[name], labels[first]),
        }
        ratio = rate / figures[first]["pairs_per_second"]
        print(f"| {name} | {rate:,.0f} | {ratio:.1f} | {figures[name]['accuracy']:.4f} | "
              f"{figures[name]['same_label']:.2%} |")  # fmt: skip
    return figures


def agreement(labels: Sequence[str], others: Sequence[str]) -> float:
    """The share of labels that are the same."""
    return float(numpy.mean([one == other for one, other in zip(labels, others, strict=True)]))


def latencies(contenders: dict[str, Contender], pairs: Pairs) -> dict[str, list[float]]:
    """How long one pair takes, by contender: half of the answers, and 95 % of them, took no longer, in ms."""
    figures = {}
    print("\n| one pair | p50 ms | p95 ms |\n|---|---|---|")
    for name, answer in contenders.items():
        seconds = []
        for pair in [*pairs[:20], *pairs[:300]]:
            started = time.perf_counter()
            answer([pair])
            seconds.append(time.perf_counter() - started)
        figures[name] = [1e3 * float(each) for each in numpy.quantile(seconds[20:], (0.5, 0.95))]
        print(f"| {name} | {figures[name][0]:.2f} | {figures[name][1]:.2f} |")
    return figures


def files(model: str, pairs: Pairs, sizes: Sequence[int]) -> dict[int, dict[str, float]]:
    """Answers files of so many rows in a process each: seconds in all, rows/s, most memory in MiB."""
    figures = {}
    print("\n| rows | seconds in all | rows/s | MiB |\n|---|---|---|---|")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            with Path(folder, "rows.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["premise", "hypothesis"])
                rows = enumerate(itertools.islice(itertools.cycle(pairs), size))
                writer.writerows([f"{premise} {number}", hypothesis] for number, (premise, hypothesis) in rows)
            flags = ["--model_name_or_path", model, "--input_file", f"{folder}/rows.csv", "--device", "cpu"]
            command = [sys.executable, "-m", "hf_nli", "predict", *flags, "--output_file", f"{folder}/answers.csv"]
            started = time.perf_counter()
            told = subprocess.run(
                [sys.executable, "-c", WITH_MEMORY, *command], stdout=subprocess.PIPE, text=True, check=True
            )
            seconds = time.perf_counter() - started
        rate = float(told.stdout.split(" rows/s")[0].rpartition(", ")[2].replace(",", ""))
        memory = int(told.stdout.splitlines()[-1]) / 2**10
        figures[size] = {"seconds": seconds, "rows_per_second": rate, "mebibytes": memory}
        print(f"| {size:,} | {seconds:.0f} | {rate:,.0f} | {figures[size]['mebibytes']:,.0f} |")
    return figures


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("model_name_or_path", "dataset"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--rounds", type=int, default=3)
    names = ["pipeline", "CrossEncoder", *OURS]
    parser.add_argument("--contenders", nargs="+", choices=names, default=names)
    parser.add_argument("--file_rows", type=int, nargs="*", default=[])
    parser.add_argument("--output", type=Path, help="JSON file to write the results to")
    setting = parser.parse_args()
    torch.set_flush_denormal(True)
    rows = load_nli(setting.dataset)[setting.split]
    pairs = list(zip(rows["premise"], rows["hypothesis"], strict=True))
    gold = [LABELS[label] for label in rows["label"]]
    model, made = setting.model_name_or_path, {"pipeline": make_pipeline, "CrossEncoder": make_cross_encoder}
    contenders = {
        name: made[name](model) if name in made else make_ours(model, OURS[name]) for name in setting.contenders
    }
    cpu = torch.cpu.get_capabilities()
    results: dict[str, Any] = {"cpu": cpu["cpu_name"], "python": platform.python_version()}
    results |= {"threads": torch.get_num_threads(), "pairs": len(pairs)}
    print(f"{results['cpu']}, {results['threads']} threads, {len(pairs):,} pairs")
    results["figures"] = measure(contenders, pairs, gold, setting.rounds)
    results["latency_ms"] = latencies(contenders, pairs)
    results["files"] = files(model, pairs, setting.file_rows)
    print(f"most memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    if setting.output:
        write_json(setting.output, results)


if __name__ == "__main__":
    main()
