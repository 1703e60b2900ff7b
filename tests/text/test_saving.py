"""A saved tokenizer, as other programs load it: ids, typed special tokens, added tokens, and what the files say."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer, BertConfig, BertTokenizer, PreTrainedTokenizerFast

from hf_nli.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer

WORDS = ["a", "b", "man", "dog", "'s", "is", "n't", ".", ",", "<", ">", "sep", "cls", "mask", "pad", "unk", "se", "p"]
TOKENS = [*SPECIAL_TOKENS, *WORDS]
SPECIAL_IDS = set(range(len(SPECIAL_TOKENS)))


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(TOKENS, max_length=128)


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory) -> Path:
    """The saved tokenizer beside a BERT config, as in a model folder."""
    path = tmp_path_factory.mktemp("model")
    save_tokenizer(tokenizer, path)
    BertConfig(vocab_size=len(TOKENS)).save_pretrained(path)
    return path


def saved(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What tokenizer.json and tokenizer_config.json say."""
    return tuple(json.loads((folder / name).read_text()) for name in ("tokenizer.json", "tokenizer_config.json"))


LOAD = """
import json, sys
sys.modules["hf_nli"] = None
from transformers import AutoTokenizer
folder, texts = json.load(sys.stdin)
tokenizer = AutoTokenizer.from_pretrained(folder)
tokenizer.save_pretrained(folder + "/again")
encoded = tokenizer(texts, texts[::-1], padding=True, truncation=True)
print(json.dumps([dict(encoded), tokenizer.model_max_length, tokenizer.padding_side, tokenizer.model_input_names]))
"""

INJECTIONS = ["a man <sep> b", "<Sep>", "<CLS> a", "a<mask>b", " <pad> ", "<sep><sep>", "<UNK>, <unk>", "<se<sep>p>"]
INJECTIONS += ["<mas\u212a> a", "a \n<sep>"]  # the Kelvin sign's lower case is a k


