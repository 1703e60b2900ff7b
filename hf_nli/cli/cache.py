"""`hf-nli cache`."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_nli.cli.command import Command


@dataclass(frozen=True, kw_only=True)
class CacheArguments:
    """Flags of `hf-nli cache`."""

    clear: bool = field(default=False, metadata={"help": "Whether to delete it."})


def execute(arguments: CacheArguments) -> None:
    """Lists what is kept between runs, or deletes it, and prints how much that is."""
    from hf_nli.data.cache import cache_entries, clear_cache

    entries = clear_cache() if arguments.clear else cache_entries()
    for entry in entries:
        print(f"{entry.kind:<12}{entry.bytes / 2**20:>10.1f} MiB  {entry.path}")
    total = f"{len(entries)} entries, {sum(entry.bytes for entry in entries) / 2**20:.1f} MiB"
    print(f"{total}, deleted" if arguments.clear else f"{total}; hf-nli cache --clear deletes them")


COMMAND = Command(
    "cache", "list or delete what is kept between runs", (CacheArguments,), execute, ("hf_nli.data.cache",)
)
