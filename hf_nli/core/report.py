"""Results as typed values, and as JSON."""

from __future__ import annotations

import builtins
import dataclasses
import math
import reprlib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints, is_typeddict

from hf_nli.core.files import json_text, write_json

R = TypeVar("R", bound="Report")
T = TypeVar("T")


@dataclass(frozen=True)
class Report:
    """What a command found out; its fields are the keys of the JSON file that the command writes."""

    def as_dict(self) -> dict[str, Any]:
        """Gives what JSON is to hold: a field that is None by default is left out where it is None."""
        optional = {field.name for field in dataclasses.fields(self) if field.default is None}
        values = dataclasses.asdict(self).items()
        return {name: value for name, value in values if value is not None or name not in optional}

    def to_json(self) -> str:
        """Lays the report out as JSON, with a final newline."""
        return json_text(self.as_dict())

    def write(self, path: Path) -> None:
        """Writes the report as a JSON file."""
        write_json(path, self.as_dict())

    @classmethod
    def from_json(cls: type[R], content: Mapping[str, Any]) -> R:
        """Makes a report of what its JSON holds; keys that it doesn't have are ignored.

        Args:
            content: The JSON object.

        Raises:
            ValueError: If a key is missing, or its value is of another type.
        """
        fields = dataclasses.fields(cls)
        needed = {field.name for field in fields if field.default is MISSING and field.default_factory is MISSING}
        if missing := sorted(needed - content.keys()):
            raise ValueError(f"it has no {', '.join(missing)}")
        return checked(cls(**{field.name: content[field.name] for field in fields if field.name in content}))


def checked(found: T) -> T:
    """Gives a dataclass back whose values were read from JSON, if they are of the types of its fields.

    Args:
        found: The dataclass.

    Raises:
        ValueError: If one isn't, or a number is NaN or infinite.
    """
    for name, kind in get_type_hints(type(found)).items():
        value = getattr(found, name)
        if not _fits(value, kind):
            raise ValueError(f"its {name} is {reprlib.repr(value)}")
    return found


def _fits(value: object, kind: Any) -> bool:
    """Whether a value from JSON is of a type."""
    parts = get_args(kind)
    match get_origin(kind) or kind:
        case typing.Any:
            return True
        case typing.Literal:
            return value in parts
        case typing.Union | types.UnionType:
            return any(_fits(value, part) for part in parts)
        case builtins.list:
            return isinstance(value, list) and all(_fits(each, parts[0]) for each in value)
        case builtins.dict:
            return isinstance(value, dict) and all(_fits(each, parts[1]) for each in value.values())
        case builtins.float:
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        case builtins.int:
            return isinstance(value, int) and not isinstance(value, bool)
    if is_typeddict(kind):
        hints = get_type_hints(kind)
        return isinstance(value, dict) and all(_fits(value.get(name), part) for name, part in hints.items())
    return isinstance(value, kind)
