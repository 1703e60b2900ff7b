"""The tokenizer against d2l's own tokens: rule by rule, on real parses, and as the object that users call."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest
import torch
from helpers import cut
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    pipeline,
)

from hf_nli.core.errors import InputError
from hf_nli.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, count_unknown, save_tokenizer

WORDS = ["a", "b", "man", "dog", "'s", "is", "n't", ".", ",", "<", ">", "sep", "cls", "mask", "pad", "unk", "se", "p"]
TOKENS = [*SPECIAL_TOKENS, *WORDS]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(TOKENS, max_length=128)


def d2l_text(parse: str) -> str:
    """A binary parse as d2l's `read_snli` reads it."""
    return re.sub(r"\s{2,}", " ", re.sub(r"[()]", "", parse)).strip()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Two women are embracing.", "two women are embracing ."),
        # negation, clitics, genitives
        ("He DOESN'T, can't, won't.", "he does n't , ca n't , wo n't ."),
        ("I'm sure they've gone; we'll see, he'd say.", "i 'm sure they 've gone ; we 'll see , he 'd say ."),
        ("The dog’s feet, the dogs' feet, the U.S.'s", "the dog 's feet , the dogs ' feet , the u.s. 's"),
        ("This women's-only gym, a bird's-eye view", "this women 's - only gym , a bird 's - eye view"),
        ("couldn't've; don'ts", "could n't 've ; don'ts"),
        # words the treebank takes apart, and words that only look like them
        ("I cannot, gonna, wanna, gotta, lemme, gimme", "i can not , gon na , wan na , got ta , lem me , gim me"),
        ("A toucan notices gonnas and cannots", "a toucan notices gonnas and cannots"),
        ("'Tis, 'twas, 'tisn't", "'t is , 't was , 't is n't"),
        # apostrophes that belong to the word
        ("O'Neil eats s'mores at ten o'clock", "o'neil eats s'mores at ten o'clock"),
        ("rock 'n' roll of the '60s, give 'em '14", "rock 'n' roll of the '60s , give 'em '14"),
        # quotation marks
        ('He says "hello".', "he says `` hello '' ."),
        ('He says ("hello there!")', "he says -lrb- `` hello there ! '' -rrb-"),
        ("“Curly” and ‘curly’", "`` curly '' and ` curly '"),
        ("It says 'free car washes'.", "it says ` free car washes ' ."),
        ("the words' hippie killer' in", "the words ' hippie killer ' in"),
        ("``Old'' style, happy`", "`` old '' style , happy `"),
        # brackets
        ("(a) [b] {c}", "-lrb- a -rrb- -lsb- b -rsb- -lcb- c -rcb-"),
        # dashes, hyphens, slashes, ampersands
        ("well -- no — ok – x--y ---z", "well -- no -- ok -- x -- y -- z"),
        ("port-o-potties, U.S.-led, hair- all", "port-o-potties , u.s.-led , hair - all"),
        ("he/she A/C 20/20 or so/", "he/she a/c 20/20 or so /"),
        ("R&B, M&Ms, jeans,& a brown& white", "r&b , m&ms , jeans , & a brown & white"),
        # full stops
        ("Mr. Smith met Dr. No. They left.", "mr. smith met dr. no . they left ."),
        ("J. R. Smith saw plan B.", "j. r. smith saw plan b ."),
        ("No. 7 said no. No one, at 8 a.m. sharp", "no. 7 said no . no one , at 8 a.m. sharp"),
        ('In the U.S. Navy, "in the U.S."', "in the u.s. navy , `` in the u.s. . ''"),
        ("Tea, milk, etc.", "tea , milk , etc. ."),
        ("Cakes etc... and so on", "cakes etc ... and so on"),
        ("Wait... what… no.... go.. at 8 p.m..", "wait ... what ... no ... go .. at 8 p.m. ."),
        ("snow.The man at statefarm.com", "snow.the man at statefarm.com"),
        # numbers
        ("10,000 at 53:11, 4:06pm, 2.5,3 ft. tall", "10,000 at 53:11 , 4:06pm , 2.5,3 ft. tall"),
        ("a,b c:d 1,a", "a , b c : d 1 , a"),
        # everything else is a token of its own
        ("#12 for $20! 50%? 8+ @ x*", "# 12 for $ 20 ! 50 % ? 8 + @ x *"),
        ("I<3NY a\\", "i < 3ny a \\"),
    ],
)
def test_rules(tokenizer, text, tokens):
    assert cut(tokenizer, text) == tokens.split()
    assert cut(tokenizer, tokens) == tokens.split()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("   ", []),
        ("\u2003\x1c\u3000", []),
        ("😍😍 👩\u200d👧 ❤\ufe0f", ["😍", "😍", "👩\u200d", "👧", "❤\ufe0f"]),
        ("你好，世界。", ["你好", "，", "世界", "。"]),
        ("Cafe\u0301 N\u0303o", ["cafe\u0301", "n\u0303o"]),
        ("a\u200bb.\u200b \ufeffc", ["a\u200bb", ".", "\u200b", "\ufeffc"]),  # invisible, but no space to d2l either
        ("a\x00b \x07.", ["a\x00b", "\x07", "."]),
        ("½ ١٬٠٠٠ snake_case", ["½", "١", "٬", "٠٠٠", "snake_case"]),
    ],
)
def test_characters_beyond_plain_english(tokenizer, text, tokens):
    assert cut(tokenizer, text) == tokens
    assert len(tokenizer(text).input_ids) == len(tokens) + 2


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("He DOESN'T, can't, won't; it's", "he doesn 't , can 't , won 't ; it 's"),
        ("the dogs' feet, O'Neil at ten o’clock", "the dogs ' feet , o 'neil at ten o 'clock"),
        ("I cannot, I'm gonna", "i cannot , i 'm gonna"),
        ("a blue-striped port-o-potty - 3-4", "a blue @-@ striped port @-@ o @-@ potty - 3 @-@ 4"),
        ("10,000,000 at 2.5, 3", "10 @,@ 000 @,@ 000 at 2 @.@ 5 , 3"),
        ('He says "hello", “hi” and ‘ho’', 'he says " hello " , " hi " and \' ho \''),
        ("(a) [b] {c}", "( a ) [ b ] { c }"),
        ("well -- no — ok – x--y…", "well – no — ok – x – y ..."),
        ("Mr. J. Smith in the U.S. Navy, No. 7, U.S.-led.", "mr. j. smith in the u.s. navy , no. 7 , u.s.-led ."),
        ("he/she R&B 4:06 $20 50%", "he / she r & b 4 : 06 $ 20 50 %"),
        # the treebank's words, as in the release's parses
        ("He does n't , wo n't -LRB- `` a '' ` b ' -RRB- .", "he doesn 't , won 't ( \" a \" ' b ' ) ."),
        ("a < sep> b <sep>", "a < sep > b < sep >"),
        ("", ""),
    ],
)
def test_wikitext_rules(text, tokens):
    tokenizer = build_tokenizer(TOKENS, max_length=128, text_style="wikitext")
    assert cut(tokenizer, text) == tokens.split()
    if "'neil" not in tokens:  # apart, it could be a quotation as well
        assert cut(tokenizer, tokens) == tokens.split()


