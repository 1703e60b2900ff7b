"""Training batches for PyTorch's DataLoader: what each process gets of an epoch, and what doesn't count."""

import numpy
from accelerate.data_loader import BatchSamplerShard
from helpers import tiny_tokenizer, write_pairs
from hypothesis import given
from hypothesis import strategies as st

from hf_nli.data.batches import epoch_batches
from hf_nli.data.load import load_nli
from hf_nli.data.loader import NOT_COUNTED, StepSampler, part_loader
from hf_nli.data.table import TokenTable
from hf_nli.text.encoding import encode


@given(
    rows=st.integers(1, 200),
    batch_size=st.integers(1, 50),
    processes=st.integers(1, 5),
    parts=st.integers(1, 5),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 5),
)
def test_processes_take_the_same_steps_and_every_row_once(rows, batch_size, processes, parts, seed, epoch):
    lengths = numpy.random.default_rng(seed).integers(5, 60, rows)
    sampler = StepSampler(lengths, batch_size, processes, parts, seed, True)
    sampler.set_epoch(epoch)
    # As Accelerate deals them out.
    dealt = [list(BatchSamplerShard(sampler, processes, process)) for process in range(processes)]
    expected = epoch_batches(lengths, batch_size * processes * parts, seed, epoch + 1)
    assert [len(batches) for batches in dealt] == [len(expected) * parts] * processes
    assert len(sampler) == len(expected) * parts * processes
    for step, batch in enumerate(expected):
        taken = [part for mine in dealt for batches in mine[step * parts : (step + 1) * parts] for part in batches]
        assert sorted(row for part in taken if part.counts for row in part.rows) == sorted(batch)
        assert all(len(part.rows) <= batch_size for part in taken)


def test_what_does_not_count_has_no_label(tmp_path):
    """Of 34 pairs, in steps of 4 parts of 8, the second step has 2."""
    tokenizer = tiny_tokenizer()
    pairs = load_nli(write_pairs(tmp_path / "pairs.jsonl"))["train"].select(range(34))
    table = TokenTable.open(encode(pairs, tokenizer, 32), tokenizer)
    sampler = StepSampler(table.lengths, 8, 1, 4, 1, False)
    loader = part_loader(table, sampler, num_workers=0, pin_memory=False)
    batches = list(loader)
    assert len(batches) == len(loader) == 8
    assert sorted(len(batch["labels"]) for batch in batches) == [1, 1, 1, 1, 8, 8, 8, 8]
    labels = sorted(label for batch in batches for label in batch["labels"].tolist())
    assert labels == [NOT_COUNTED] * 2 + sorted(pairs["label"])
    assert all(batch["input_ids"].shape == batch["attention_mask"].shape for batch in batches)
