"""What is kept can be told, and cleared."""

import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from helpers import tiny_tokenizer, write_tiny_model
from huggingface_hub import constants
from nli_files import EXPECTED, PAIRS, write_jsonl

from hf_nli.data.cache import KINDS, CacheEntry, cache_entries, clear_cache
from hf_nli.data.load import load_nli
from hf_nli.data.table import TokenTable
from hf_nli.inference.files import predict_file
from hf_nli.inference.predictor import Predictor
from hf_nli.text.encoding import encode


def prepare(source):
    tokenizer = tiny_tokenizer()
    pairs = load_nli(source)["train"]
    return TokenTable.open(encode(pairs, tokenizer, 16), tokenizer)


def test_all_that_is_kept_is_told_and_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    clear_cache()
    assert cache_entries() == []
    write_jsonl(tmp_path / "train.jsonl", PAIRS)
    with zipfile.ZipFile(tmp_path / "pairs.zip", "w") as archive:
        archive.write(tmp_path / "train.jsonl", "data/train.jsonl")
    table = prepare(str(tmp_path / "pairs.zip"))
    pytest.importorskip("onnxscript")
    predictor = Predictor.from_pretrained(str(write_tiny_model(tmp_path / "model")), backend="onnx")
    predict_file(lambda: predictor, str(tmp_path / "train.jsonl"), tmp_path / "answers.csv")
    entries = cache_entries()
    assert {entry.kind for entry in entries} == set(KINDS) and len(entries) == len(KINDS)
    (unpacked,) = (entry for entry in entries if entry.kind == "unpacked")
    assert unpacked.bytes == (tmp_path / "train.jsonl").stat().st_size
    assert all(abs(datetime.now() - entry.when) < timedelta(minutes=1) for entry in entries)

    ours, others = tmp_path / "cache/hf_nli", tmp_path / "cache/imdb"
    downloads = Path(constants.HF_HOME, "hf_nli")
    downloads.mkdir(exist_ok=True)
    for path, content in (
        (downloads / "bert.tiny.torch.zip", b"123"),
        (downloads / "bert.other.torch.zip.part", b"1"),
        (ours / ".tokens-123.45", b""),
        (ours / "0123456789abcdef.arrow", b"12"),
        (others, b"12"),
    ):
        path.write_bytes(content)
    told = {(entry.kind, entry.path.name, entry.bytes) for entry in cache_entries()} - {
        (entry.kind, entry.path.name, entry.bytes) for entry in entries
    }
    assert told == {
        ("checkpoint", "bert.tiny.torch.zip", 3),
        ("unfinished", "bert.other.torch.zip.part", 1),
        ("unfinished", ".tokens-123.45", 0),
        ("older", "0123456789abcdef.arrow", 2),
    }

    cleared = clear_cache()
    assert len(cleared) == len(KINDS) + 4 and all(isinstance(entry, CacheEntry) for entry in cleared)
    assert cache_entries() == [] and others.exists()
    assert table.batch(table.lengths.argsort())["labels"].shape == (3,)  # what is open stays readable
    assert load_nli(str(tmp_path / "pairs.zip"))["train"].to_list() == EXPECTED  # and all is made again