def test_unknown_text_style():
    with pytest.raises(InputError, match="no text style 'moses'; choose ptb or wikitext"):
        build_tokenizer(TOKENS, max_length=128, text_style="moses")


def test_wikitext_style_is_kept(tmp_path):
    save_tokenizer(build_tokenizer([*TOKENS, "@-@", "'t"], 128, "wikitext"), tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.init_kwargs["text_style"] == "wikitext"
    assert loaded.tokenize("a-b man 't") == ["a", "@-@", "b", "man", "'t"]


def test_unknown_words_are_counted(tokenizer):
    assert count_unknown(tokenizer, iter(["A man isn't blue.", "", "<sep> <unk>"])) == (1, 12)
    assert count_unknown(tokenizer, []) == (0, 0)


def test_splits_on_every_white_space_of_python(tokenizer):
    spaces = [char for char in map(chr, range(sys.maxunicode + 1)) if char.isspace()]
    text = "a".join(["", *spaces, ""])
    assert len(spaces) > 25
    assert cut(tokenizer, text) == text.split()


def test_lone_surrogate_is_refused(tokenizer):
    """It isn't text: no UTF-8 exists for it, and `tokenizers` says so before anything is computed."""
    with pytest.raises(TypeError):
        tokenizer("a \ud83d b")


def test_raw_sentences_give_the_tokens_of_the_parses(shared):
    rows = [json.loads(line) for line in (shared / "data/snli/snli_1.0_dev.jsonl").open(encoding="utf-8")]
    parses = {row[f"sentence{i}"]: d2l_text(row[f"sentence{i}_binary_parse"]) for row in rows for i in (1, 2)}
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *{t for p in parses.values() for t in p.lower().split()}], 128)

    assert len(parses) == 1713
    for texts in (parses.keys(), parses.values(), [parse.lower() for parse in parses.values()]):
        encoded = tokenizer(list(texts), add_special_tokens=False).input_ids
        wrong = [
            (text, tokens)
            for text, ids, parse in zip(texts, encoded, parses.values(), strict=True)
            if (tokens := tokenizer.convert_ids_to_tokens(ids)) != parse.lower().split()
        ]
        assert wrong == []


