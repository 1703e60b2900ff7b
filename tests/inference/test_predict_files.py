"""Files of pairs to files of answers: every form, every row, every interruption."""

import csv
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from helpers import SUBJECTS, VERBS, launcher, write_tiny_model
from nli_files import write_csv, write_json, write_jsonl, write_parquet

from hf_nli import InputError, Predictor, TextOptions, predict_file
from hf_nli.cli import main
from hf_nli.inference import files
from hf_nli.inference.predictor import WINDOW

ANSWERS = ["prediction", "entailment", "neutral", "contradiction"]
ROWS = [
    {"id": "1", "premise": "a man \"runs\", 'twice'.", "hypothesis": "a man", "label": "neutral", "note": "é 漢 🙂"},
    {"id": "2", "premise": "a dog runs.", "hypothesis": "", "label": "-", "note": "two\nlines, and a comma"},
    {"id": "3", "premise": "a dog runs.", "hypothesis": "the cat", "label": "x", "note": ""},
    {"id": "4", "premise": "a dog " * 100, "hypothesis": "the cat", "label": "", "note": "tab\there"},
]
FLAT = [row | {"note": row["note"].replace("\n", " ").replace("\t", " ")} for row in ROWS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def predictor(folder):
    return Predictor.from_pretrained(folder)


@pytest.fixture
def answered(predictor, tmp_path):
    """Answers a file, and gives the output."""

    def run(source, name="answers.jsonl", **options):
        summary = predict_file(lambda: predictor, str(source), tmp_path / name, **options)
        return tmp_path / name, summary

    return run


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_tsv(path):
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def read_parquet(path):
    return pyarrow.parquet.read_table(path).to_pylist()


def write_tsv(path, rows):
    return write_csv(path, rows, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)


def write_zipped(path, rows):
    write_csv(path.with_suffix(""), rows)
    path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
    path.with_suffix("").unlink()
    return str(path)


def write_saved(path, rows):
    datasets.Dataset.from_list(rows).save_to_disk(path)
    return str(path)


INPUTS = {
    "rows.jsonl": write_jsonl,
    "rows.json": write_json,
    "rows.csv": write_csv,
    "rows.csv.gz": write_zipped,
    "rows.tsv": write_tsv,
    "rows.txt": write_tsv,
    "rows.parquet": write_parquet,
    "saved": write_saved,
}
OUTPUTS = {
    "answers.jsonl": read_jsonl,
    "answers.csv": read_csv,
    "answers.tsv": read_tsv,
    "answers.parquet": read_parquet,
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("name", INPUTS)
def test_every_form_keeps_all_columns(name, output, answered, predictor, tmp_path):
    rows = FLAT if name.endswith((".tsv", ".txt")) or output.endswith(".tsv") else ROWS
    path, summary = answered(INPUTS[name](tmp_path / name, rows), output)
    read = OUTPUTS[output](path)
    assert [{column: row[column] for column in rows[0]} for row in read] == rows
    assert list(read[0]) == [*rows[0], *ANSWERS]
    expected = predictor([(row["premise"], row["hypothesis"]) for row in rows])
    assert [row["prediction"] for row in read] == [each["label"] for each in expected]
    for row, each in zip(read, expected, strict=True):
        for label, score in each["scores"].items():
            assert float(row[label]) == pytest.approx(score, rel=1e-6)
    assert summary.rows == 4 and sum(summary.labels.values()) == 4 and summary.cut == 1 and summary.skipped == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([name, output])  # no parts are left


def test_types_stay(answered, tmp_path):
    when = datetime(2020, 1, 2, 3, 4, 5)
    rows = [
        {"premise": "a dog", "hypothesis": "a", "n": 1, "x": 0.5, "t": True, "w": when, "l": [1, 2], "d": {"k": None}}
    ]
    rows += [dict.fromkeys(rows[0]) | {"premise": "a", "hypothesis": "b"}]
    source = write_parquet(tmp_path / "rows.parquet", rows)
    for row, given in zip(read_parquet(answered(source, "a.parquet")[0]), rows, strict=True):
        assert {name: row[name] for name in given} == given
    (first, second) = read_jsonl(answered(source, "a.jsonl")[0])
    assert {name: first[name] for name in rows[0]} == rows[0] | {"w": "2020-01-02T03:04:05"}
    assert second["n"] is None and second["w"] is None
    (first, second) = read_csv(answered(source, "a.csv")[0])
    assert [first[name] for name in "nxtwld"] == ["1", "0.5", "true", "2020-01-02T03:04:05", "[1, 2]", '{"k": null}']
    assert [second[name] for name in "nxtwld"] == [""] * 6


def test_rows_of_json_may_have_other_keys(answered, tmp_path):
    rows = [{"premise": "a", "hypothesis": "b", "one": 1}, {"premise": "a", "hypothesis": "b", "two": ["x"]}]
    source = write_jsonl(tmp_path / "rows.jsonl", rows)
    assert [list(row) for row in read_jsonl(answered(source)[0])] == [[*row, *ANSWERS] for row in rows]
    assert [(row["one"], row["two"]) for row in read_csv(answered(source, "a.csv")[0])] == [("1", ""), ("", '["x"]')]
    typed = read_parquet(answered(source, "a.parquet")[0])
    assert [(row["one"], row["two"]) for row in typed] == [(1, None), (None, ["x"])]
    mixed = write_jsonl(tmp_path / "mixed.jsonl", [rows[0], rows[0] | {"one": "x"}])
    with pytest.raises(InputError, match="column are of several types, .*one"):
        answered(mixed, "b.parquet")
    assert read_jsonl(answered(mixed, "b.jsonl")[0])[1]["one"] == "x"


def test_what_a_form_cannot_hold_is_told_before_the_work(answered, tmp_path):
    source = write_jsonl(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(InputError, match="rows.jsonl, row 2: column note holds a tab or a new line, .*write .csv"):
        answered(source, "a.tsv")
    binary = pyarrow.table({"premise": ["a"], "hypothesis": ["b"], "raw": [b"\xff"]})
    pyarrow.parquet.write_table(binary, tmp_path / "raw.parquet")
    with pytest.raises(InputError, match="raw.parquet, row 1: a value is bytes, .*write .parquet"):
        answered(tmp_path / "raw.parquet", "a.csv")
    assert read_parquet(answered(tmp_path / "raw.parquet", "a.parquet")[0])[0]["raw"] == b"\xff"
    assert not (tmp_path / "a.csv").exists() and not list(tmp_path.glob("*.parts"))
    for name in ("a.txt", "a", "a.json", "a.csv.gz"):
        with pytest.raises(InputError, match="its name must end in .jsonl, .csv, .tsv, .parquet"):
            answered(source, name)


def test_columns_of_the_same_name(answered, tmp_path):
    first, _ = answered(write_jsonl(tmp_path / "rows.jsonl", ROWS))
    with pytest.raises(InputError, match="answers.jsonl has a column named prediction already; .*--prefix"):
        answered(first, "again.csv")
    again, _ = answered(first, "again.csv", prefix="nli_")
    for row in read_csv(again):
        assert all(row[name] == row[f"nli_{name}"] for name in ANSWERS)


def test_columns_and_splits_by_name(answered, tmp_path):
    rows = [{"claim": "a", "context": "a dog runs.", "text": "-"}]
    options = TextOptions(premise_column="context", hypothesis_column="claim")
    source = write_csv(tmp_path / "rows.csv", rows)
    assert read_jsonl(answered(source, text_options=options)[0])[0]["claim"] == "a"
    with pytest.raises(InputError, match="no column for the hypothesis .*--hypothesis_column"):
        answered(source, "b.jsonl")
    for name in ("train", "dev"):
        write_jsonl(tmp_path / "both" / f"{name}.jsonl", ROWS[:2]) if (tmp_path / "both").mkdir(
            exist_ok=True
        ) else None
        write_jsonl(tmp_path / "both" / f"{name}.jsonl", ROWS[: 2 if name == "train" else 3])
    with pytest.raises(InputError, match="more than one split; name one with --split; it has train, validation"):
        answered(tmp_path / "both", "c.jsonl")
    assert answered(tmp_path / "both", "c.jsonl", split="validation")[1].rows == 3
    with pytest.raises(InputError, match="no split named test"):
        answered(tmp_path / "both", "d.jsonl", split="test")


GOOD = {"premise": "a dog runs.", "hypothesis": "a"}
BAD_LINES = {
    "a number": (b'{"premise": 7, "hypothesis": "b"}', "the premise is 7, not a text", {"premise": 7}),
    "no text": (b'{"premise": "a"}', "the hypothesis is None, not a text", {"premise": "a"}),
    "no JSON": (b'{"premise": ', "can't be loaded as JSON", {}),
    "a list": (b"[1]", "is no JSON object", {}),
    "bytes": (b'{"premise": "\xff", "hypothesis": "b"}', "UTF-8", {"premise": "�"}),
    "half a pair": (b'{"premise": "\\ud800", "hypothesis": "b"}', "surrogate pair", {"hypothesis": "b"}),
    "elsewhere": (b'{"premise": "a", "hypothesis": "b", "note": "\xe9"}', "UTF-8", {"note": "�", "premise": "a"}),
}


@pytest.mark.parametrize("line, problem, shown", BAD_LINES.values(), ids=BAD_LINES)
def test_bad_rows(line, problem, shown, answered, tmp_path):
    good = json.dumps(GOOD).encode()
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join([good, good, b"", line, good]))
    with pytest.raises(InputError, match=rf"rows.jsonl.*line 4.*{problem}") as error:
        answered(tmp_path / "rows.jsonl")
    assert "\n" not in str(error.value) and not list(tmp_path.glob("answers*"))
    path, summary = answered(tmp_path / "rows.jsonl", skip_bad_rows=True)
    rows = read_jsonl(path)
    assert [row["prediction"] is None for row in rows] == [False, False, True, False]
    assert [row["error"] is None for row in rows] == [True, True, False, True]
    assert problem in rows[2]["error"] and "row 3 (line 4 of rows.jsonl)" in rows[2]["error"]
    assert {name: rows[2][name] for name in shown}.items() >= {k: v for k, v in shown.items() if v != "�"}.items()
    assert all("�" in rows[2][name] for name, value in shown.items() if value == "�")
    assert summary.skipped == 1 and summary.rows == 4 and sum(summary.labels.values()) == 3


def test_bad_rows_of_fields(answered, tmp_path):
    (tmp_path / "rows.csv").write_bytes(b'premise,hypothesis\na,b\na,b,c\na\n"x" y,z\n\xe9,b\na,b\n')
    with pytest.raises(InputError, match="line 6 of rows.csv.: .*not UTF-8 .byte 0xe9"):
        answered(tmp_path / "rows.csv")
    (tmp_path / "few.csv").write_bytes(b"premise,hypothesis\na,b\na,b,c\n")
    with pytest.raises(InputError, match="row 2 .line 3 of few.csv.: 3 fields, the header has 2; .*--skip_bad_rows"):
        answered(tmp_path / "few.csv")
    rows = read_csv(answered(tmp_path / "rows.csv", "answers.csv", skip_bad_rows=True)[0])
    assert [bool(row["error"]) for row in rows] == [False, True, True, True, True, False]
    assert [row["premise"] for row in rows] == ["a", "a", "a", "", "�", "a"]
    assert "1 field, the header has 2" in rows[2]["error"] and "closing quotation mark" in rows[3]["error"]


def test_evidence_and_undecided(folder, tmp_path):
    source = write_jsonl(tmp_path / "rows.jsonl", ROWS)
    unsure = Predictor.from_pretrained(folder, long_premises="windows", threshold=1.0)
    summary = predict_file(lambda: unsure, source, tmp_path / "answers.csv")
    rows = read_csv(tmp_path / "answers.csv")
    assert {row["prediction"] for row in rows} == {"undecided"} and summary.labels["undecided"] == 4
    assert [row["evidence"] == row["premise"] for row in rows] == [True, True, True, False]
    assert rows[3]["evidence"] in rows[3]["premise"]


def many_rows(path, count):
    generator = random.Random(7)
    rows = (
        f"{number},{generator.choice(SUBJECTS)} {generator.choice(VERBS)} {'outside ' * generator.randrange(9)}"
        f"{number},{generator.choice(SUBJECTS)}\n"
        for number in range(count)
    )
    path.write_text("id,premise,hypothesis\n" + "".join(rows))
    return str(path)


def test_order_over_windows(answered, predictor, tmp_path):
    source = many_rows(tmp_path / "rows.csv", 2 * WINDOW + 5)
    rows = read_csv(answered(source, "answers.csv")[0])
    assert [int(row["id"]) for row in rows] == list(range(2 * WINDOW + 5))
    for row in rows[:: WINDOW // 3]:
        assert float(row["neutral"]) == pytest.approx(
            predictor((row["premise"], row["hypothesis"]))["scores"]["neutral"], abs=1e-5
        )


def test_a_run_that_ended_is_not_run_again(answered, predictor, folder, tmp_path, caplog):
    source = write_jsonl(tmp_path / "rows.jsonl", ROWS)
    path, summary = answered(source)
    written = path.stat()
    again = answered(source)[1]
    assert (again.rows, again.labels, again.rows_per_second) == (summary.rows, summary.labels, 0)
    assert path.stat().st_mtime_ns == written.st_mtime_ns
    others = {
        "setting": lambda: answered(source, prefix="x_"),
        "input": lambda: answered(write_jsonl(tmp_path / "rows.jsonl", ROWS[:2])),
        "model": lambda: predict_file(lambda: Predictor.from_pretrained(folder, threshold=0.5), source, path),
    }
    for other in others.values():
        with pytest.raises(
            InputError, match="answers.jsonl is there already; choose another --output_file, .*--overwr"
        ):
            other()
    assert answered(source, overwrite=True)[1].rows == 2
    path.write_text("mine")
    with pytest.raises(InputError, match="there already"):
        answered(source)
    assert path.read_text() == "mine"


def stop_after(monkeypatch, windows):
    """Makes the next run fail after so many windows."""
    real = files.Columns.answered

    def answered(self, window, predictor):
        if window.number >= windows:
            raise InputError("stopped")
        return real(self, window, predictor)

    monkeypatch.setattr(files.Columns, "answered", answered)


def test_what_another_run_began(answered, predictor, folder, tmp_path, monkeypatch):
    source = many_rows(tmp_path / "rows.csv", 2 * WINDOW + 5)
    whole = answered(source, "whole.csv")[0].read_bytes()
    with monkeypatch.context() as patch, pytest.raises(InputError, match="stopped"):
        stop_after(patch, 1)
        answered(source, "answers.csv")
    assert (tmp_path / "answers.csv.parts").is_dir() and not (tmp_path / "answers.csv").exists()
    with pytest.raises(InputError, match="an unfinished run that had another --prefix; .*--overwrite"):
        answered(source, "answers.csv", prefix="x_")
    with pytest.raises(InputError, match="an unfinished run that had another --threshold"):
        predict_file(lambda: Predictor.from_pretrained(folder, threshold=0.5), source, tmp_path / "answers.csv")
    other = write_tiny_model(tmp_path / "other", initializer_range=0.3)
    with pytest.raises(InputError, match="an unfinished run that had another model"):
        predict_file(lambda: Predictor.from_pretrained(str(other)), source, tmp_path / "answers.csv")
    asked = []
    real = Predictor.prepare
    monkeypatch.setattr(Predictor, "prepare", lambda self, pairs: asked.append(len(pairs)) or real(self, pairs))
    assert answered(source, "answers.csv")[0].read_bytes() == whole
    assert asked == [WINDOW, 5]  # the first window was there
    assert not (tmp_path / "answers.csv.parts").exists()
    with monkeypatch.context() as patch, pytest.raises(InputError, match="stopped"):
        stop_after(patch, 1)
        answered(source, "answers.csv", prefix="x_", overwrite=True)
    assert (tmp_path / "answers.csv").read_bytes() == whole  # until the new one is whole
    assert answered(source, "answers.csv", overwrite=True)[0].read_bytes() == whole


def command(folder, *flags, processes=1):
    start = [sys.executable, *(launcher(processes) if processes > 1 else []), "-m", "hf_nli"]
    return [*start, "predict", "--model_name_or_path", folder, *map(str, flags)]


ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def run(*arguments, **options):
    return subprocess.run(command(*arguments), env=ENVIRONMENT, capture_output=True, text=True, timeout=300, **options)


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_any_moment(processes, folder, answered, tmp_path):
    """At least five times, each a little later: what is there in the end is that of one whole run."""
    source = many_rows(tmp_path / "rows.csv", 8 * WINDOW)
    whole = answered(source, "whole.csv")[0].read_bytes()
    flags = ["--input_file", source, "--output_file", tmp_path / "answers.csv", "--device", "cpu"]
    generator, parts, kills = random.Random(processes), tmp_path / "answers.csv.parts", 0
    for attempt in range(40):
        begun = len(list(parts.glob("*.json")))
        process = subprocess.Popen(
            command(folder, *flags, processes=processes),
            env=ENVIRONMENT,
            start_new_session=True,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        while process.poll() is None and len(list(parts.glob("*.json"))) <= begun and kills < 6:
            time.sleep(0.01)
        time.sleep(generator.random() * 0.2)
        if kills < 6 and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
            assert not (tmp_path / "answers.csv").exists() or not parts.exists() or attempt
        if process.wait(300) == 0:
            break
    assert kills >= 5 and process.returncode == 0
    assert (tmp_path / "answers.csv").read_bytes() == whole
    assert not parts.exists() and not list(tmp_path.glob(".*"))


def test_two_processes_write_what_one_does(folder, answered, tmp_path):
    source = many_rows(tmp_path / "rows.csv", 3 * WINDOW + 7)
    for name in ("answers.jsonl", "answers.csv", "answers.parquet"):
        flags = ["--input_file", source, "--output_file", tmp_path / name, "--device", "cpu"]
        done = subprocess.run(
            command(folder, *flags, processes=2), env=ENVIRONMENT, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("12,295 rows in") == 1
        assert (tmp_path / name).read_bytes() == answered(source, f"one_{name}")[0].read_bytes()


def test_standard_input_is_answered_as_it_comes(folder):
    process = subprocess.Popen(
        command(folder, "--input_file", "-"), env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    for number in range(3):
        process.stdin.write(json.dumps(GOOD | {"id": number}) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())  # which would wait for ever
        assert answer["id"] == number and list(answer) == [*GOOD, "id", *ANSWERS]
    process.stdin.write("\n".join(json.dumps(GOOD | {"id": number}) for number in range(3, 1000)))
    process.stdin.close()
    assert [json.loads(line)["id"] for line in process.stdout] == list(range(3, 1000))
    assert process.wait(60) == 0
    assert "1,000 rows in" in process.stderr.read()


def test_standard_input_to_a_file_and_a_file_to_standard_output(folder, answered, tmp_path):
    source = Path(write_jsonl(tmp_path / "rows.jsonl", ROWS))
    expected = answered(source)[0].read_text(encoding="utf-8")
    printed = run(folder, "--input_file", source)
    assert printed.returncode == 0 and printed.stdout == expected and "4 rows in" in printed.stderr
    piped = run(folder, "--input_file", "-", input=source.read_text(encoding="utf-8"))
    assert piped.returncode == 0 and piped.stdout == expected
    written = run(folder, "--input_file", "-", "--output_file", tmp_path / "a.jsonl", input=source.read_text())
    assert written.returncode == 0, written.stderr
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8") == expected


def test_a_bad_line_of_standard_input(folder):
    lines = f"{json.dumps(GOOD)}\n7\n{json.dumps(GOOD)}\n"
    done = run(folder, "--input_file", "-", input=lines)
    assert done.returncode == 2 and len(done.stdout.splitlines()) == 1
    assert "standard input, line 2: can't be loaded: 7 is no JSON object" in done.stderr.splitlines()[-1]
    done = run(folder, "--input_file", "-", "--skip_bad_rows", input=lines)
    assert [json.loads(line)["prediction"] is None for line in done.stdout.splitlines()] == [False, True, False]
    taken = run(folder, "--input_file", "-", input=json.dumps(GOOD | {"neutral": 1}))
    assert taken.returncode == 2 and "a column named neutral already" in taken.stderr


def test_columns_of_other_names(folder):
    """ANLI's in standard input, e-SNLI's letter case; which of two is meant isn't guessed."""
    rows = [
        {"context": GOOD["premise"], "hypothesis": GOOD["hypothesis"]},
        {"Sentence1": GOOD["premise"], "Sentence2": GOOD["hypothesis"]},
        GOOD,
    ]
    done = run(folder, "--input_file", "-", input="".join(json.dumps(row) + "\n" for row in rows))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [{name: answer[name] for name in ANSWERS} for answer in answers] == [
        {name: answers[2][name] for name in ANSWERS}
    ] * 3
    done = run(folder, "--input_file", "-", input=json.dumps({"text": "a", "sentence_A": "b", "sentence_B": "c"}))
    assert done.returncode == 2 and "line 1: the premise is None, not a text" in done.stderr


def test_a_broken_pipe_ends_quietly(folder, tmp_path):
    source = many_rows(tmp_path / "rows.csv", 3 * WINDOW)
    line = " ".join(command(folder, "--input_file", source)) + " 2> errors | head -n 1"
    done = subprocess.run(line, shell=True, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert json.loads(done.stdout)["id"] == "0" and (tmp_path / "errors").read_text() == ""


def test_a_full_disk(answered, folder, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("file systems can't be mounted here")
    try:
        source = many_rows(tmp_path / "rows.csv", 4 * WINDOW)
        done = run(folder, "--input_file", source, "--output_file", small / "answers.csv")
        assert done.returncode == 2 and not (small / "answers.csv").exists()
        assert "answers.csv: can't be written to (No space left on device)" in done.stderr.splitlines()[-1]
        subprocess.run(["mount", "-o", "remount,size=9m", small], check=True)
        done = run(folder, "--input_file", source, "--output_file", small / "answers.csv")
        assert done.returncode == 0, done.stderr
        assert (small / "answers.csv").read_bytes() == answered(source, "answers.csv")[0].read_bytes()
        assert [each.name for each in small.iterdir()] == ["answers.csv"]
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "give one pair, with --premise and --hypothesis, or a file of pairs with --input_file"),
        (["--premise", "a"], "give one pair"),
        (
            ["--premise", "a", "--hypothesis", "b", "--input_file", "c.csv"],
            "--premise and --input_file: give one pair",
        ),
        (["--premise", "a", "--hypothesis", "b", "--output_file", "c.csv"], "--output_file is for --input_file"),
        (["--input_file", "nowhere.csv", "--output_file", "a.csv"], "nowhere.csv: no such file"),
        (["--input_file", "nowhere.csv", "--output_file", "a.txt"], "its name must end in"),
        (
            ["--input_file", "nowhere.csv", "--output_file", "no/such/folder/a.csv", "--threshold", "2"],
            "--threshold is",
        ),
    ],
)
def test_what_is_refused(flags, message, folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "--model_name_or_path", folder, *flags]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_another_run_into_the_same_file(folder, predictor, tmp_path):
    source = write_jsonl(tmp_path / "rows.jsonl", ROWS)

    def load():
        done = run(folder, "--input_file", source, "--output_file", tmp_path / "answers.csv")
        assert done.returncode == 2 and f"another run writes there, process {os.getpid()}, started 20" in done.stderr
        assert "choose another --output_file" in done.stderr and done.stderr.count("\n") == 1
        return predictor

    assert predict_file(load, source, tmp_path / "answers.csv").rows == 4
