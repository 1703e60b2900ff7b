"""Measures what the forward pass could do in other ways, forwards and backwards, on batches with a data set's lengths.

    python scripts/benchmarks/attention.py --dataset DATA [--batch_size 64] [--hidden_size 288] [--heads 4]

Attention, of hidden states that lie flat, one sequence after the other:
- by length: `engine.layout.Flat`, products of neighbours of the same length;
- padded: SDPA with a mask, of what is padded before and taken apart afterwards;
- padded all along: the same where hidden states stay padded, `engine.layout.Padded`;
- nested: SDPA of nested (jagged) tensors;
- one by one: SDPA of each sequence.

The projections to query, key and value: one product of the three weights, or three products.

Batches are of like length, as training makes them, or random. Rounds alternate, the first one warms up, medians count.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from hf_nli.data.batches import epoch_batches
from hf_nli.data.load import load_nli
from hf_nli.engine.layout import Flat, Padded
from hf_nli.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def attentions(offsets: Tensor) -> dict[str, Attention]:
    """Each way to compute attention over (tokens, heads, size), but for "padded all along"."""
    lengths = offsets.diff()
    mask = torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
    sizes = lengths.tolist()

    def padded(*each: Tensor) -> Tensor:
        q, k, v = (pad_sequence(part.split(sizes), batch_first=True) for part in each)
        return Padded(mask).attend(q, k, v, 0.0)[mask]

    def nested(*each: Tensor) -> Tensor:
        q, k, v = (torch.nested.nested_tensor_from_jagged(part, offsets).transpose(1, 2) for part in each)
        return F.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2).values()

    def single(*each: Tensor) -> Tensor:
        parts = zip(*(part.split(sizes) for part in each), strict=True)
        heads_first = ([part.transpose(0, 1) for part in qkv] for qkv in parts)
        outputs = [F.scaled_dot_product_attention(q, k, v, scale=1.0) for q, k, v in heads_first]
        return torch.cat([output.transpose(0, 1) for output in outputs])

    return {
        "by length": partial(Flat(offsets).attend, dropout=0.0),
        "padded": padded,
        "nested": nested,
        "one by one": single,
    }


def measured(work: dict[str, Callable[[], Tensor]], rounds: int, device: str) -> dict[str, float]:
    """Milliseconds of each, forwards and backwards."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, compute in work.items():
            started = time.perf_counter()
            compute().sum().backward()
            if device == "cuda":
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - started)
    return {name: 1e3 * statistics.median(each[1:]) for name, each in times.items()}


def compare(setting: argparse.Namespace, lengths: numpy.ndarray) -> dict[str, float]:
    """Milliseconds of each way, for a batch of sequences of these lengths, from the longest to the shortest."""
    device, width, heads = setting.device, setting.hidden_size, setting.heads
    offsets = F.pad(torch.from_numpy(lengths).cumsum(0), (1, 0)).to(device)
    shape = (int(offsets[-1]), heads, width // heads)
    qkv = [torch.randn(shape, device=device, requires_grad=True) for _ in range(3)]
    work: dict[str, Callable[[], Tensor]] = {
        name: partial(attend, *qkv) for name, attend in attentions(offsets).items()
    }
    mask = torch.arange(lengths[0], device=device) < torch.from_numpy(lengths).to(device)[:, None]
    wide = [torch.randn(*mask.shape, *shape[1:], device=device, requires_grad=True) for _ in range(3)]
    work["padded all along"] = lambda: Padded(mask).attend(wide[0], wide[1], wide[2], 0.0)
    hidden = torch.randn(shape[0], width, device=device, requires_grad=True)
    weights = [torch.randn(width, width, device=device, requires_grad=True) for _ in range(3)]
    work["one projection"] = lambda: F.linear(hidden, torch.cat(weights))
    work["three projections"] = lambda: torch.stack([F.linear(hidden, weight).sum() for weight in weights])
    return measured(work, setting.rounds, device)


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--hidden_size", type=int, default=288)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    setting = parser.parse_args()
    torch.set_flush_denormal(True)
    pairs = load_nli(setting.dataset)["train"].select(range(setting.rows))
    tokenizer = build_tokenizer(list(SPECIAL_TOKENS), 512)
    texts = tokenizer(pairs["premise"][:], pairs["hypothesis"][:])
    lengths = numpy.array([len(ids) for ids in texts["input_ids"]])
    columns = {}
    for name, grouped in (("like length", True), ("random", False)):
        batch = epoch_batches(lengths, setting.batch_size, seed=1, epoch=1, group_by_length=grouped)[0]
        columns[name] = compare(setting, lengths[batch])
    print(f"batch {setting.batch_size}, width {setting.hidden_size}, {torch.get_num_threads()} threads; milliseconds")
    print(f"| | {' | '.join(f'{name} batch' for name in columns)} |\n|---|---|---|")
    for way in columns["random"]:
        print(f"| {way} | {' | '.join(f'{each[way]:.2f}' for each in columns.values())} |")


if __name__ == "__main__":
    main()
