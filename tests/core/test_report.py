"""Reports are JSON by the names of their fields, and back."""

import json
from dataclasses import dataclass

import pytest

from hf_nli.core.report import Report


@dataclass(frozen=True)
class Speed(Report):
    model: str
    peak: int | None
    parts: dict[str, float]
    note: str | None = None


def test_what_is_none(tmp_path):
    """A key that is always there is null; one that isn't, isn't."""
    report = Speed("münchen", None, {"a": 0.5})
    report.write(tmp_path / "speed.json")
    text = (tmp_path / "speed.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"model": "münchen", "peak": None, "parts": {"a": 0.5}}
    assert "münchen" in text and text.endswith("}\n")
    assert "note" in json.loads(Speed("a", 1, {}, "b").to_json())


def test_back_from_json():
    report = Speed("a", None, {"b": 1.0})
    assert Speed.from_json(json.loads(report.to_json()) | {"of a later version": 1}) == report
    with pytest.raises(ValueError, match="it has no parts, peak"):
        Speed.from_json({"model": "a"})
