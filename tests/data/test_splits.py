"""What a run trains and what it validates on."""

import logging

import pytest
from nli_files import EXPECTED, PAIRS, write_jsonl, write_release

from hf_nli.core.errors import InputError
from hf_nli.data.load import load_nli
from hf_nli.data.splits import RunSources, count_shared
from hf_nli.settings.options import DataOptions

OPTIONS = DataOptions()


def test_split_set_aside_by_seed(tmp_path, caplog):
    rows = [dict(PAIRS[0], hypothesis=f"{index}") for index in range(100)]
    source = write_jsonl(tmp_path / "pairs.jsonl", rows)
    caplog.set_level(logging.INFO, "hf_nli")
    pairs = RunSources(source, None, OPTIONS).read(1)
    train, validation, dropped = pairs.train, pairs.validation, pairs.dropped
    assert (len(train), len(validation), dropped) == (95, 5, 0)
    assert sorted([*train["hypothesis"], *validation["hypothesis"]]) == sorted(row["hypothesis"] for row in rows)
    assert "5 of 100 training rows (5%) set aside by seed 1" in caplog.text
    assert RunSources(source, None, OPTIONS).read(1).validation.to_list() == validation.to_list()
    assert RunSources(source, None, OPTIONS).read(2).validation.to_list() != validation.to_list()


def test_validation_comes_from_where_it_is_said_to(tmp_path):
    write_release(tmp_path / "snli_1.0", ".jsonl", {"train": PAIRS, "dev": PAIRS[:1], "test": PAIRS[:2]})
    release, other = str(tmp_path / "snli_1.0"), write_jsonl(tmp_path / "other.jsonl", PAIRS[2:])
    assert RunSources(release, None, OPTIONS).read(0).train.to_list() == EXPECTED
    assert RunSources(release, None, OPTIONS).read(0).validation.to_list() == EXPECTED[:1]
    assert RunSources(release, other, OPTIONS).read(0).validation.to_list() == EXPECTED[2:]
    assert RunSources(other, release, OPTIONS).read(0).validation.to_list() == EXPECTED[:1]
    with pytest.raises(InputError, match="one row can't be split"):
        RunSources(other, None, OPTIONS).read(0)


def test_two_way_data_need_a_two_way_model(tmp_path):
    two_way = write_jsonl(tmp_path / "two.jsonl", [dict(pair, label="not_entailment") for pair in PAIRS])
    other = write_jsonl(tmp_path / "three.jsonl", PAIRS)
    for sources in ((two_way, None), (other, two_way), ([other, two_way], None)):
        with pytest.raises(InputError, match="two.jsonl: its labels are entailment, not_entailment; .* two_way"):
            RunSources(*sources, OPTIONS).read(0)


def test_pairs_in_both_are_counted(tmp_path, caplog):
    rows = [dict(PAIRS[0], hypothesis=f"number {index}") for index in range(20_000)]
    rows += [dict(PAIRS[0], premise="number 1", hypothesis="2"), dict(PAIRS[0], premise="number", hypothesis="1 2")]
    source = write_jsonl(tmp_path / "pairs.jsonl", rows + rows[:2])
    others = [*rows[:3], dict(PAIRS[0], hypothesis="new"), dict(PAIRS[0], premise="number 1 2", hypothesis="")]
    other = write_jsonl(tmp_path / "other.jsonl", others)
    assert count_shared(load_nli(source)["train"], load_nli(other)["train"]) == 5
    assert count_shared(load_nli(other)["train"], load_nli(source)["train"]) == 3
    RunSources(source, other, OPTIONS).read(0)
    assert "5 of 20004 training pairs are validation pairs too" in caplog.text
    caplog.clear()
    write_jsonl(tmp_path / "other.jsonl", others[3:])
    RunSources(source, other, OPTIONS).read(0)
    assert "validation pairs too" not in caplog.text


def test_what_was_validated_on_is_named(tmp_path):
    """In words that may be published: no path, and no split that nothing speaks of."""
    write_release(tmp_path / "snli_1.0", ".jsonl", {"train": PAIRS, "dev": PAIRS[:1]})
    rows = [dict(PAIRS[0], hypothesis=f"{index}") for index in range(100)]
    release, pairs = str(tmp_path / "snli_1.0"), write_jsonl(tmp_path / "pairs.jsonl", rows)
    dev = write_jsonl(tmp_path / "other_dev.jsonl", PAIRS)
    expected = {
        (release, None): "snli_1.0, validation",
        (pairs, release): "snli_1.0, validation",
        (release, dev): "other_dev.jsonl, validation",
        (release, pairs): "pairs.jsonl",
        (pairs, None): "5 % of the training rows",
    }
    for (dataset, validation), name in expected.items():
        assert RunSources(dataset, validation, OPTIONS).read(0).validated_on == name


def test_a_single_file_can_be_trained_on_whatever_its_name(tmp_path):
    rows = [dict(PAIRS[0], hypothesis=f"{index}") for index in range(20)]
    pairs = RunSources(write_jsonl(tmp_path / "snli_1.0_dev.jsonl", rows), None, OPTIONS).read(0)
    assert (len(pairs.train), len(pairs.validation)) == (19, 1)


@pytest.mark.parametrize("test", [[dict(PAIRS[0], label="-")], None])
def test_a_test_split_without_labels_is_as_good_as_none(test, tmp_path):
    splits = {"train": PAIRS, "dev": PAIRS[:1]} | ({"test": test} if test else {})
    write_release(tmp_path / "snli_1.0", ".jsonl", splits)
    assert RunSources(str(tmp_path / "snli_1.0"), None, OPTIONS).read(0, with_test=True).test is None
    write_release(tmp_path / "labelled", ".jsonl", splits | {"test": PAIRS[1:]})
    pairs = RunSources(str(tmp_path / "labelled"), None, OPTIONS).read(0, with_test=True)
    assert pairs.test.to_list() == EXPECTED[1:]
    assert RunSources(str(tmp_path / "labelled"), None, OPTIONS).read(0).test is None
