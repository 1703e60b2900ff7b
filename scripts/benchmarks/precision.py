"""Measures what a fine-tuned d2l net loses in other precisions after its conversion, and what it gains.

    python scripts/benchmarks/precision.py --checkpoint classifier.params --reference reference.npz [--num_heads 4]

reference.npz holds token_ids, segments and valid_lens of pairs, and d2l's own float64 `logits` of the checkpoint.
float32, bfloat16 and float16 are the model folder loaded with that `dtype`; "onnx" and "onnx int8" are what
`hf-nli export` writes. Speeds are of batches of 64 pairs as they come, padded to their longest: medians of alternating
rounds over all pairs. bfloat16 and int8 are fast where the CPU multiplies in them, which the first line tells.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from conversion import read_reference
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from hf_nli.core.labels import LABELS
from hf_nli.d2l.convert import D2L_LABELS, convert
from hf_nli.inference.export import PROGRAM, export

BATCH_SIZE = 64
INSTRUCTIONS = ("avx2", "avx512_f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
Batch = dict[str, Tensor]
Measured = tuple[Callable[[Batch], Tensor], int]


def in_pytorch(folder: Path, dtype: torch.dtype) -> Measured:
    """What gives a batch's logits, and the bytes of the weights."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype, trust_remote_code=False).eval()
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return lambda batch: model(**batch).logits, size


def in_onnxruntime(folder: Path, target: Path, int8: bool) -> Measured:
    """Likewise, exported."""
    report = export(str(folder), target, int8=int8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(target / PROGRAM, options)

    def run(batch: Batch) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {name: each.numpy() for name, each in batch.items()})[0])

    return run, report.bytes


@torch.inference_mode()
def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--num_heads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    setting = parser.parse_args()
    probe, expected = read_reference(setting.reference, "logits")
    expected, batches = expected[:, [D2L_LABELS.index(label) for label in LABELS]], []
    for start in range(0, len(expected), BATCH_SIZE):
        rows = slice(start, start + BATCH_SIZE)
        longest = int(probe.valid_lens[rows].max())
        batches.append({name: each[rows, :longest] for name, each in probe.inputs.items()})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        convert(setting.checkpoint, folder / "model", num_heads=setting.num_heads)
        dtypes = (torch.float32, torch.bfloat16, torch.float16)
        models = {str(dtype).removeprefix("torch."): in_pytorch(folder / "model", dtype) for dtype in dtypes}
        models["onnx"] = in_onnxruntime(folder / "model", folder / "onnx", int8=False)
        models["onnx int8"] = in_onnxruntime(folder / "model", folder / "int8", int8=True)
        measure(models, batches, expected, setting.rounds)


def measure(models: dict[str, Measured], batches: list[Batch], expected: Tensor, rounds: int) -> None:
    """Prints the table: row by row largest differences, over all pairs."""
    seconds: dict[str, list[float]] = {name: [] for name in models}
    logits = {}
    for _ in range(rounds + 1):
        for name, (run, _) in models.items():
            started = time.perf_counter()
            logits[name] = torch.cat([run(batch) for batch in batches]).double()
            seconds[name].append(time.perf_counter() - started)
    cpu = torch.cpu.get_capabilities()
    print(f"{cpu['cpu_name']}: {', '.join(name for name in INSTRUCTIONS if cpu.get(name))}")
    print(
        f"{len(expected)} pairs, {torch.get_num_threads()} threads; logits have a deviation of {expected.std():.2f}\n"
    )
    print("| | median pair | 99 % of pairs | worst pair | same label | MiB | pairs/s |\n|---|---|---|---|---|---|---|")
    for name, (_, size) in models.items():
        rows = (logits[name] - expected).abs().amax(1)
        agreement = (logits[name].argmax(1) == expected.argmax(1)).double().mean()
        speed = len(expected) / statistics.median(seconds[name][1:])
        errors = f"{rows.median():.1e} | {rows.quantile(0.99):.1e} | {rows.max():.1e}"
        print(f"| {name} | {errors} | {agreement:.1%} | {size / 2**20:.1f} | {speed:,.0f} |")


if __name__ == "__main__":
    main()