# Where NLTK, which made dev_9842.ptb.tsv, doesn't do what Stanford's tokenizer does in SNLI's parses.
NLTK_FLAVOUR = {
    "round brackets stay": (r"\(\w", 6),
    "hyphen stays at the end of a word": (r"\w- ", 3),
    "full stop stays inside the text": (r"[a-z]\. [a`]", 4),
    "times are split": (r"\d:\d", 3),
    "genitive before a hyphen stays": (r"'s-", 1),
    "two full stops stay": (r"\w\.\.$", 1),
    "abbreviation at the end loses its full stop": (r"t\.v\.$", 1),
    "backquote stays": (r"\w`$", 1),
}


def test_whole_development_split(shared):
    with (shared / "data/snli/dev_9842.jsonl").open(encoding="utf-8") as raw:
        rows = [json.loads(line) for line in raw]
    with (shared / "data/snli/dev_9842.ptb.tsv").open(encoding="utf-8") as tokenized:
        expected = [text.lower().split() for line in tokenized for text in line.split("\t")[1:]]
    texts = [row[side] for row in rows for side in ("premise", "hypothesis")]
    assert len(texts) == len(expected) == 19684

    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *{token for tokens in expected for token in tokens}], 128)
    differ = [
        (text, tokens)
        for text, reference in zip(texts, expected, strict=True)
        if (tokens := cut(tokenizer, text)) != reference
    ]
    classes = Counter(
        next((name for name, (pattern, _) in NLTK_FLAVOUR.items() if re.search(pattern, text)), text)
        for text, _ in differ
    )
    assert classes == {name: count for name, (_, count) in NLTK_FLAVOUR.items()}
    assert len(texts) - len(differ) == 19664

    for tokens in {tuple(cut(tokenizer, text)) for text in texts}:
        assert cut(tokenizer, " ".join(tokens)) == list(tokens)


def test_behaves_like_any_tokenizer(tokenizer):
    cls, sep, pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
    man, dog, stop = tokenizer.convert_tokens_to_ids(["man", "dog", "."])
    assert [tokenizer.convert_ids_to_tokens(i) for i in (cls, sep, pad)] == ["<cls>", "<sep>", "<pad>"]
    assert (tokenizer.unk_token, tokenizer.mask_token) == ("<unk>", "<mask>")
    assert len(tokenizer) == tokenizer.vocab_size == len(TOKENS)

    batch = tokenizer(["Man.", "dog"], ["dog", "cat"], padding=True, return_tensors="pt")
    assert batch.input_ids.tolist() == [
        [cls, man, stop, sep, dog, sep],
        [cls, dog, sep, tokenizer.unk_token_id, sep, pad],
    ]
    assert batch.token_type_ids.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]]
    # In a batch: for one pair outside of a list Transformers 5 takes an empty second text for none.
    empty = tokenizer(["", "man", ""], ["", "", "man"])
    assert empty.input_ids == [[cls, sep, sep], [cls, man, sep, sep], [cls, sep, man, sep]]
    assert empty.token_type_ids == [[0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 1]]
    assert tokenizer("man").token_type_ids == [0, 0, 0]

    ids = tokenizer("A man's dog isn't a dog.", "A dog.").input_ids
    assert tokenizer.decode(ids) == "<cls> a man 's dog is n't a dog . <sep> a dog . <sep>"
    assert tokenizer.decode(ids, skip_special_tokens=True) == "a man 's dog is n't a dog . a dog ."


