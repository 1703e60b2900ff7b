"""The order of the batches, each process's part of them, and what a batch holds."""

from dataclasses import replace

import numpy
import torch
from datasets import Dataset, Features, Value
from helpers import tiny_tokenizer, write_pairs
from hypothesis import given
from hypothesis import strategies as st
from transformers import DataCollatorWithPadding

from hf_nli.data.batches import epoch_batches, share
from hf_nli.data.load import load_nli
from hf_nli.data.table import TokenTable
from hf_nli.text.encoding import encode

LENGTHS = numpy.random.default_rng(0).integers(5, 60, 5000)


def padding(batches):
    """The share of padding in them."""
    positions = sum(len(rows) * LENGTHS[rows].max() for rows in batches)
    return 1 - LENGTHS.sum() / positions


@st.composite
def epochs(draw):
    """The arguments of `epoch_batches`, for any data set of up to 300 rows."""
    # Of a list of its own, hypothesis tries short ones only.
    rows, longest, seed = draw(st.integers(1, 300)), draw(st.integers(1, 60)), draw(st.integers(0, 2**32 - 1))
    lengths = numpy.random.default_rng(seed).integers(1, longest, rows, endpoint=True)
    return lengths, draw(st.integers(1, 400)), seed, draw(st.integers(1, 9)), draw(st.booleans())


@given(epochs())
def test_every_row_is_in_one_batch(epoch):
    lengths, batch_size, *_ = epoch
    batches = epoch_batches(*epoch)
    assert sorted(numpy.concatenate(batches)) == list(range(len(lengths)))
    sizes = sorted(map(len, batches), reverse=True)
    full, rest = divmod(len(lengths), batch_size)
    assert sizes == [batch_size] * full + [rest] * (rest > 0)


@given(epochs(), st.integers(1, 2000))
def test_every_row_is_in_one_batch_of_so_many_tokens(epoch, tokens):
    lengths = epoch[0]
    batches = epoch_batches(*epoch, tokens_per_batch=tokens)
    assert sorted(numpy.concatenate(batches)) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * lengths[rows].max() <= tokens


@given(epochs(), st.integers(1, 6), st.integers(1, 6), st.none() | st.integers(1, 2000))
def test_every_row_counts_once_whatever_the_processes(epoch, processes, parts, tokens):
    batches = epoch_batches(*epoch, tokens_per_batch=tokens)
    counted = []
    for batch in batches:
        shares = [share(batch, process, processes, parts) for process in range(processes)]
        assert [len(mine) for mine in shares] == [parts] * processes  # so that none waits for another
        taken = [[part.rows.tolist() for part in mine if part.counts] for mine in shares]
        sizes = [sum(map(len, mine)) for mine in taken]
        assert max(sizes) - min(sizes) <= parts
        counted += [row for mine in taken for rows in mine for row in rows]
        # One that doesn't count is there for its process to have something to compute.
        fillers = [part.rows.tolist() for mine in shares for part in mine if not part.counts]
        assert all(len(rows) == 1 and rows[0] in batch for rows in fillers)
    assert sorted(counted) == list(range(len(epoch[0])))


def test_order_is_a_function_of_seed_and_epoch():
    numpy.random.seed(1)
    torch.manual_seed(1)
    orders = {
        key: numpy.concatenate(epoch_batches(LENGTHS, 16, *key)).tolist() for key in ((1, 1), (1, 2), (2, 1), (12, 1))
    }
    numpy.random.seed(2)
    torch.manual_seed(2)
    assert numpy.concatenate(epoch_batches(LENGTHS, 16, 1, 1)).tolist() == orders[1, 1]
    assert len(set(map(tuple, orders.values()))) == 4


def test_like_lengths_save_padding():
    grouped, random = (epoch_batches(LENGTHS, 32, 1, 1, group) for group in (True, False))
    assert padding(grouped) < 0.1 < 0.3 < padding(random)
    assert all((numpy.diff(LENGTHS[rows]) <= 0).all() for rows in grouped)
    means = [LENGTHS[rows].mean() for rows in grouped]
    assert abs(numpy.corrcoef(means, range(len(means)))[0, 1]) < 0.3  # batches aren't in order of length


def test_small_data_are_mixed_anew_in_each_epoch():
    """Sorting all of them would put the same pairs together every time."""
    batches = [{frozenset(rows) for rows in epoch_batches(LENGTHS[:200], 16, 1, epoch)} for epoch in (1, 2)]
    assert len(batches[0] & batches[1]) <= 1


def test_a_token_budget_is_used():
    batches = epoch_batches(LENGTHS, 32, 1, 1, tokens_per_batch=2048)
    assert numpy.mean([len(rows) * LENGTHS[rows].max() for rows in batches]) > 0.85 * 2048


def test_batches_are_what_transformers_makes(tmp_path):
    """Against `DataCollatorWithPadding` on the same rows, from the cache as well."""
    tokenizer = tiny_tokenizer()
    encoded = encode(load_nli(write_pairs(tmp_path / "pairs.jsonl"))["train"], tokenizer, 32)
    collate = DataCollatorWithPadding(tokenizer)
    for _ in range(2):
        table = TokenTable.open(encoded, tokenizer)
        assert len(table) == len(encoded) == 144
        for rows in ([0], [143, 3], list(range(144))):
            expected = collate([encoded[row] for row in rows])
            batch = table.batch(numpy.array(rows))
            assert set(batch) == set(expected)
            for name, values in expected.items():
                assert torch.equal(batch[name], values), name


def test_empty_texts_and_parts_of_a_data_set():
    features = Features(premise=Value("string"), hypothesis=Value("string"), label=Value("int64"))
    rows = {"premise": ["", "a", ""], "hypothesis": ["", "", "a"], "label": [2, 1, 0]}
    tokenizer = tiny_tokenizer()
    encoded = encode(Dataset.from_dict(rows, features=features), tokenizer, 32).select([2, 0])
    batch = TokenTable.open(encoded, tokenizer).batch(numpy.array([0, 1]))
    cls, sep, pad, a = tokenizer.convert_tokens_to_ids(["<cls>", "<sep>", "<pad>", "a"])
    assert batch["input_ids"].tolist() == [[cls, sep, a, sep], [cls, sep, sep, pad]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 1, 1], [0, 0, 1, 0]]
    assert batch["labels"].tolist() == [0, 2]


def test_widths_on_a_gpu_are_few(tmp_path):
    """Multiples of 8, but no more than the longest pair takes: a model may not have more positions."""
    tokenizer = tiny_tokenizer()
    encoded = encode(load_nli(write_pairs(tmp_path / "pairs.jsonl"))["train"], tokenizer, 32)
    table = TokenTable.open(encoded, tokenizer)
    assert table.to(torch.device("cpu")).multiple == 1 and table.to(torch.device("meta")).multiple == 8
    table, shortest = replace(table, multiple=3), int(table.lengths.argmin())
    assert (table.lengths[shortest], table.lengths.max()) == (8, 9)
    plain, padded = (each.batch(numpy.array([shortest])) for each in (replace(table, multiple=1), table))
    assert padded["input_ids"].shape == (1, 9)
    assert torch.equal(padded["input_ids"][:, :8], plain["input_ids"])
    assert padded["input_ids"][0, 8] == tokenizer.pad_token_id and padded["attention_mask"].sum() == 8
    assert replace(table, multiple=4).width(numpy.arange(144)) == 9