def test_loads_where_hf_nli_cannot_be_imported(tokenizer, folder, tmp_path):
    texts = ["A man's dog isn't\u2003a dog.", "", *INJECTIONS, "dog " * 200, "“É” 😍"]
    program = [sys.executable, "-W", "ignore", "-c", LOAD]
    result = subprocess.run(
        program, input=json.dumps([str(folder), texts]), cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    encoded, max_length, padding_side, input_names = json.loads(result.stdout)

    assert encoded == dict(tokenizer(texts, texts[::-1], padding=True, truncation=True))
    assert (max_length, padding_side) == (128, "right")
    assert input_names == ["input_ids", "token_type_ids", "attention_mask"] == list(encoded)


def test_saved_again_by_others_it_is_the_same(tokenizer, folder, tmp_path):
    """As other projects save it, after training for instance."""
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    texts = ["A man's dog isn't\u2003a dog.", *INJECTIONS]
    again, raw = AutoTokenizer.from_pretrained(tmp_path), Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert dict(again(texts, texts)) == dict(tokenizer(texts, texts))
    assert again.init_kwargs["text_style"] == "ptb"
    for text in texts:
        assert raw.encode(text).ids == tokenizer(text).input_ids
    save_tokenizer(again, tmp_path)
    assert saved(tmp_path) == saved(folder)


@pytest.mark.parametrize("text", INJECTIONS)
def test_typed_special_tokens_are_ordinary_text(tokenizer, folder, text):
    for loaded in (tokenizer, AutoTokenizer.from_pretrained(folder)):
        ids = loaded(text, add_special_tokens=False).input_ids
        assert ids and not SPECIAL_IDS & set(ids)
        assert "".join(loaded.convert_ids_to_tokens(ids)) == "".join(text.lower().split())
        raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
        assert raw.encode(text, add_special_tokens=False).ids == ids


@pytest.mark.parametrize("text", SPECIAL_TOKENS)
def test_a_special_token_that_is_all_of_the_text(tokenizer, folder, text):
    """To Transformers it is that token, as with any tokenizer, unless it is told to split; to others it is text."""
    pieces = [TOKENS.index(piece) for piece in ("<", text[1:-1], ">")]
    for loaded in (tokenizer, AutoTokenizer.from_pretrained(folder)):
        assert loaded(text, add_special_tokens=False).input_ids == [TOKENS.index(text)]
        assert loaded(text, add_special_tokens=False, split_special_tokens=True).input_ids == pieces
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert raw.encode(text, add_special_tokens=False).ids == pieces


@pytest.mark.parametrize(
    ("add", "added"),
    [
        (lambda tokenizer: tokenizer.add_special_tokens({"additional_special_tokens": ["<doc>"]}), "<doc>"),
        (lambda tokenizer: tokenizer.add_tokens(["<doc>"]), "<doc>"),
        (lambda tokenizer: tokenizer.add_tokens(["doc1"], special_tokens=True), "doc1"),
        (lambda tokenizer: tokenizer.add_tokens([AddedToken("[DOC]", normalized=False)]), "[DOC]"),
    ],
)
def test_added_tokens_are_found_in_texts(folder, tmp_path, add, added):
    loaded = AutoTokenizer.from_pretrained(folder)
    assert add(loaded) == 1
    save_tokenizer(loaded, tmp_path)
    raw = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = f"A man {added} <sep> isn't{added}"
    tokens = ["a", "man", added, "<", "sep", ">", "is", "n't", added]
    for again in (loaded, AutoTokenizer.from_pretrained(tmp_path)):
        assert len(again) == len(TOKENS) + 1
        assert again.convert_tokens_to_ids(added) == len(TOKENS)
        assert again.tokenize(text) == tokens
        assert again(text, add_special_tokens=False).input_ids == again.convert_tokens_to_ids(tokens)
        assert raw.encode(text, add_special_tokens=False).ids == again.convert_tokens_to_ids(tokens)


def test_every_release_of_transformers_knows_what_the_files_say(folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<doc>"]})
    tokenizer(["a man", "a"], padding=True, truncation=True, max_length=3)
    save_tokenizer(tokenizer, tmp_path)
    content, config = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("tokenizer", "tokenizer_config")
    )
    assert (content["truncation"], content["padding"]) == (None, None)
    assert [token["content"] for token in content["added_tokens"]] == ["<doc>"]
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert config["additional_special_tokens"] == ["<doc>"]
    assert config["model_input_names"] == ["input_ids", "token_type_ids", "attention_mask"]
    assert config["sep_token"]["__type"] == "AddedToken" and config["sep_token"]["normalized"]
    assert not {"extra_special_tokens", "backend", "is_local", "local_files_only"} & config.keys()
    # What saving looked at left the tokenizer as it was.
    assert tokenizer.backend_tokenizer.truncation["max_length"] == 3
    assert tokenizer.backend_tokenizer.padding


def test_another_tokenizer_keeps_its_class(tmp_path):
    """Transformers 4 knows a BertTokenizer; whose tokens are named in tokenizer.json as before."""
    words = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "A", "man", "##s"]
    tokenizer = BertTokenizer({word: index for index, word in enumerate(words)}, do_lower_case=False)
    save_tokenizer(tokenizer, tmp_path)
    content, config = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("tokenizer", "tokenizer_config")
    )
    assert config["tokenizer_class"] == "BertTokenizer"
    assert [token["content"] for token in content["added_tokens"]] == words[:5]
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded("A mans [MASK]", "a").input_ids == [2, 5, 6, 7, 4, 3, 0, 3]
    assert loaded("A", "A").token_type_ids == [0, 0, 0, 1, 1]


def test_a_tokenizer_that_cannot_be_saved_as_it_is(folder, tmp_path):
    """Files don't keep a Python pre-tokenizer or the like; here it is a class attribute that they don't hold."""

    class Unsaved(PreTrainedTokenizerFast):
        def __call__(self, *texts, **options):
            return {"input_ids": [[1, 2]]}

    tokenizer = Unsaved(tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>")
    with pytest.raises(RuntimeError, match="the tokenizer as saved doesn't give the ids"):
        save_tokenizer(tokenizer, tmp_path)
