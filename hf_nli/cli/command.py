"""What a command of `hf-nli` is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Command:
    """A command of `hf-nli`.

    Attributes:
        name: What is typed.
        summary: What it does, in a line.
        settings: Dataclasses, whose fields are its flags.
        execute: What runs it and prints; it gets an instance of each dataclass. It imports what it needs when it is
            called, so that help and mistyped flags don't wait for torch.
        modules: What `execute` imports: it is loaded before, while a signal can still end the process at once.
        check: Refuses input that is missing or can't be read, as far as that can be told without torch and
            Transformers, before `modules` are loaded; it gets what `execute` gets.
    """

    name: str
    summary: str
    settings: tuple[type[Any], ...]
    execute: Callable[..., None]
    modules: tuple[str, ...]
    check: Callable[..., None] | None = None
