"""Results as typed values, and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, TypeVar

from hf_nli.core.files import json_text, write_json

R = TypeVar("R", bound="Report")


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
            ValueError: If a key is missing.
        """
        fields = dataclasses.fields(cls)
        needed = {field.name for field in fields if field.default is MISSING and field.default_factory is MISSING}
        if missing := sorted(needed - content.keys()):
            raise ValueError(f"it has no {', '.join(missing)}")
        return cls(**{field.name: content[field.name] for field in fields if field.name in content})
