"""Pairs to ids: d2l's truncation, the proportional one, and what is kept of it all."""

import json
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from d2l_chapter import SNLIBERTDataset
from d2l_chapter import vocabulary as d2l_vocabulary
from datasets import Dataset, Features, Value
from helpers import SPECIAL_TOKENS, tiny_tokenizer, write_pairs
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hf_nli.core.errors import InputError
from hf_nli.data.cache import cache_entries
from hf_nli.data.load import load_nli
from hf_nli.text.encoding import CACHE_VERSION, encode, encode_pairs, kept_lengths
from hf_nli.text.tokenizer import build_tokenizer

ENCODED = "11391598dcbd616d1e035296808844d8111b0eb4ff3e38db76cf10df4295d28b"


@pytest.mark.parametrize("max_len", range(8, 65))
def test_truncation_is_d2ls_for_all_lengths(max_len):
    chapter = SNLIBERTDataset.__new__(SNLIBERTDataset)
    chapter.max_len = max_len
    for p in range(81):
        for h in range(81):
            premise, hypothesis = list(range(p)), list(range(100, 100 + h))
            chapter._truncate_pair_of_tokens(premise, hypothesis)
            assert kept_lengths(p, h, max_len - 3, "longest_first") == (len(premise), len(hypothesis)), (p, h)


@pytest.mark.parametrize("max_len", range(8, 65))
def test_proportional_truncation_keeps_the_ratio_for_all_lengths(max_len):
    """The best of all ways to keep as many tokens as fit, tried one by one."""
    budget = max_len - 3
    for p in range(81):
        for h in range(81):
            if p + h <= budget:
                best = (p, h)
            else:
                ways = [(kept, budget - kept) for kept in range(min(p, 1), budget - min(h, 1) + 1)]
                # |kept / budget - p / (p + h)| without fractions; of two equals the longer premise
                best = min(reversed(ways), key=lambda way: abs(way[0] * (p + h) - budget * p))
            assert kept_lengths(p, h, budget, "proportional") == best
            assert best[0] <= p and best[1] <= h and (min(p, 1), min(h, 1)) <= best


@pytest.mark.parametrize(
    "truncation, last", [("longest_first", "a b c <sep> c b"), ("proportional", "a b c d <sep> c")]
)
def test_pairs_are_cut_on_both_sides(truncation, last):
    """Pairs that share a text are cut each in its own way."""
    tokenizer = tiny_tokenizer(["a", "b", "c", "d", "e"])
    premises, hypotheses = ["a b c d e", "a", "a b c d e", "a b c d e"], ["e d c b a", "b", "", "c b"]
    encoded = encode_pairs(tokenizer, premises, hypotheses, 8, truncation)
    tokens = [" ".join(tokenizer.convert_ids_to_tokens(row)) for row in encoded["input_ids"]]
    assert tokens == [f"<cls> {kept} <sep>" for kept in ("a b c <sep> e d", "a <sep> b", "a b c d e <sep>", last)]
    assert encoded["token_type_ids"][:3] == [[0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1], [0] * 7 + [1]]
    assert encoded["attention_mask"] == [[1] * 8, [1] * 5, [1] * 8, [1] * 8]


def test_what_a_tokenizer_did_before_does_not_matter():
    tokenizer = tiny_tokenizer(["a", "b"])
    expected = encode_pairs(tokenizer, ["a b a b"], ["b"], 16)
    tokenizer(["a b a b"], ["b"], truncation=True, max_length=5, padding="max_length")
    assert encode_pairs(tokenizer, ["a b a b"], ["b"], 16) == expected
    assert expected["input_ids"][0][1:5] == tokenizer.convert_tokens_to_ids(["a", "b", "a", "b"])


def test_another_models_tokenizer():
    """Without segments, with another template: what the tokenizer itself makes of pairs that fit."""
    backend = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3, "b": 4}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [("<s>", 0), ("</s>", 1)]
    backend.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", special)
    names = ["input_ids", "attention_mask"]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", model_input_names=names)
    pairs = ["a b", "a"], ["b", "c"]
    assert encode_pairs(tokenizer, *pairs, 16) == dict(tokenizer(*pairs))
    assert encode_pairs(tokenizer, ["a b a b"], ["b b b"], 8)["input_ids"] == [[0, 3, 4, 1, 1, 4, 4, 1]]


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(InputError, match=r"'a \\ud83d b' holds half of a surrogate pair"):
        encode_pairs(tiny_tokenizer(["a"]), ["a", "a \ud83d b"], ["a", "a"], 8)


