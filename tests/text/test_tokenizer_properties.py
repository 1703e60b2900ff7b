"""What holds for the tokens of any text."""

import re

import pytest
from helpers import cut
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.normalizers import Lowercase
from transformers import AutoTokenizer

from hf_nli.text.rules import BRACKETS
from hf_nli.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer

WORDS = "a man isn't can't cannot gonna it's O'Neil blue-striped U.S. Mr. 10,000 4:06 he/she don't 'Tis café".split()
MARKS = [*".,;:!?\"'`()[]{}<>-/&@", "...", "…", "--", "—", "“", "”", "‘", "’", "``", "''", *SPECIAL_TOKENS]
VOCABULARY = [
    *SPECIAL_TOKENS,
    "a",
    "man",
    "is",
    "n't",
    "can",
    "not",
    ".",
    "''",
    "--",
    "-lrb-",
    "café",
    "<",
    ">",
    "sep",
]

sentences = st.lists(st.sampled_from([*WORDS, *MARKS, " ", " ", "\n"]), max_size=12).map("".join)
spaced = st.lists(st.sampled_from([*WORDS, *".,;!?()[]", "...", "—", '"', "-LRB-"]), max_size=12).map(" ".join)
texts = st.one_of(sentences, st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
each = settings(deadline=None, derandomize=True, max_examples=200)

TOKENIZER = build_tokenizer(VOCABULARY, max_length=128)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(TOKENIZER, path)
    return path


@each
@given(spaced)
def test_tokens_stay_as_they_are(text):
    tokens = cut(TOKENIZER, text)
    assert cut(TOKENIZER, " ".join(tokens)) == tokens


@each
@given(texts)
def test_tokens_of_any_text_are_tokens_of_their_own_text(text):
    tokens = cut(TOKENIZER, text)
    assert cut(TOKENIZER, " ".join(tokens)) == tokens


def test_an_accent_on_an_apostrophe_does_not_open_a_quotation():
    """Found by the property above: the apostrophe opened one once a space was before it."""
    assert cut(TOKENIZER, ",'\u0301") == cut(TOKENIZER, ", '\u0301") == [",", "'\u0301"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("\"He said 'hi'\"", ["``", "he", "said", "`", "hi", "'", "''"]),
        ("“‘a’”", ["``", "`", "a", "'", "''"]),
        ("‘“a”’", ["`", "``", "a", "''", "'"]),
        ('‘"a"’', ["`", "``", "a", "''", "'"]),
        ("‘‘a’’", ["``", "a", "''"]),
    ],
)
def test_quotations_in_quotations(text, tokens):
    """Found by the property below: of `'"`, the first and half of the second mark were taken for `''`."""
    assert cut(TOKENIZER, text) == tokens


# What a character of a text may be in a token, beside itself in lower case.
WRITTEN = {"’": "['`]", "‘": "`", "“": "``", "”": "''", '"': "(?:``|'')", "'": "['`]", "…": r"\.\.\."}
WRITTEN |= dict.fromkeys("–—―", "--")
WRITTEN |= {bracket: f"-{name}-" for bracket, name in BRACKETS.items()}


def stands_for(token: str, part: str) -> bool:
    """Whether a token is the part of a text, written as the treebank writes it; long rows of marks are shortened."""
    pattern = "".join(WRITTEN.get(char, re.escape(char)) for char in Lowercase().normalize_str(part))
    pattern = re.sub(r"(?:\\-|-){3,}", "--", re.sub(r"(?:\\\.){3,}", r"\.\.\.", pattern))
    return re.fullmatch(pattern, token) is not None


@each
@given(texts)
def test_tokens_stand_for_what_their_offsets_say(text):
    tokens = cut(TOKENIZER, text)
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *sorted(set(tokens) - set(SPECIAL_TOKENS))], max_length=128)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    if text not in SPECIAL_TOKENS:
        assert encoded.tokens() == tokens
    for token, (start, end) in zip(encoded.tokens(), encoded["offset_mapping"], strict=True):
        assert stands_for(token, text[start:end]), (token, text[start:end])


@each
@given(texts)
def test_offsets_are_in_order_within_the_text(text):
    encoded = TOKENIZER(text, add_special_tokens=False, return_offsets_mapping=True)
    place = 0
    for start, end in encoded["offset_mapping"]:
        assert start < end <= len(text)
        # The full stop of an abbreviation at the end is a token of its own, too.
        assert place <= start or text[start:end] == "." and place == end
        place = end


@each
@given(texts)
def test_only_white_space_is_no_part_of_a_token(text):
    covered = set()
    for start, end in TOKENIZER(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]:
        covered |= set(range(start, end))
    left = "".join(char for place, char in enumerate(text) if place not in covered)
    assert not left.split()


@each
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_saved_and_loaded_it_gives_the_same(folder, pairs):
    expected = dict(TOKENIZER(pairs))
    assert dict(AutoTokenizer.from_pretrained(folder)(pairs)) == expected
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for pair, ids, segments in zip(pairs, expected["input_ids"], expected["token_type_ids"], strict=True):
        if not set(pair) & set(SPECIAL_TOKENS):  # which Transformers takes for the token itself
            assert (raw.encode(*pair).ids, raw.encode(*pair).type_ids) == (ids, segments)


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.permutations(VOCABULARY), st.sampled_from(["ptb", "wikitext"]), sentences)
def test_any_vocabulary_is_saved(tmp_path_factory, tokens, style, text):
    path = tmp_path_factory.mktemp("tokenizer")
    tokenizer = build_tokenizer(tokens, 64, style)
    save_tokenizer(tokenizer, path)
    loaded = AutoTokenizer.from_pretrained(path)
    assert loaded.get_vocab() == {token: index for index, token in enumerate(tokens)}
    assert loaded(text).input_ids == tokenizer(text).input_ids


@each
@given(texts.filter(lambda text: text not in SPECIAL_TOKENS))
def test_no_text_holds_a_special_token(text):
    ids = TOKENIZER(text, add_special_tokens=False).input_ids
    assert not {1, 2, 3, 4} & set(ids)  # 0 is <unk>
