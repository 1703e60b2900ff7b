"""The offsets of the tokens: which characters of the text each of them stands for."""

import json
import re

import pytest
from helpers import cut

from hf_nli.text.tokenizer import SPECIAL_TOKENS, build_tokenizer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("He isn't here.", {"he": "He", "is": "is", "n't": "n't", "here": "here", ".": "."}),
        ("WON'T", {"wo": "WO", "n't": "N'T"}),
        ("It’s Ann’s", {"it": "It", "'s": "’s", "ann": "Ann"}),
        ("cannot gonna", {"can": "can", "not": "not", "gon": "gon", "na": "na"}),
        ('"Hi" [a]', {"``": '"', "hi": "Hi", "''": '"', "-lsb-": "[", "a": "a", "-rsb-": "]"}),
        ("a----b – c", {"a": "a", "--": "----", "b": "b", "c": "c"}),
        ("a.....b…", {"a": "a", "...": ".....", "b": "b"}),
        ("É 😍 B", {"é": "É", "😍": "😍", "b": "B"}),
        ("a <sep> b", {"a": "a", "<": "<", "sep": "sep", ">": ">", "b": "b"}),
        ("in the U.S.", {"in": "in", "the": "the", "u.s.": "U.S.", ".": "."}),
    ],
)
def test_offsets_cover_the_words(text, words):
    """The first time that each token comes."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *words], max_length=128)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    found: dict[str, str] = {}
    for token, (start, end) in zip(encoded.tokens(), encoded["offset_mapping"], strict=True):
        found.setdefault(token, text[start:end])
    assert {token: part for token, part in found.items() if token != "<unk>"} == words


def test_offsets_of_a_negation():
    tokenizer = build_tokenizer(list(SPECIAL_TOKENS), max_length=128)
    encoded = tokenizer("He isn't here.", add_special_tokens=False, return_offsets_mapping=True)
    assert encoded["offset_mapping"] == [(0, 2), (3, 5), (5, 8), (9, 13), (13, 14)]


def test_offsets_of_the_wikitext_style():
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, "don", "'t", "@-@", "a"], 128, "wikitext")
    encoded = tokenizer("do n't a-a", add_special_tokens=False, return_offsets_mapping=True)
    assert encoded.tokens() == ["don", "'t", "a", "@-@", "a"]
    assert encoded["offset_mapping"] == [(0, 4), (4, 6), (7, 8), (8, 9), (9, 10)]


# What marks become, beside themselves in lower case.
MARKS = {'"': ["``", "''"], "'": ["`"], "’": ["'"], "“": ["``"], "”": ["''"], "–": ["--"], "—": ["--"], "…": ["..."]}
MARKS |= {bracket: [f"-{name}-"] for bracket, name in zip("()[]{}", "lrb rrb lsb rsb lcb rcb".split(), strict=True)}


def test_offsets_of_the_whole_development_split(shared):
    """Each token stands for the slice that it says, and together they cover every character that isn't a space."""
    with (shared / "data/snli/dev_9842.jsonl").open(encoding="utf-8") as raw:
        texts = sorted({row[side] for row in map(json.loads, raw) for side in ("premise", "hypothesis")})
    tokenizer = build_tokenizer(list(SPECIAL_TOKENS), max_length=128)
    tokens = {token for text in texts for token in cut(tokenizer, text)}
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *tokens - set(SPECIAL_TOKENS)], max_length=128)
    wrong, twice, count = [], [], 0
    for text in texts:
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        covered = [0] * len(text)
        for token, (start, end) in zip(encoded.tokens(), encoded["offset_mapping"], strict=True):
            part, count = text[start:end], count + 1
            covered[start:end] = [times + 1 for times in covered[start:end]]
            if token not in (part.lower(), part.lower().replace("’", "'"), *MARKS.get(part, ())):
                if not re.fullmatch(r"--+|\.{3,}", part) or token != part[: len(token)]:
                    wrong.append((text, token, part))
        assert all(times == 0 for char, times in zip(text, covered, strict=True) if char.isspace())
        assert all(times > 0 for char, times in zip(text, covered, strict=True) if not char.isspace())
        if max(covered) > 1:
            twice.append(text)
    assert wrong == []
    assert count == 131_523
    assert len(twice) == 1 and twice[0].endswith("t.v.")  # whose full stop ends the sentence too