@pytest.mark.parametrize(
    "truncation, padding",
    [
        (None, None),
        (
            {"max_length": 5, "stride": 1, "strategy": "only_first", "direction": "left"},
            {"direction": "left", "length": 9},
        ),
    ],
)
def test_a_tokenizer_is_left_as_it_was(truncation, padding):
    tokenizer = tiny_tokenizer(["a", "b"])
    expected = encode_pairs(tokenizer, ["a b a b"], ["b"], 16)
    backend = tokenizer.backend_tokenizer
    if truncation:
        backend.enable_truncation(**truncation)
        backend.enable_padding(**padding)
    backend.encode_special_tokens = False
    before = backend.to_str(), backend.truncation, backend.padding
    assert encode_pairs(tokenizer, ["a b a b"], ["b"], 16) == expected
    with pytest.raises(InputError):
        encode_pairs(tokenizer, ["\ud83d"], ["b"], 16)
    assert (backend.to_str(), backend.truncation, backend.padding) == before
    assert not backend.encode_special_tokens


def test_threads_may_share_a_tokenizer():
    tokenizer = tiny_tokenizer(["a", "b"])
    tokenizer(["a b a b"], ["b"], truncation=True, max_length=5, padding="max_length")
    before = tokenizer.backend_tokenizer.to_str()
    expected = encode_pairs(tokenizer, ["a b a b"], ["b"], 16)
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: encode_pairs(tokenizer, ["a b a b"], ["b"], 16), range(200)))
    assert results == [expected] * 200 and tokenizer.backend_tokenizer.to_str() == before


def kept():
    return {entry.path.name for entry in cache_entries() if entry.kind == "encoded"}


def test_encoded_data_are_kept(tmp_path, monkeypatch):
    """The key of the cache is what the result depends on, the code that encodes among it, and nothing else."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    rows = {"premise": ["a b c d e", "b"], "hypothesis": ["e d", "a"], "label": [0, 2]}
    features = Features(premise=Value("string"), hypothesis=Value("string"), label=Value("int64"))
    pairs, words = Dataset.from_dict(rows, features=features), ["a", "b", "c", "d", "e"]
    used = tiny_tokenizer(words)
    used(["a"], ["b"], truncation=True, max_length=5, padding="max_length")
    changes = [
        lambda: encode(pairs, tiny_tokenizer(words), 9),
        lambda: encode(pairs, tiny_tokenizer(words), 8, "proportional"),
        lambda: encode(pairs, tiny_tokenizer(words[::-1]), 8),
        lambda: encode(pairs, build_tokenizer([*SPECIAL_TOKENS, *words], 32, "wikitext"), 8),
        lambda: encode(pairs.select([0]), tiny_tokenizer(words), 8),
        lambda: monkeypatch.setattr("tokenizers.__version__", "another") or encode(pairs, tiny_tokenizer(words), 8),
        lambda: monkeypatch.setattr("hf_nli.text.encoding.CACHE_VERSION", -1) or encode(pairs, used, 8),
    ]
    first = encode(pairs, tiny_tokenizer(words), 8)
    before = kept()
    assert encode(pairs, used, 8).to_list() == first.to_list() and first["labels"][:] == [0, 2]
    assert encode(pairs.flatten_indices(), used, 8).to_list() == first.to_list()  # the same rows, stored elsewhere
    assert len(before) == 1 and kept() == before
    for change in changes:
        change()
        assert len(kept() - before) == 1
        before = kept()


def test_encoding_in_another_way_needs_another_version(tmp_path):
    """If this fails because pairs are encoded in another way than they were, raise `encoding.CACHE_VERSION`."""
    pairs = load_nli(write_pairs(tmp_path / "pairs.jsonl"))["train"]
    encoded = [encode(pairs, tiny_tokenizer(), 8, way).to_list() for way in ("longest_first", "proportional")]
    assert (CACHE_VERSION, sha256(json.dumps(encoded).encode()).hexdigest()) == (1, ENCODED)


@pytest.mark.parametrize("max_length", [31, 32, 50, 64, 128])
def test_ids_segments_and_lengths_are_d2ls_on_real_pairs(max_length, shared, d2l, tmp_path):
    """Against the chapter's own data set, which reads parses; ours from the raw sentences and from the parses."""
    vocabulary = json.loads((shared / "checkpoints/d2l_bert_small/vocab.json").read_text())
    release = shared / "data/snli/snli_1.0_dev.txt"
    (tmp_path / "snli_1.0_test.txt").symlink_to(release)
    theirs = SNLIBERTDataset(d2l.read_snli(tmp_path, is_train=False), max_length, d2l_vocabulary(vocabulary))
    lengths = theirs.valid_lens.tolist()
    assert len(lengths) == 1273
    assert (lengths.count(max_length) > 100) == (max_length <= 32)  # these are cut
    expected = {
        "input_ids": [ids[:length] for ids, length in zip(theirs.all_token_ids.tolist(), lengths, strict=True)],
        "token_type_ids": [ids[:length] for ids, length in zip(theirs.all_segments.tolist(), lengths, strict=True)],
        "attention_mask": [[1] * length for length in lengths],
        "labels": [(0, 2, 1)[label] for label in theirs.labels.tolist()],  # in the order of SNLI on the Hub
    }
    for text in ("raw", "parse"):
        pairs = load_nli(str(release), text=text)["train"]
        assert encode(pairs, build_tokenizer(vocabulary, 512), max_length).to_dict() == expected
