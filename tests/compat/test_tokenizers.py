"""tokenizer.json by the `tokenizers` library alone: ids and segments as where the folders were written."""

from pathlib import Path

import pytest
from conftest import OURS
from tokenizers import Tokenizer

TYPED = ["<sep>", "a man <sep> b", "<CLS> a", "a<mask>b", "<pad>"]


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def test_ids(tokenizer, expected):
    assert (tokenizer.truncation, tokenizer.padding) == (None, None)
    compared = 0
    inputs = expected["inputs"]
    for pair, ids, segments in zip(expected["pairs"], inputs["input_ids"], inputs["token_type_ids"], strict=True):
        encoding = tokenizer.encode(*pair)
        if len(encoding.ids) <= expected["max_length"]:
            assert (encoding.ids, encoding.type_ids) == (ids, segments)
            compared += 1
    assert compared == 7


def test_longer_pairs_are_truncated(tokenizer, expected):
    tokenizer.enable_truncation(expected["max_length"])
    for pair, ids in zip(expected["pairs"], expected["inputs"]["input_ids"], strict=True):
        assert tokenizer.encode(*pair).ids == ids
    tokenizer.no_truncation()


@pytest.mark.parametrize("folder", OURS, indirect=True)
@pytest.mark.parametrize("text", TYPED)
def test_typed_special_tokens_are_text(tokenizer, text):
    special = [tokenizer.token_to_id(token) for token in ("<cls>", "<sep>", "<pad>", "<mask>")]
    assert [token for token in tokenizer.encode(text).ids if token in special] == special[:2]
