"""The versions of the packages that make results what they are."""

from __future__ import annotations

from importlib import metadata

import hf_nli

PACKAGES = ("torch", "transformers", "datasets", "accelerate", "tokenizers")


def versions() -> dict[str, str]:
    """Gives the version of each package by its name, hf-nli's first, which needn't be installed to be used."""
    return {"hf-nli": hf_nli.__version__} | {name: metadata.version(name) for name in PACKAGES}