def test_pipeline_feeds_the_model_d2ls_ids_and_segments(tokenizer):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(TOKENS),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=3,
        initializer_range=0.2,
    )
    model = BertForSequenceClassification(config).eval()
    tokens = ["<cls>", "a", "dog", ".", "<sep>", "is", "n't", "<sep>"]
    ids = torch.tensor([[TOKENS.index(token) for token in tokens]])
    segments = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 1]])
    with torch.no_grad():
        expected = model(input_ids=ids, token_type_ids=segments).logits.softmax(-1)[0]
        one_segment = model(input_ids=ids).logits.softmax(-1)[0]
    assert not torch.allclose(expected, one_segment, atol=1e-3)

    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)

    def scores(**pair):
        found = {row["label"]: row["score"] for row in classify(pair)}
        return [found[f"LABEL_{i}"] for i in range(3)]

    assert scores(text="A dog.", text_pair="isn't") == pytest.approx(expected.tolist(), abs=1e-6)
    # An empty second text is none to Transformers; a space is a text without words.
    with torch.no_grad():
        empty = model(**tokenizer(["A dog."], [""], return_tensors="pt")).logits.softmax(-1)[0]
    assert scores(text="A dog.", text_pair=" ") == pytest.approx(empty.tolist(), abs=1e-6)
    assert scores(text="A dog.", text_pair="") != pytest.approx(empty.tolist(), abs=1e-3)


COUNT = """
import json, sys
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
for start, unit, end in json.load(sys.stdin):
    text = start + unit * (1_000_000 // len(unit)) + end
    print(len(tokenizer.encode(text, add_special_tokens=False).ids), flush=True)
"""


@pytest.mark.parametrize("style", ["ptb", "wikitext"])
def test_time_is_linear_in_the_length(style, tmp_path):
    """A megabyte each takes a second or so; anything quadratic would take hours and is stopped."""
    texts = {  # start, unit, end: tokens in each style
        ("", "a,", ""): (1_000_000, 1_000_000),
        ("", "1,", ""): (2, 1_000_000),
        ("", "a-", ""): (2, 1_000_000),
        ("", "a.", ""): (2, 1),
        ("", ".", ""): (1, 1),
        ("", '"', ""): (1_000_000, 1_000_000),
        ("u.s.", "'", "x"): (500_002, 500_002),
        ("", "a", "n't"): (2, 2),
        ("a.", " ", "x"): (2, 2),
        ("a", " ", "n't"): (2, 2),
        ("", "A man isn't a dog. ", ""): (1_000_000 // 19 * 7, 1_000_000 // 19 * 7),
    }
    save_tokenizer(build_tokenizer(TOKENS, 128, style), tmp_path)
    counts = {text: tokens[["ptb", "wikitext"].index(style)] for text, tokens in texts.items()}
    result = subprocess.run(
        [sys.executable, "-c", COUNT, str(tmp_path / "tokenizer.json")],
        input=json.dumps(list(counts)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert [int(count) for count in result.stdout.split()] == list(counts.values()), result.stderr


@pytest.mark.parametrize(
    ("tokens", "parts"),
    [
        ([], ["empty"]),
        ("<unk>", ["str"]),
        ({"<unk>": 0}, ["dict"]),
        ([*TOKENS, 7], [f"Entry {len(TOKENS)}", "int"]),
        (["<unk>", "<cls>", "a"], ["3 tokens", "<pad>, <mask>, <sep>"]),
        (WORDS, ["<unk>, <pad>, <mask>, <cls>, <sep>"]),
    ],
)
def test_unusable_vocabularies_are_refused_in_one_line(tokens, parts):
    with pytest.raises(InputError) as error:
        build_tokenizer(tokens, max_length=128)
    message = str(error.value)
    assert all(part in message for part in [*parts, "vocab.json"])
    assert "\n" not in message


def test_odd_vocabulary_entries_keep_their_rows(tmp_path):
    tokens = ["<unk>", "a", "<pad>", "a", "two words", "", " ", "<mask>", "A", "<cls>", "<sep>", "<pad>", "a"]
    build_tokenizer(tokens, max_length=16).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)

    assert len(tokenizer) == len(tokens)
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokens)))
    assert (tokenizer.pad_token_id, tokenizer.convert_tokens_to_ids("a")) == (11, 12)
    assert tokenizer("A two words a 1", padding="max_length").input_ids == [9, 12, 0, 0, 12, 0, 10] + 9 * [11]
    assert tokenizer.convert_tokens_to_ids("two words") == 4
    tokenizer.add_tokens(["new"])
    assert tokenizer("new", add_special_tokens=False).input_ids == [len(tokens)]
