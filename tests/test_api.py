"""`import hf_nli`: fast, complete, and what a type checker sees is what there is."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import hf_nli

PROGRAM = """
import sys
import hf_nli
print(*(name for name in sys.modules if "." not in name))
print(*dir(hf_nli))
from hf_nli import RECIPES, DataOptions, InputError, Interrupted, Recipe, RunOptions, __version__
from hf_nli import (
    calibrate, compare, convert, evaluate, export, inspect_data, load_nli, predict, push, train, write_card,
)
from hf_nli import NLITrainingArguments, make_trainer
print(convert.__name__, evaluate.__name__, export.__name__, load_nli.__name__, push.__name__, train.__name__)
"""


def test_importing_is_fast_and_gives_everything():
    root = Path(hf_nli.__file__).parents[1]
    command = [sys.executable, "-c", PROGRAM]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, cwd=root).stdout
    modules, names, functions = printed.splitlines()
    assert {"torch", "transformers", "datasets", "accelerate", "numpy", "pandas"}.isdisjoint(modules.split())
    assert names.split() == sorted(hf_nli.__all__)
    assert functions == "convert evaluate export load_nli push train"


def test_an_unknown_name_is_told():
    with pytest.raises(AttributeError, match="module 'hf_nli' has no attribute 'trian'"):
        hf_nli.trian  # noqa: B018
    with pytest.raises(ImportError):
        from hf_nli import trian  # noqa: F401


def test_type_checkers_see_the_same():
    """Each name is imported for them from the module that it is taken from when it is asked for."""
    tree = ast.parse(Path(hf_nli.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "hf_nli" in node.module]
    seen = {alias.name: node.module for node in imports for alias in node.names if alias.name != "VERSION"}
    assert seen.keys() == set(hf_nli.__all__) - {"__version__"}
    for name, module in seen.items():
        assert getattr(hf_nli, name) is getattr(import_module(module), name)
