"""Measures the conversion: how exact it is on a checkpoint with reference outputs, and what bert.base's shape costs.

    python scripts/benchmarks/conversion.py [--reference FOLDER]

FOLDER holds a d2l checkpoint with 4 heads and a reference.npz: token_ids, segments, valid_lens, and d2l's own float64
`pooled` of pretrained.params. Without it only the time and the memory of a conversion of bert.base's shape (12 x 768,
60,005 tokens, random weights) are measured.
"""

import argparse
import resource
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from hf_nli.core.files import write_json
from hf_nli.d2l.checkpoint import Sizes, read_checkpoint
from hf_nli.d2l.convert import convert, with_head
from hf_nli.d2l.reference import Probe, d2l_outputs
from hf_nli.d2l.source import PARAMETERS, VOCABULARY
from hf_nli.sample.checkpoint import initial_state
from hf_nli.text.tokenizer import SPECIAL_TOKENS

BERT_BASE = Sizes(num_hiddens=768, ffn_num_hiddens=3072, num_heads=12, num_blks=12, max_len=512, vocab_size=60005)


def read_reference(file: Path, outputs: str) -> tuple[Probe, torch.Tensor]:
    """Reads a reference.npz: the pairs, and d2l's own outputs of that name."""
    with np.load(file) as arrays:
        pairs = (torch.tensor(arrays[name]).long() for name in ("token_ids", "segments", "valid_lens"))
        return Probe(*pairs), torch.tensor(arrays[outputs])


def print_differences(name: str, outputs: torch.Tensor, reference: torch.Tensor) -> None:
    """Prints a line of the table: row by row largest differences, over all rows."""
    rows = (outputs.double() - reference).abs().amax(1)
    print(f"| {name} | {rows.median():.1e} | {rows.quantile(0.99):.1e} | {rows.max():.1e} |")


@torch.inference_mode()
def exactness(folder: Path, workspace: Path) -> None:
    """Compares the converted model and d2l's function in float32 with the reference."""
    probe, reference = read_reference(folder / "reference.npz", "pooled")
    convert(str(folder), workspace / "model", num_heads=4)
    model = AutoModelForSequenceClassification.from_pretrained(workspace / "model", trust_remote_code=False).eval()
    checkpoint, _ = with_head(read_checkpoint(str(folder), num_heads=4))
    d2l, _ = d2l_outputs(checkpoint, probe, torch.float32)
    width = checkpoint.sizes.num_hiddens
    print(f"Pooled outputs of {len(reference)} pairs against d2l's float64:\n")
    print("| | median row | 99 % of rows | worst row |\n|---|---|---|---|")
    print_differences("d2l's function in float32", d2l, reference)
    pooled = model.bert(**probe.inputs).pooler_output
    print_differences("converted", pooled[:, :width], reference)


def cost(workspace: Path) -> None:
    """Times a conversion of bert.base's shape and reads this process's peak memory."""
    tokens = [*SPECIAL_TOKENS, *(f"word{index}" for index in range(BERT_BASE.vocab_size - len(SPECIAL_TOKENS)))]
    torch.save(initial_state(BERT_BASE), workspace / PARAMETERS)
    write_json(workspace / VOCABULARY, tokens)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    report = convert(str(workspace), workspace / "model", num_heads=BERT_BASE.num_heads)
    figures = f"{report.seconds:.0f} s, peak memory {(report.peak_memory or 0) / 2**30:.2f} GiB"
    print(f"bert.base's shape on {torch.get_num_threads()} threads: {figures} ({before:.2f} GiB before), ")
    print(f"largest difference {report.max_abs_difference:.1e}")


def main() -> None:
    """Runs both measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="folder of a d2l checkpoint with reference.npz")
    reference = parser.parse_args().reference
    with tempfile.TemporaryDirectory() as workspace:
        if reference:
            exactness(reference, Path(workspace))
        cost(Path(workspace))


if __name__ == "__main__":
    main()
