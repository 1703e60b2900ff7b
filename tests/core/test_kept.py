"""What is kept is known by its content."""

import os
import stat

import pyarrow
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value, concatenate_datasets

from hf_nli.core.cache import cache_folder, content_key, kept_folder, read_rows, rows_key, write_rows
from hf_nli.core.errors import InputError

ROWS = {"text": ["a", "bc", "", "ä"], "ids": [[1], [2, 3], [], [4]], "label": [0, 1, 1, 0]}
COLUMNS = tuple(ROWS)


def test_keys_tell_all_that_they_are_made_of_apart():
    parts = [(), ("a",), ("a", None), (["a"],), ("ab",), ("a", "b"), (1,), ("1",), ({"a": 1},), ({"a": 2},)]
    assert len({content_key(*each) for each in parts}) == len(parts)
    assert content_key({"a": 1, "b": (2,)}) == content_key({"b": [2], "a": 1})
    with pytest.raises(TypeError):
        content_key(object())


def test_rows_are_known_by_their_values_wherever_they_are(tmp_path):
    rows = Dataset.from_dict(ROWS)
    key = rows_key(rows, COLUMNS)
    write_rows(tmp_path, rows.features, [{name: values[:3] for name, values in ROWS.items()}])
    alike = [
        Dataset.from_dict(ROWS | {"other": list("wxyz")}),
        concatenate_datasets([rows.select(range(1)), rows.select(range(1, 4))]),
        Dataset.from_dict({name: values[::-1] for name, values in ROWS.items()}).select([3, 2, 1, 0]),
        Dataset.from_dict({name: [values[0], *values] for name, values in ROWS.items()}).select(range(1, 5)),
        concatenate_datasets([read_rows(tmp_path), rows.select([3])]),
    ]
    assert [rows_key(each, COLUMNS) for each in alike] == [key] * len(alike)
    others = [
        rows.select([0, 1, 2]),
        rows.select([0, 2, 1, 3]),
        Dataset.from_dict(ROWS | {"text": ["ab", "c", "", "ä"]}),
        Dataset.from_dict(ROWS | {"text": ["a", "bc", None, "ä"]}),
        Dataset.from_dict(ROWS | {"ids": [[1, 2], [3], [], [4]]}),
        Dataset.from_dict(ROWS | {"label": [0, 1, 0, 1]}),
    ]
    assert len({key, *(rows_key(each, COLUMNS) for each in others)}) == 1 + len(others)
    assert rows_key(rows, COLUMNS[::-1]) != key != rows_key(rows, COLUMNS[:2])


def test_written_rows_are_mapped_with_their_types(tmp_path):
    features = Features(text=Value("string"), ids=List(Value("int32")), label=ClassLabel(names=["no", "yes"]))
    batches = [{name: values[start : start + 2] for name, values in ROWS.items()} for start in (0, 2)]
    batches[1]["text"] = pyarrow.array(batches[1]["text"])
    write_rows(tmp_path, features, iter(batches))
    rows = read_rows(tmp_path)
    assert rows.features == features and rows.to_dict() == ROWS
    assert rows.cache_files == [{"filename": str(tmp_path / "rows.arrow")}]
    write_rows(tmp_path, features, [])
    assert len(read_rows(tmp_path)) == 0


def test_a_folder_is_written_once(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    calls = []

    def write(folder):
        calls.append(folder)
        (folder / "file").write_text("content")

    folders = {kept_folder("kind-key", write) for _ in range(3)}
    assert folders == {tmp_path / "hf_nli/kind-key"} == {cache_folder() / "kind-key"} and len(calls) == 1
    assert [path.name for path in cache_folder().iterdir()] == ["kind-key"]
    assert stat.S_IMODE((cache_folder() / "kind-key/file").stat().st_mode) == 0o666 & ~umask()


def umask():
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_a_failure_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))

    def write(folder):
        (folder / "half").touch()
        raise KeyError

    with pytest.raises(KeyError):
        kept_folder("kind-key", write)
    assert not list(cache_folder().iterdir())


def test_a_cache_that_cant_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="file/hf_nli: can't be written to .*; set HF_HOME or HF_DATASETS_CACHE"):
        kept_folder("kind-key", lambda folder: None)
