"""The folders in plain Transformers, whatever its version: ids, logits and pipeline as where they were written."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import OURS

torch = pytest.importorskip("torch", reason="an environment without PyTorch")
transformers = pytest.importorskip("transformers", reason="an environment without Transformers")

TYPED = [("A student <sep> is <cls> <PAD> sad <mask>", "<unk> the <sep><sep>"), ("a \n<sep>", "<mas\u212a>")]


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()


def encoded(tokenizer: Any, pairs: list[tuple[str, str]]) -> dict[str, list[list[int]]]:
    return dict(tokenizer(*map(list, zip(*pairs, strict=True)), truncation=True))


def test_ids(tokenizer, expected):
    assert tokenizer.is_fast
    assert list(expected["inputs"]) == ["input_ids", "token_type_ids", "attention_mask"]
    assert encoded(tokenizer, expected["pairs"]) == expected["inputs"]
    assert (tokenizer.model_max_length, tokenizer.padding_side) == (expected["max_length"], "right")


@torch.no_grad()
def test_logits(tokenizer, model, expected):
    assert type(model).__name__ == "BertForSequenceClassification"
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    wanted = torch.tensor(expected["logits"])
    alone = [model(**tokenizer(*pair, truncation=True, return_tensors="pt")).logits for pair in expected["pairs"]]
    assert torch.allclose(torch.cat(alone), wanted, rtol=0, atol=1e-5)
    texts = map(list, zip(*expected["pairs"], strict=True))
    batch = model(**tokenizer(*texts, truncation=True, padding=True, return_tensors="pt")).logits
    assert torch.allclose(batch, wanted, rtol=0, atol=1e-5)
    assert (wanted[0] - wanted[1]).abs().max() > 1e-3


def test_pipeline(folder, expected):
    classify = transformers.pipeline("text-classification", model=str(folder), top_k=None)
    pairs = [{"text": text, "text_pair": other} for text, other in expected["pairs"]]
    assert expected["labels"] == ["entailment", "neutral", "contradiction"]
    for pair, logits in zip(pairs, expected["logits"], strict=True):
        wanted = dict(zip(expected["labels"], torch.tensor(logits).softmax(-1).tolist(), strict=True))
        scores = {row["label"]: row["score"] for row in classify(pair, truncation=True)}
        assert scores == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("folder", OURS, indirect=True)
def test_typed_special_tokens_are_text(tokenizer):
    special = [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id]
    for ids in encoded(tokenizer, TYPED)["input_ids"]:
        assert [token for token in ids if token in special] == [special[0], special[1], special[1]]


def test_added_tokens_are_found(tokenizer, folder):
    had = len(tokenizer)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<new>"]})
    tokenizer.add_tokens(["<other>"])
    assert len(tokenizer) == had + 2
    ids = tokenizer("A <new> student <other><sep>", add_special_tokens=False).input_ids
    assert (ids.count(had), ids.count(had + 1), ids.count(tokenizer.sep_token_id)) == (1, 1, 0)
    assert tokenizer("<doc> <doc>").input_ids.count(had - 1) == (2 if folder.name == "added" else 0)


def test_offsets(tokenizer):
    """Of Transformers' own: who marks words in a text reads them."""
    text = "A student isn't"
    mapping = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    assert [text[start:end] for start, end in mapping][:2] == ["A", "student"]
    assert "".join(text[start:end] for start, end in mapping) == "Astudentisn't"


@pytest.mark.parametrize("folder", OURS, indirect=True)
def test_decoding(tokenizer, expected):
    """Words stay apart, as the model reads them, and special tokens can be left out."""
    ids = expected["inputs"]["input_ids"][0]
    assert tokenizer.decode(ids).split()[0] == tokenizer.cls_token
    words = tokenizer.decode(ids, skip_special_tokens=True).split()
    assert tokenizer.convert_tokens_to_ids(words) == [
        token for token in ids if token not in (tokenizer.cls_token_id, tokenizer.sep_token_id)
    ]


def test_saved_again_here(tokenizer, model, folder, expected, tmp_path):
    """As somebody's training does."""
    tokenizer.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert encoded(again, expected["pairs"]) == expected["inputs"]
    net = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in model.state_dict().items())
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert again.init_kwargs.get("text_style") == config.get("text_style")
