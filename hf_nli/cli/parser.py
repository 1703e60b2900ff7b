"""Flags to typed settings; what can't be taken is told in one line."""

from __future__ import annotations

import dataclasses
from argparse import Action, ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field
from difflib import SequenceMatcher
from types import NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from hf_nli.core.errors import InputError
from hf_nli.settings.recipe import RECIPES, Recipe

_TEXTS = {"premise", "hypothesis"}  # which may be empty
_YES, _NO = ("true", "yes", "t", "y", "1"), ("false", "no", "f", "n", "0")


class FlagParser(ArgumentParser):
    """Reads flags, none of them abbreviated, as dataclasses.

    Flags are those that `transformers.HfArgumentParser` makes of a dataclass: --name (--na-me is taken, too), a yes-no
    one with or without a value, --no_name where the default is yes, lists of words. That class isn't used, as it loads
    Transformers, which takes longer than all the rest of --help.

    Args:
        settings: The dataclasses.
        prog: The name of the program.
        description: What it does.
    """

    def __init__(self, settings: Iterable[type[Any]], prog: str, description: str | None = None) -> None:
        self.known: list[Action] = []
        self.settings = tuple(settings)
        super().__init__(
            prog=prog, description=description, allow_abbrev=False, formatter_class=ArgumentDefaultsHelpFormatter
        )
        for each in self.settings:
            self.add_settings(each)

    def add_argument(self, *names: Any, **options: Any) -> Action:
        """Adds a flag, as argparse does, and remembers it."""
        self.known.append(super().add_argument(*names, **options))
        return self.known[-1]

    def add_settings(self, settings: type[Any]) -> None:
        """Adds the flags of a dataclass.

        Args:
            settings: The dataclass; its fields are bool, int, float, str, `Literal` or a list of one, or None as well.
                One whose metadata have `positional` has no default and is given without a flag.
        """
        hints = get_type_hints(settings)
        for field in dataclasses.fields(settings):
            options = _options(field, hints[field.name])
            if options.pop("positional", False):
                del options["required"]  # which argparse takes for granted, and refuses
                self.add_argument(field.name, metavar=field.name.upper(), **options)
                continue
            names = [f"--{field.name}"] + ([f"--{field.name.replace('_', '-')}"] if "_" in field.name else [])
            self.add_argument(*names, **options)
            if field.default is True:
                no = [f"--no_{field.name}", f"--no-{field.name.replace('_', '-')}"]
                self.add_argument(*no, action="store_false", dest=field.name, help=field.metadata["help"])

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
            words = value if isinstance(value, list) else [value]
            empty = any(isinstance(word, str) and not word.strip() for word in words)
            if empty and value != action.default and action.dest not in _TEXTS:
                if not action.option_strings:
                    self.error(f"{action.metavar} is empty; give a value")
                self.error(f"{action.option_strings[0]} is empty; give a value, or leave the flag out")
        for action in required:
            action.required = True
        if Recipe in self.settings:
            self.set_defaults(**RECIPES[given.recipe])
        return self._instances(self.parse_args(argv))

    def _instances(self, given: Namespace) -> tuple[Any, ...]:
        names = {kind: [field.name for field in dataclasses.fields(kind) if field.init] for kind in self.settings}
        return tuple(kind(**{name: getattr(given, name) for name in names[kind]}) for kind in self.settings)

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


def _options(field: Field[Any], hint: Any) -> dict[str, Any]:
    """What `add_argument` is to know of a field of a dataclass."""
    kind = get_args(hint)[0] if NoneType in get_args(hint) else hint  # of T | None
    options = dict(field.metadata)
    if get_origin(kind) is list:
        (kind,) = get_args(kind)
        options["nargs"] = "+"
        if field.default_factory is MISSING:
            options["action"] = "extend"  # a flag that is repeated adds to what it has
    if get_origin(kind) is Literal:
        options["choices"] = get_args(kind)
    elif kind is bool:
        options |= {"type": _yes_or_no, "nargs": "?", "const": True}
    else:
        options["type"] = kind
    if field.default_factory is not MISSING:
        return options | {"default": field.default_factory()}
    return options | ({"required": True} if field.default is MISSING else {"default": field.default})


def _yes_or_no(word: str) -> bool:
    if word.lower() not in _YES + _NO:
        raise ArgumentTypeError(f"{word!r}; it must be {' or '.join(_YES[:2])}, or {' or '.join(_NO[:2])}")
    return word.lower() in _YES


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
