"""A file of pairs to a file of answers."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow
from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm.auto import tqdm

from hf_nli.core.disk import disk_errors
from hf_nli.core.environment import versions
from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS
from hf_nli.core.processes import on_main
from hf_nli.core.report import Report
from hf_nli.core.sole_run import sole_run
from hf_nli.data.records import Records, Row, Scan
from hf_nli.inference.parts import OTHER_FILE, Parts
from hf_nli.inference.predictor import UNDECIDED, WINDOW, Predictor, Prepared, ahead
from hf_nli.inference.writers import Form, form_of
from hf_nli.settings.options import TextOptions

logger = logging.getLogger(__name__)

PREDICTION, EVIDENCE, ERROR = "prediction", "evidence", "error"


@dataclass(frozen=True)
class PredictionSummary(Report):
    """What was predicted.

    Attributes:
        rows: Rows of the file.
        labels: How many have which label, `UNDECIDED` among them.
        cut: Pairs that were longer than the model takes.
        skipped: Rows without an answer.
        seconds: How long this run took.
        rows_per_second: Its own rows over its seconds, without loading the model and reading the rows for the first
            time; 0 if all were there.
    """

    rows: int
    labels: dict[str, int]
    cut: int
    skipped: int
    seconds: float
    rows_per_second: float


@dataclass(frozen=True)
class Columns:
    """What is added to the columns of the input.

    Attributes:
        labels: The labels whose probabilities are among them.
        prefix: What the names of the new columns begin with.
        evidence: Whether the part of the premise that decided is one of them.
        error: Whether what is wrong with a row is one of them.
    """

    labels: tuple[str, ...] = LABELS
    prefix: str = ""
    evidence: bool = False
    error: bool = False

    @classmethod
    def of(cls, predictor: Predictor, prefix: str, skip_bad_rows: bool) -> Columns:
        """The columns that a predictor fills."""
        return cls(predictor.labels, prefix, predictor.options.long_premises == "windows", skip_bad_rows)

    @property
    def names(self) -> list[str]:
        """The names of the new columns."""
        names = [PREDICTION, *self.labels] + [EVIDENCE] * self.evidence + [ERROR] * self.error
        return [f"{self.prefix}{name}" for name in names]

    def check(self, present: Sequence[str], source: str) -> None:
        """Raises `InputError` if the input has a column of such a name."""
        if taken := [name for name in self.names if name in present]:
            raise InputError(
                f"{source} has a column named {taken[0]} already; give the new ones other names, as with --prefix nli_"
            )

    def schema(self, scan: Scan) -> pyarrow.Schema:
        """All columns of the output, with their types if those of the input are known."""
        given = scan.schema or pyarrow.schema([(name, pyarrow.null()) for name in scan.columns])
        for name in self.names:
            of = pyarrow.float64() if name.removeprefix(self.prefix) in self.labels else pyarrow.string()
            given = given.append(pyarrow.field(name, of))
        return given

    def answered(self, window: Window, predictor: Predictor) -> Answered:
        """Adds the answers to rows.

        Args:
            window: The rows.
            predictor: What answers.
        """
        counts: Counter[str] = Counter(rows=len(window.rows))
        answers = iter(predictor.answer(window.prepared, window.first_row)) if window.prepared else iter(())
        records = []
        for row in window.rows:
            values: list[Any] = [None] * (1 + len(self.labels))
            evidence = None
            if row.pair:
                label, probabilities, evidence, cut = next(answers)
                values = [label, *(float(f"{each:.7g}") for each in probabilities)]
                counts.update({f"label {label}": 1, "cut": int(cut)})
            else:
                counts["skipped"] += 1
            values += [evidence] * self.evidence + [row.problem] * self.error
            records.append(row.record | dict(zip(self.names, values, strict=True)))
        return Answered(records, counts)


@dataclass(frozen=True)
class Answered:
    """Rows with answers, and what was counted."""

    records: list[dict[str, Any]]
    counts: Counter[str]


@dataclass(frozen=True)
class Window:
    """Some neighbouring rows.

    Attributes:
        number: The number of the window, from 0.
        first_row: The number of its first row, from 1.
        rows: The rows.
        prepared: Their pairs, encoded; None if there is none among them.
    """

    number: int
    first_row: int
    rows: list[Row]
    prepared: Prepared | None

    @classmethod
    def of(cls, number: int, first_row: int, rows: list[Row], predictor: Predictor) -> Window:
        """Encodes the pairs of rows."""
        pairs = [row.pair for row in rows if row.pair]
        return cls(number, first_row, rows, predictor.prepare(pairs) if pairs else None)


def windows(records: Iterable[Row], predictor: Predictor, wanted: Container[int] | None = None) -> Iterator[Window]:
    """Reads rows and encodes their pairs, window by window.

    Args:
        records: All rows.
        predictor: What will answer.
        wanted: The numbers of the windows that are needed; by default all.
    """
    read = iter(records)
    for number in count():
        rows = list(islice(read, WINDOW))
        if not rows:
            return
        if wanted is None or number in wanted:
            yield Window.of(number, 1 + number * WINDOW, rows, predictor)


def predict_file(
    load: Callable[[], Predictor],
    input_file: str,
    output_file: str | Path,
    split: str | None = None,
    text_options: TextOptions | None = None,
    prefix: str = "",
    skip_bad_rows: bool = False,
    overwrite: bool = False,
) -> PredictionSummary:
    """Answers all rows of a data set, in a file that appears when it is whole.

    Memory doesn't grow with the rows. What is answered is kept beside the file until then: a run that was killed, and
    is started again, goes on. Processes share the rows, and the file is the same, however many there are.

    Args:
        load: Gives what answers; it is called when the input has been read once.
        input_file: What `data.load.load_nli` takes; labels aren't needed.
        output_file: A .jsonl, .csv, .tsv or .parquet file. Each row has all columns of the input, then `prediction`
            (the label), the probabilities `entailment`, `neutral` and `contradiction` (or `not_entailment`), to 7
            digits, and `evidence`, if the predictor scores long premises by windows, and `error`, if bad rows are
            skipped.
        split: The split, if the input has several.
        text_options: How to read the input.
        prefix: What the names of the new columns begin with.
        skip_bad_rows: Whether a row without a pair of texts is written with no answer and an error.
        overwrite: Whether to replace `output_file`, and what another run began of it.

    Returns:
        What was predicted.

    Raises:
        InputError: If the input can't be read, has a row without a pair of texts, or a column of a new one's name; if
            the output can't be written, or is there; if the model can't be used. Of several processes, all raise it.
    """
    form, output = form_of(str(output_file)), Path(output_file)
    records = Records(input_file, split, text_options or TextOptions(), skip_bad_rows)
    with ExitStack() as stack:
        parts_folder = Parts(output, {}).folder
        on_main(lambda: str(stack.enter_context(sole_run(parts_folder, OTHER_FILE))))
        scan = on_main(lambda: records.scan(form.typed, form.check))
        predictor = load()
        columns = Columns.of(predictor, prefix, skip_bad_rows)
        columns.check(scan.columns, input_file)
        job = _Job(Parts(output, _identity(predictor, scan, columns, form)), form, columns.schema(scan), scan, columns)
        return job.run(records, predictor, overwrite)


def _identity(predictor: Predictor, scan: Scan, columns: Columns, form: Form) -> dict[str, str]:
    own = {"input": scan.sha256, "--prefix": columns.prefix, "--skip_bad_rows": str(columns.error)}
    packages = " ".join(f"{name} {version}" for name, version in versions().items())
    return predictor.identity() | own | {"form of the output": type(form).__name__, "versions": packages}


@dataclass(frozen=True)
class _Job:
    """How the rows become an output file."""

    parts: Parts
    form: Form
    schema: pyarrow.Schema
    scan: Scan
    columns: Columns

    def run(self, records: Records, predictor: Predictor, overwrite: bool) -> PredictionSummary:
        done = on_main(lambda: self.parts.begin(overwrite))
        if done is not None:
            logger.info("%s is there already, whole: nothing to do", self.parts.output)
            return summarize(Counter(done), self.columns.labels, 0, 0.0)
        started, own = time.perf_counter(), self._write_windows(records, predictor)
        counts = on_main(self._finish)
        own, seconds = int(sum(gather_object([own]))), time.perf_counter() - started
        return summarize(Counter(counts), self.columns.labels, own, seconds)

    def _write_windows(self, records: Records, predictor: Predictor) -> int:
        """Writes this process's share of the windows that aren't written yet; gives the number of its rows."""
        state, answered = PartialState(), 0
        left = [number for number in range(-(-self.scan.rows // WINDOW)) if not self.parts.has(number)]
        state.wait_for_everyone()  # all have seen the same ones
        mine = set(left[state.process_index :: state.num_processes])
        before = self.scan.rows - sum(min(WINDOW, self.scan.rows - number * WINDOW) for number in left)
        hidden = not state.is_main_process
        with tqdm(
            total=self.scan.rows, initial=before, desc="Predicting", unit=" rows", dynamic_ncols=True, disable=hidden
        ) as bar:
            for window in ahead(windows(records, predictor, mine)):
                answers = self.columns.answered(window, predictor)
                temporary = self.parts.part(window.number).with_suffix(".new")
                with disk_errors(self.parts.output, OTHER_FILE):
                    self.form.write_part(temporary, answers.records, self.schema)
                    self.parts.written(window.number, temporary, answers.counts)
                answered += len(window.rows)
                # The other processes are about as far.
                bar.update(min(len(window.rows) * state.num_processes, bar.total - bar.n))
        state.wait_for_everyone()
        return answered

    def _finish(self) -> dict[str, int]:
        numbers = range(-(-self.scan.rows // WINDOW))
        counts: Counter[str] = Counter()
        for number in numbers:
            counts.update(self.parts.counts(number))
        whole = self.parts.folder / "whole"
        with disk_errors(self.parts.output, OTHER_FILE):
            self.form.join(whole, [self.parts.part(number) for number in numbers], self.schema)
        self.parts.end(whole, counts)
        return dict(counts)


def summarize(counts: Counter[str], labels: Sequence[str], own: int, seconds: float) -> PredictionSummary:
    """Tells what was counted, with a warning of pairs that were cut.

    Args:
        counts: What `Columns.answered` counts.
        labels: The model's labels.
        own: The rows that this run answered.
        seconds: How long that took.
    """
    found = {label: counts[f"label {label}"] for label in (*labels, UNDECIDED)}
    if not found[UNDECIDED]:
        del found[UNDECIDED]
    if counts["cut"]:
        logger.warning(
            "%d pairs were cut, they are longer than the model takes; --long_premises windows scores all of a premise",
            counts["cut"],
        )
    return PredictionSummary(
        counts["rows"], found, counts["cut"], counts["skipped"], seconds, own / seconds if seconds else 0.0
    )
