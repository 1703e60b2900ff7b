"""Flags to typed settings; what can't be taken is told in one line."""

from __future__ import annotations

from argparse import Action
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any, NoReturn

from transformers import HfArgumentParser

from hf_nli.core.errors import InputError
from hf_nli.settings.recipe import RECIPES, Recipe

_TEXTS = {"premise", "hypothesis"}  # which may be empty


class FlagParser(HfArgumentParser):
    """Reads flags, none of them abbreviated, as dataclasses.

    Args:
        settings: The dataclasses.
        prog: The name of the program.
        description: What it does.
    """

    def __init__(self, settings: Iterable[Any], prog: str, description: str | None = None) -> None:
        self.known: list[Action] = []
        super().__init__(settings, prog=prog, description=description, allow_abbrev=False)

    def add_argument(self, *names: Any, **options: Any) -> Action:
        """Adds a flag, as argparse does, and remembers it."""
        self.known.append(super().add_argument(*names, **options))
        return self.known[-1]

    def error(self, message: str) -> NoReturn:
        """Refuses in one line, where argparse would print all flags, too.

        Args:
            message: The line.

        Raises:
            InputError: Always.
        """
        if message.endswith("expected one argument"):
            message += "; one that begins with - goes after a =, as in --flag=-value"
        raise InputError(message)

    def parse(self, argv: Sequence[str]) -> tuple[Any, ...]:
        """Reads flags; those of a recipe have the defaults of the one that --recipe names.

        Args:
            argv: The flags and their values.

        Returns:
            An instance of each dataclass.

        Raises:
            InputError: If a flag is unknown, lacks its value or is missing, or if a value isn't one of its flag, or is
                empty, as an unset variable of a shell's is.
        """
        required = [action for action in self.known if action.required]
        for action in required:  # a mistyped flag is told as that, not as one that is missing
            action.required = False
        argv = self._with_negative_numbers(argv)
        given, unknown = self.parse_known_args([word for word in argv if word not in ("-h", "--help")])
        if unknown:
            self._refuse(unknown[0])
        for action in self.known:
            value = getattr(given, action.dest, None)
            if isinstance(value, str) and not value.strip() and value != action.default and action.dest not in _TEXTS:
                self.error(f"{action.option_strings[0]} is empty; give a value, or leave the flag out")
        for action in required:
            action.required = True
        if any(kind is Recipe for kind in self.dataclass_types):
            self.set_defaults(**RECIPES[given.recipe])
        return self.parse_args_into_dataclasses(argv, look_for_args_file=False)

    def _with_negative_numbers(self, argv: Sequence[str]) -> list[str]:
        """Joins -1e-4 to its flag, as argparse takes it for a flag of its own."""
        takes_one = {name for action in self.known if action.nargs is None for name in action.option_strings}
        words: list[str] = []
        for word in argv:
            if words and words[-1] in takes_one and word.startswith("-") and _is_number(word):
                words[-1] += f"={word}"
            else:
                words.append(word)
        return words

    def _refuse(self, word: str) -> NoReturn:
        flags = [name for action in self.known for name in action.option_strings]
        flag = word.partition("=")[0]
        likely = nearest(flag, flags)
        if not word.startswith("-"):
            self.error(
                f"{word!r} belongs to no flag; a value that has spaces needs quotes; the nearest flag is {likely}"
            )
        self.error(f"unknown flag {flag}; the nearest is {likely}")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def nearest(word: str, names: Iterable[str]) -> str:
    """Finds the name that somebody meant.

    Args:
        word: What was typed.
        names: What there is.

    Returns:
        The name that is most like the word, as a whole or in its beginning; one that contains it comes first.
    """

    def likeness(name: str) -> tuple[bool, float]:
        ratios = (SequenceMatcher(None, word, part).ratio() for part in (name, name[: len(word)]))
        return word.strip("-") in name, max(ratios)

    return max(names, key=likeness)
