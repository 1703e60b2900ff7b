"""d2l's BERT for natural language inference, in the Hugging Face ecosystem.

What is public is here. It is imported when it is asked for: torch and datasets take seconds, and a command has to be
ready for signals before anything else.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_nli.card.card import write_card
    from hf_nli.comparison.compare import compare
    from hf_nli.core.environment import VERSION as __version__
    from hf_nli.core.errors import InputError, Interrupted
    from hf_nli.d2l.convert import convert
    from hf_nli.data.load import load_nli
    from hf_nli.evaluation.calibrate import calibrate
    from hf_nli.evaluation.evaluate import evaluate
    from hf_nli.evaluation.inspection import inspect_data
    from hf_nli.hub.push import push
    from hf_nli.inference.export import export
    from hf_nli.inference.files import predict_file
    from hf_nli.inference.predictor import Predictor, predict
    from hf_nli.settings.options import DataOptions, PredictorOptions, RunOptions, TextOptions
    from hf_nli.settings.recipe import RECIPES, Recipe
    from hf_nli.training.train import train
    from hf_nli.training.trainer import NLITrainingArguments, make_trainer

__all__ = [
    "RECIPES",
    "DataOptions",
    "InputError",
    "Interrupted",
    "NLITrainingArguments",
    "Predictor",
    "PredictorOptions",
    "Recipe",
    "RunOptions",
    "TextOptions",
    "__version__",
    "calibrate",
    "compare",
    "convert",
    "evaluate",
    "export",
    "inspect_data",
    "load_nli",
    "make_trainer",
    "predict",
    "predict_file",
    "push",
    "train",
    "write_card",
]

_MODULES = {
    "RECIPES": "settings.recipe",
    "DataOptions": "settings.options",
    "InputError": "core.errors",
    "Interrupted": "core.errors",
    "NLITrainingArguments": "training.trainer",
    "Recipe": "settings.recipe",
    "RunOptions": "settings.options",
    "calibrate": "evaluation.calibrate",
    "compare": "comparison.compare",
    "convert": "d2l.convert",
    "evaluate": "evaluation.evaluate",
    "export": "inference.export",
    "inspect_data": "evaluation.inspection",
    "load_nli": "data.load",
    "make_trainer": "training.trainer",
    "Predictor": "inference.predictor",
    "PredictorOptions": "settings.options",
    "TextOptions": "settings.options",
    "predict": "inference.predictor",
    "predict_file": "inference.files",
    "push": "hub.push",
    "train": "training.train",
    "write_card": "card.card",
}

if not TYPE_CHECKING:  # a type checker takes any name for one that `__getattr__` gives

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from hf_nli.core.environment import VERSION

            return VERSION
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
