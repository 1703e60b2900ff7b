"""The order of rooms: each module imports from its own room and from those before it, functions included."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# `hf_nli` itself is the public API: it takes from all rooms before it.
ROOMS = (
    "core",
    "settings",
    "text",
    "sources",
    "data",
    "engine",
    "model",
    "d2l",
    "inference",
    "card",
    "runs",
    "evaluation",
    "comparison",
    "training",
    "hub",
    "sample",
    "hf_nli",
    "cli",
    "__main__",
)
FOLDERS = [room for room in ROOMS if room not in ("hf_nli", "__main__")]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted((ROOT / "hf_nli").rglob("*.py"))}


def imports_of(name: str) -> set[str]:
    """The modules of ours that a module imports, in functions and for type checkers, too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & MODULES.keys() or {node.module}
    return {module for module in found if module.split(".")[0] == "hf_nli"}


def room_of(name: str) -> str:
    return (name.split(".") + ["hf_nli"])[1] if name != "hf_nli" else "hf_nli"


GRAPH = {name: imports_of(name) for name in MODULES}


def test_there_are_no_other_rooms():
    assert {room_of(name) for name in MODULES} == set(ROOMS)
    assert all(path.parent.parent == ROOT / "hf_nli" for name, path in MODULES.items() if room_of(name) in FOLDERS)


def test_what_is_imported_is_there():
    assert {(name, target) for name, targets in GRAPH.items() for target in targets - MODULES.keys()} == set()


def test_no_module_imports_from_a_later_room():
    upward = {
        (name, target)
        for name, targets in GRAPH.items()
        for target in targets
        if ROOMS.index(room_of(target)) > ROOMS.index(room_of(name))
    }
    assert upward == set()


def test_no_circle():
    assert list(TopologicalSorter(GRAPH).static_order())  # it raises CycleError


@pytest.mark.parametrize("room", FOLDERS)
def test_a_room_can_be_seen_at_a_glance(room):
    """About nine modules; each command of `cli` is one more."""
    modules = [name for name in MODULES if room_of(name) == room and name != f"hf_nli.{room}"]
    assert 0 < len(modules) <= 12 or room == "cli", modules


def test_no_module_is_for_odds_and_ends():
    assert {name.rpartition(".")[2] for name in MODULES}.isdisjoint({"utils", "util", "helpers", "common", "misc"})


def test_packages_are_the_rooms():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11")
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    assert packages == ["hf_nli", *(f"hf_nli.{room}" for room in FOLDERS), "hf_nli.model_card"]


def test_the_map_in_the_readme():
    """README's Development section shows every room, from the last to the first, with all of its modules."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^hf_nli/\n(.*?)```", readme, flags=re.DOTALL | re.MULTILINE)
    rooms = re.findall(r"^  (\w+)/ +.*\n((?: {15}.*\n)+)", tree, flags=re.MULTILINE)
    assert [room for room, _ in rooms] == FOLDERS[::-1]
    for room, modules in rooms:
        assert set(re.findall(r"\w+", modules)) == {
            name.rpartition(".")[2] for name in MODULES if room_of(name) == room and name != f"hf_nli.{room}"
        }


def test_files_named_in_the_readme_are_there():
    named = re.findall(r"`((?:hf_nli|scripts|tests)/[\w/.]+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(named) > 5 and [path for path in named if not (ROOT / path).exists()] == []


def test_code_of_models_is_never_trusted():
    """Whatever loads a model or a tokenizer by its config says so; `**options` are `ModelSource`'s, which do."""
    for path in [*(ROOT / "hf_nli").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            function = node.func if isinstance(node, ast.Call) else None
            ours = isinstance(function, ast.Attribute) and ast.unparse(function.value) == "Predictor"
            if (
                isinstance(function, ast.Attribute)
                and function.attr in ("from_pretrained", "from_config")
                and not ours
            ):
                given = {each.arg: ast.unparse(each.value) for each in node.keywords}
                assert given.get("trust_remote_code") == "False" or given.get(None) == "source.options", path
