"""The versions of this package and of those that make results what they are."""

from __future__ import annotations

from importlib import metadata

VERSION = "0.1.0"

PACKAGES = ("torch", "transformers", "datasets", "accelerate", "tokenizers")


def versions() -> dict[str, str]:
    """Gives the version of each package by its name, hf-nli's first, which needn't be installed to be used."""
    return {"hf-nli": VERSION} | {name: metadata.version(name) for name in PACKAGES}
