"""What a run trains and what it validates on."""

import logging

import pytest
from nli_files import EXPECTED, PAIRS, write_jsonl, write_release

from hf_nli.core.errors import InputError
from hf_nli.data.load import load_nli
from hf_nli.data.splits import count_shared, read_splits
from hf_nli.settings.options import DataOptions

OPTIONS = DataOptions()


def test_split_set_aside_by_seed(tmp_path, caplog):
    rows = [dict(PAIRS[0], hypothesis=f"{index}") for index in range(100)]
    source = write_jsonl(tmp_path / "pairs.jsonl", rows)
    caplog.set_level(logging.INFO, "hf_nli")
    pairs = read_splits(source, None, OPTIONS, seed=1)
    train, validation, dropped = pairs.train, pairs.validation, pairs.dropped
    assert (len(train), len(validation), dropped) == (95, 5, 0)
    assert sorted([*train["hypothesis"], *validation["hypothesis"]]) == sorted(row["hypothesis"] for row in rows)
    assert "5 of 100 training rows (5%) set aside by seed 1" in caplog.text
    assert read_splits(source, None, OPTIONS, seed=1).validation.to_list() == validation.to_list()
    assert read_splits(source, None, OPTIONS, seed=2).validation.to_list() != validation.to_list()


def test_validation_comes_from_where_it_is_said_to(tmp_path):
    write_release(tmp_path / "snli_1.0", ".jsonl", {"train": PAIRS, "dev": PAIRS[:1], "test": PAIRS[:2]})
    release, other = str(tmp_path / "snli_1.0"), write_jsonl(tmp_path / "other.jsonl", PAIRS[2:])
    assert read_splits(release, None, OPTIONS, 0).train.to_list() == EXPECTED
    assert read_splits(release, None, OPTIONS, 0).validation.to_list() == EXPECTED[:1]
    assert read_splits(release, other, OPTIONS, 0).validation.to_list() == EXPECTED[2:]
    assert read_splits(other, release, OPTIONS, 0).validation.to_list() == EXPECTED[:1]
    with pytest.raises(InputError, match="one row can't be split"):
        read_splits(other, None, OPTIONS, 0)


def test_two_way_data_are_not_trained_on(tmp_path):
    two_way = write_jsonl(tmp_path / "two.jsonl", [dict(pair, label="not_entailment") for pair in PAIRS])
    other = write_jsonl(tmp_path / "three.jsonl", PAIRS)
    for sources in ((two_way, None), (other, two_way)):
        with pytest.raises(InputError, match="two.jsonl: its labels are entailment, not_entailment; .* evaluated"):
            read_splits(*sources, OPTIONS, 0)


def test_pairs_in_both_are_counted(tmp_path, caplog):
    rows = [dict(PAIRS[0], hypothesis=f"number {index}") for index in range(20_000)]
    rows += [dict(PAIRS[0], premise="number 1", hypothesis="2"), dict(PAIRS[0], premise="number", hypothesis="1 2")]
    source = write_jsonl(tmp_path / "pairs.jsonl", rows + rows[:2])
    others = [*rows[:3], dict(PAIRS[0], hypothesis="new"), dict(PAIRS[0], premise="number 1 2", hypothesis="")]
    other = write_jsonl(tmp_path / "other.jsonl", others)
    assert count_shared(load_nli(source)["train"], load_nli(other)["train"]) == 5
    assert count_shared(load_nli(other)["train"], load_nli(source)["train"]) == 3
    read_splits(source, other, OPTIONS, 0)
    assert "5 of 20004 training pairs are validation pairs too" in caplog.text
    caplog.clear()
    write_jsonl(tmp_path / "other.jsonl", others[3:])
    read_splits(source, other, OPTIONS, 0)
    assert "validation pairs too" not in caplog.text
