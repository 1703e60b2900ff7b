"""Files appear whole or not at all."""

import pytest

from hf_nli.core.errors import InputError
from hf_nli.core.files import staged


def test_nothing_is_left_of_a_failure(tmp_path):
    with pytest.raises(KeyError), staged(tmp_path / "out") as folder:
        (folder / "half").write_text("half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_other_files_stay_and_old_ones_are_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    (tmp_path / "out/config.json").write_text("old")
    with staged(tmp_path / "out") as folder:
        (folder / "config.json").write_text("new")
        (folder / "deep").mkdir()
        (folder / "deep/file").write_text("deep")
        assert (tmp_path / "out/config.json").read_text() == "old"
    files = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"out/mine": "mine", "out/config.json": "new", "out/deep/file": "deep"}


def test_parents_are_made_and_permissions_are_usual(tmp_path):
    (tmp_path / "usual").mkdir()
    with staged(tmp_path / "a/b/out") as folder:
        (folder / "file").touch()
    assert (tmp_path / "a/b/out").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("a file")
    with (
        pytest.raises(InputError, match="out: can't be written to .* choose another --output_dir"),
        staged(tmp_path / "out"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
