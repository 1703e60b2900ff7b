"""Rows to lines of JSON: of lines that come in, while they come, and of a data set."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from queue import Empty, Queue
from typing import BinaryIO

from hf_nli.core.content import DamagedRow
from hf_nli.core.errors import InputError
from hf_nli.data.records import SKIP, Records, Row, make_row, printable
from hf_nli.inference.files import Columns, Window, windows
from hf_nli.inference.predictor import Predictor, ahead
from hf_nli.inference.writers import json_line
from hf_nli.settings.options import TextOptions
from hf_nli.sources.columns import choose
from hf_nli.sources.readers import parse_object

AT_ONCE = 256  # lines, so that the first of many is answered soon


def predict_stream(
    predictor: Predictor,
    lines: BinaryIO,
    write: Callable[[str], None],
    text_options: TextOptions,
    columns: Columns,
    ascii_only: bool = False,
) -> Counter[str]:
    """Answers lines of JSON as they come: those that are there at once together, and none waits for another.

    Args:
        predictor: What answers.
        lines: Where they come from.
        write: Takes the answered lines, and sees to it that they arrive.
        text_options: What their columns are called.
        columns: What is added to them.
        ascii_only: Whether other characters are escaped.

    Returns:
        What was counted.

    Raises:
        InputError: If a line has no pair, and such lines aren't skipped.
    """
    counts: Counter[str] = Counter()
    for rows in _rows(lines, text_options, columns):
        window = Window.of(0, 1 + counts["rows"], rows, predictor)
        answered = columns.answered(window, predictor)
        write("".join(json_line(record, ascii_only) for record in answered.records))
        counts += answered.counts
    return counts


def predict_lines(
    predictor: Predictor,
    records: Records,
    write: Callable[[str], None],
    columns: Columns,
    ascii_only: bool = False,
) -> Counter[str]:
    """Answers all rows of a data set in lines of JSON.

    Args:
        predictor: What answers.
        records: The rows.
        write: Takes the lines.
        columns: What is added to the rows.
        ascii_only: Whether other characters are escaped.

    Returns:
        What was counted.
    """
    counts: Counter[str] = Counter()
    for window in ahead(windows(records, predictor)):
        answered = columns.answered(window, predictor)
        write("".join(json_line(record, ascii_only) for record in answered.records))
        counts += answered.counts
    return counts


def _rows(lines: BinaryIO, options: TextOptions, columns: Columns) -> Iterator[list[Row]]:
    """Gives the rows of the lines that are there, as soon as there is one."""
    queue: Queue[tuple[int, bytes] | OSError | None] = Queue(2 * AT_ONCE)
    threading.Thread(target=_read, args=(lines, queue), daemon=True).start()
    while True:
        items = [queue.get()]
        while items[-1] is not None and len(items) < AT_ONCE:
            try:
                items.append(queue.get_nowait())
            except Empty:
                break
        rows, failure = [], None
        for item in items:
            try:
                if isinstance(item, OSError):
                    raise item
                if item and item[1].strip():
                    rows.append(_row(*item, options, columns))
            except (InputError, OSError) as error:  # after the answers to what came before
                failure = error
                break
        if rows:
            yield rows
        if failure:
            raise failure
        if items[-1] is None:
            return


def _read(lines: BinaryIO, queue: Queue[tuple[int, bytes] | OSError | None]) -> None:
    try:
        for numbered in enumerate(lines, 1):
            queue.put(numbered)
        queue.put(None)
    except OSError as error:
        queue.put(error)


def _row(number: int, line: bytes, options: TextOptions, columns: Columns) -> Row:
    record = parse_object(line.decode("utf-8", "surrogateescape"), number)
    try:
        present = {} if isinstance(record, DamagedRow) else record
        columns.check(tuple(present), f"line {number}")
        chosen = choose(present, options)
        premise, hypothesis = (
            chosen[kind][0] if len(chosen[kind]) == 1 else names[0] for kind, names in options.columns.items()
        )
        return make_row(number, record, premise, hypothesis, options.text == "parse")
    except DamagedRow as error:
        problem = f"standard input, line {number}: {error}"
        if not columns.error:
            raise InputError(f"{problem}; {SKIP}") from error
        return Row(printable(error.record), None, problem)
