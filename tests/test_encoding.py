"""Pairs to ids, with d2l's truncation."""

import json
import re

import pytest
from helpers import tiny_tokenizer

from hf_nli.encoding import _kept_positions, encode_pairs
from hf_nli.tokenization import build_tokenizer


def d2l_truncate(premise, hypothesis, max_len):
    """`SNLIBERTDataset._truncate_pair_of_tokens` of d2l's section "Fine-Tuning BERT", which its package leaves out."""
    while len(premise) + len(hypothesis) > max_len - 3:
        if len(premise) > len(hypothesis):
            premise.pop()
        else:
            hypothesis.pop()


@pytest.mark.parametrize("max_len", range(8, 65))
def test_truncation_is_d2ls_for_all_lengths(max_len):
    for p in range(81):
        for h in range(81):
            premise, hypothesis = list(range(p)), list(range(100, 100 + h))
            positions = [None, *range(p), None, *range(100, 100 + h), None]
            sequence_ids = [None] + [0] * p + [None] + [1] * h + [None]
            d2l_truncate(premise, hypothesis, max_len)
            kept = [positions[position] for position in _kept_positions(sequence_ids, max_len)]
            assert kept == [None, *premise, None, *hypothesis, None], (p, h)


def test_pairs_are_cut_on_both_sides():
    tokenizer = tiny_tokenizer(["a", "b", "c", "d", "e"])
    encoded = encode_pairs(tokenizer, ["a b c d e", "a"], ["e d c b a", "b"], max_length=8)
    tokens = [tokenizer.convert_ids_to_tokens(row) for row in encoded["input_ids"]]
    assert tokens == [["<cls>", "a", "b", "c", "<sep>", "e", "d", "<sep>"], ["<cls>", "a", "<sep>", "b", "<sep>"]]
    assert encoded["token_type_ids"] == [[0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1]]
    assert encoded["attention_mask"] == [[1] * 8, [1] * 5]


@pytest.mark.parametrize("max_length", [31, 32, 50, 64, 128])
def test_ids_segments_and_lengths_are_d2ls_on_real_pairs(max_length, shared, d2l):
    """From the binary parses of the release, as d2l reads them."""
    vocabulary = json.loads((shared / "checkpoints/d2l_bert_small/vocab.json").read_text())
    ids = {token: index for index, token in enumerate(vocabulary)}
    rows = [line.split("\t") for line in (shared / "data/snli/snli_1.0_dev.txt").read_text().splitlines()[1:]]
    rows = [row for row in rows if row[0] in ("entailment", "contradiction", "neutral")]
    texts = [[re.sub(r"\s{2,}", " ", re.sub(r"[()]", "", row[side])).strip() for row in rows] for side in (1, 2)]
    encoded = encode_pairs(build_tokenizer(vocabulary, 512), *texts, max_length)
    for row, (premise, hypothesis) in enumerate(zip(*texts, strict=True)):
        pair = d2l.tokenize([premise.lower(), hypothesis.lower()])
        d2l_truncate(*pair, max_length)
        tokens, segments = d2l.get_tokens_and_segments(*pair)
        assert encoded["input_ids"][row] == [ids.get(token, ids["<unk>"]) for token in tokens]
        assert encoded["token_type_ids"][row] == segments
        assert len(encoded["attention_mask"][row]) == len(tokens)
    assert len(rows) == 1273
