"""Folders that are written whole or not at all, whatever they held."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from hf_nli.core.files import staged
from hf_nli.model.folder import model_folder

MODEL = ["config.json", "model.safetensors", "tokenizer.json"]
REPORTS = ["README.md", "all_results.json", "conversion_report.json", "evaluations.json", "confusion_matrix-dev.png"]
OTHERS = ["notes.txt", "deep/er/file", "logs/1"]

names = st.sampled_from(MODEL + REPORTS + OTHERS)
contents = st.dictionaries(names, st.binary(max_size=4), max_size=8)


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def read(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rewrite(writer, old, new, fails):
    """Writes `new` where `old` is; gives what is there afterwards, and checks that nothing is left beside it."""
    with TemporaryDirectory() as parent:
        target = Path(parent) / "out"
        if old is not None:
            target.mkdir()
            write(target, old)
        try:
            with writer(target) as folder:
                write(folder, new)
                assert read(target) == (old or {})
                if fails:
                    raise KeyError
        except KeyError:
            pass
        assert [path.name for path in Path(parent).iterdir() if path != target] == []
        return read(target) if target.exists() else None


@given(st.none() | contents, contents, st.booleans())
def test_staged_files_are_added_or_none_is(old, new, fails):
    after = rewrite(staged, old, new, fails)
    assert after == (old if fails else (old or {}) | new)


@given(st.none() | contents, contents, st.booleans())
def test_a_model_replaces_all_of_another_one(old, new, fails):
    after = rewrite(lambda target: model_folder(target, overwrite=True), old, new, fails)
    held = "model.safetensors" in (old or {})  # what a folder without weights holds isn't a model's
    kept = {name: content for name, content in (old or {}).items() if name in OTHERS or not held}
    made = {name.split("/")[0] for name in new}  # a folder is kept as a whole, or not
    kept = {name: content for name, content in kept.items() if name.split("/")[0] not in made}
    assert after == (old if fails else kept | new)
