"""Which columns of some rows hold what, and where in them something is wrong."""

from __future__ import annotations

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
        InputError: If there is none for one of them, or the same one for two.
    """
    columns: dict[str, str] = {}
    for kind, candidates in options.columns.items():
        found = next((name for name in candidates if name in present), None)
        if found is None:
            others = listed((name if len(name) <= 60 else f"{name[:60]}…" for name in present), 20)
            raise InputError(
                f"{called(where, part.name)}: no column for the {kind} ({', '.join(candidates)}) in {others}; "
                f"name it with --{kind}_column"
            )
        if taken := next((other for other, column in columns.items() if column == found), None):
            raise InputError(
                f"{called(where, part.name)}: {taken} and {kind} are both column {found}; name the right one "
                f"with --{taken}_column or --{kind}_column"
            )
        columns[kind] = found
    return columns


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
