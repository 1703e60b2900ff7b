"""Which columns of some rows hold what, and where in them something is wrong."""

from __future__ import annotations

from collections.abc import Collection

from hf_nli.core.content import DamagedFile, DamagedRow, Errors
from hf_nli.core.errors import InputError, listed
from hf_nli.settings.options import TextOptions
from hf_nli.sources.forms import Columns
from hf_nli.sources.parts import Part, called, loading


def read_columns(part: Part, where: str, errors: Errors = "strict") -> Columns:
    """Reads which columns a part has.

    Args:
        part: The part.
        where: What to call the split in errors.
        errors: What becomes of bytes that aren't UTF-8; see `core.content.open_text`.

    Raises:
        InputError: If it is damaged.
    """
    try:
        with loading(called(where, part.name)):
            return part.columns(errors)
    except DamagedFile as error:
        raise refusal(part, where, 1, error) from error


def find_columns(part: Part, present: Columns, options: TextOptions, where: str) -> dict[str, str]:
    """Finds the columns that are read, by name.

    Args:
        part: Some rows.
        present: Their columns.
        options: What they may be called.
        where: What to call the split in errors.

    Returns:
        The column of each of the kinds in `options.columns`: premise, hypothesis, maybe label.

    Raises:
        InputError: If there is none for one of them, the same one for two, or there may be several.
    """
    name = called(where, part.name)
    columns: dict[str, str] = {}
    candidates = choose(present, options)
    for kind, found in candidates.items():
        if not found:
            names = dict.fromkeys(options.columns[kind] + options.other_columns[kind])
            others = listed((each if len(each) <= 60 else f"{each[:60]}…" for each in present), 20)
            raise InputError(
                f"{name}: no column for the {kind} ({', '.join(names)}) in {others}; name it with --{kind}_column"
            )
    for kind, found in candidates.items():
        if len(found) > 1:
            raise InputError(
                f"{name}: the {kind} may be column {' or '.join(found)}; name the right one with --{kind}_column"
            )
        if taken := next((other for other, column in columns.items() if column == found[0]), None):
            raise InputError(
                f"{name}: {taken} and {kind} are both column {found[0]}; name the right one "
                f"with --{taken}_column or --{kind}_column"
            )
        columns[kind] = found[0]
    return columns


def choose(present: Collection[str], options: TextOptions) -> dict[str, list[str]]:
    """Finds which columns may hold what.

    Args:
        present: The columns that there are.
        options: What they may be called.

    Returns:
        Of each kind in `options.columns`, the columns that may hold it: one, if that is clear.
    """
    preferred = {kind: [name for name in names if name in present][:1] for kind, names in options.columns.items()}
    if all(preferred.values()):
        return preferred
    # Nothing is preferred then: `text` beside SICK's sentence_A and sentence_B is no premise of theirs.
    names = {kind: {name.lower() for name in names} for kind, names in options.other_columns.items()}
    return {
        kind: [name for name in present if name.lower() in names[kind]] if names[kind] else found
        for kind, found in preferred.items()
    }


def refusal(part: Part, where: str, row: int, error: DamagedFile) -> InputError:
    """Says in a line what is wrong with a part, or with one of its rows.

    Args:
        part: The part.
        where: What to call the split.
        row: The row's number in it, from 1, if it is about a row.
        error: What is wrong.
    """
    at = f", row {row}" if isinstance(error, DamagedRow) else ""
    if error.line:
        return InputError(f"{where}{at} (line {error.line} of {part.name}): {error}")
    return InputError(f"{called(where, part.name)}{at}: {error}")
