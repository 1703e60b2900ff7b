"""Whether something is on the Hub or here, and what may be told of that."""

from __future__ import annotations

import os
import re
from pathlib import Path

from huggingface_hub import is_offline_mode


def hub_id(source: str) -> str | None:
    """Gives a source back if it is a Hub id: `owner/name`, and no file or folder here."""
    return source if re.fullmatch(r"\w[\w.-]*/[\w.-]+", source) and not os.path.exists(source) else None


def why_offline() -> str:
    """Says in brackets, after that the Hub can't be reached, if the environment forbids it; else nothing."""
    return " (HF_HUB_OFFLINE is set)" if is_offline_mode() else ""


def public_name(source: str) -> str:
    """What may be published of where something came from.

    Args:
        source: A Hub id, a name or a path.

    Returns:
        A Hub id or a name as it is, of a path the last part.
    """
    return source if hub_id(source) else Path(source).name
