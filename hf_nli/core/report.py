"""Results as typed values, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """What a command found out; its fields are the keys of the JSON file that the command writes."""

    def to_json(self) -> str:
        """Lays the report out as JSON, with a final newline; fields that are None are left out."""
        content = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def write(self, path: Path) -> None:
        """Writes the report as a JSON file."""
        path.write_text(self.to_json(), encoding="utf-8")
