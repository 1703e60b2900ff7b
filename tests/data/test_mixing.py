"""Several sources in one run: how they are named, how many pairs of each there are, and what their label ids mean."""

import logging
from collections import Counter

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from nli_files import EXPECTED, PAIRS, write_csv, write_jsonl, write_release

from hf_nli.core.errors import InputError
from hf_nli.data.mixing import mix
from hf_nli.data.splits import RunSources
from hf_nli.settings.options import DataOptions
from hf_nli.sources.named import NamedSource, name_source, name_sources

OPTIONS = DataOptions()
NAMES = ["contradiction", "neutral", "entailment"]


def rows(name, count):
    return Dataset.from_dict({"text": [f"{name}{number}" for number in range(count)]})


def write_numbered(path, count, label="neutral"):
    return write_jsonl(path, [dict(PAIRS[0], hypothesis=f"{number}", label=label) for number in range(count)])


@pytest.mark.parametrize(
    "text, named",
    {
        "stanfordnlp/snli": ("stanfordnlp/snli", None, None),
        "stanfordnlp/snli:train": ("stanfordnlp/snli", "train", None),
        "a b/*.csv:test": ("a b/*.csv", "test", None),
        "a.csv:contradiction,neutral,entailment": ("a.csv", None, NAMES),
        "a.csv:train:contradiction,neutral,entailment": ("a.csv", "train", NAMES),
        "a.csv:entailment,not-entailment": ("a.csv", None, ["entailment", "not-entailment"]),
        r"C:\data\a.csv": (r"C:\data\a.csv", None, None),
        r"C:\data\a.csv:train": (r"C:\data\a.csv", "train", None),
        "hf://a/b": ("hf://a/b", None, None),
        "a:b:c": ("a:b", "c", None),
        ":train": (":train", None, None),
        "": ("", None, None),
    }.items(),
)
def test_names(text, named):
    assert name_source(text) == NamedSource(*named)


def test_what_is_there_is_no_source_and_a_split(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl:train", PAIRS)
    assert name_source(path) == NamedSource(path)
    assert name_source(f"{path}:test") == NamedSource(path, "test")


def test_public_names_have_no_paths():
    given = ["/home/me/a.csv:train:neutral,entailment", "stanfordnlp/snli:test", "b.csv", "/x/c.csv:e,n"]
    assert [name_source(each).public_name for each in given] == [
        "a.csv:train:neutral,entailment",
        "stanfordnlp/snli:test",
        "b.csv",
        "c.csv:e,n",
    ]


@pytest.mark.parametrize(
    "weights, message",
    [
        ([1], "--mixing_weights: 1 for 2 data sets; give one a data set"),
        ([1, 2, 3], "--mixing_weights: 3 for 2 data sets"),
        ([1, 0], "--mixing_weights is 0; it must be at least 1e-06"),
        ([1, -2], "--mixing_weights is -2"),
        ([1, float("nan")], "--mixing_weights is nan"),
        ([1, "2"], "--mixing_weights is '2'; it must be a number"),
        ([], "--mixing_weights: no value is given"),
    ],
)
def test_weights_that_are_refused(weights, message):
    with pytest.raises(InputError, match=message):
        name_sources(["a", "b"], weights)


def test_no_source():
    with pytest.raises(InputError, match="--dataset: no data set is given"):
        name_sources([])


def test_without_weights_all_rows_of_all_sources():
    mixed, drawn = mix([rows("a", 5), rows("b", 3)], None, 1)
    assert mixed["text"][:] == ["a0", "a1", "a2", "a3", "a4", "b0", "b1", "b2"] and drawn == [5, 3]


@pytest.mark.parametrize(
    "sizes, weights, drawn",
    [
        ((100, 300), (2, 1), [267, 133]),
        ((300, 100), (1, 1), [200, 200]),
        ((10, 20, 70), (1, 1, 2), [25, 25, 50]),
        ((40, 60), (0.4, 0.6), [40, 60]),
        ((1000, 1), (1000, 1e-3), [1001, 1]),  # a source that is named is trained on
        ((7,), (3,), [7]),
    ],
)
def test_shares_are_exact(sizes, weights, drawn):
    """Each row as often as the others of its source, or once more."""
    sources = [rows("abc"[index], size) for index, size in enumerate(sizes)]
    mixed, counts = mix(sources, weights, 1)
    assert counts == drawn and len(mixed) == sum(drawn)
    seen = Counter(mixed["text"])
    for name, size, count in zip("abc", sizes, drawn, strict=False):
        times = [seen[f"{name}{row}"] for row in range(size)]
        assert sum(times) == count and max(times) - min(times) <= 1


def test_what_is_drawn_depends_on_the_seed_alone():
    sources, weights = [rows("a", 100), rows("b", 300)], (2, 1)
    first, again, other = (mix(sources, weights, seed)[0]["text"][:] for seed in (1, 1, 2))
    assert first == again != other


def test_each_source_s_label_ids_have_their_own_names(tmp_path):
    """By name in one, by a ClassLabel in the next, and by what was said in the last."""
    by_name = write_jsonl(tmp_path / "names.jsonl", PAIRS)
    features = Features(premise=Value("string"), hypothesis=Value("string"), label=ClassLabel(names=NAMES))
    Dataset.from_list(PAIRS, features=features).to_parquet(tmp_path / "ids.parquet")
    said = write_csv(tmp_path / "said.csv", [dict(EXPECTED[row], label=(row + 1) % 3) for row in range(3)])
    sources = [by_name, str(tmp_path / "ids.parquet"), f"{said}:contradiction,entailment,neutral"]
    pairs = RunSources(sources, by_name, OPTIONS).read(0)
    assert pairs.train.to_list() == 3 * EXPECTED
    with pytest.raises(InputError, match=r"said\.csv, train, row 1 .*: the label is the number 1"):
        RunSources([by_name, said], by_name, OPTIONS).read(0)


def test_label_names_that_a_source_contradicts(tmp_path):
    """One --label_names would turn the labels of one of them around."""
    features = Features(premise=Value("string"), hypothesis=Value("string"), label=ClassLabel(names=NAMES[::-1]))
    ours, theirs = str(tmp_path / "ours.parquet"), write_csv(tmp_path / "theirs.csv", [dict(EXPECTED[0], label=0)])
    Dataset.from_list(PAIRS, features=features).to_parquet(ours)
    with pytest.raises(InputError) as refused:
        RunSources([theirs, ours], ours, DataOptions(label_names=NAMES))
    assert str(refused.value) == (
        f"{ours}: its label ids mean entailment, neutral, contradiction, not contradiction, neutral, entailment; with "
        "several data sets say what ids mean of each alone, as in FILE:contradiction,neutral,entailment"
    )
    pairs = RunSources([theirs, ours], ours, DataOptions(label_names=["Entailment", *NAMES[1::-1]])).read(0)
    assert pairs.train["label"][:] == [0, 0, 1, 2]
    pairs = RunSources([f"{theirs}:{','.join(NAMES)}", ours], ours, OPTIONS).read(0)
    assert pairs.train["label"][:] == [2, 0, 1, 2]


def test_splits_and_validation(tmp_path, caplog):
    """Validation pairs are the first source's; a source's split is the one that it names."""
    caplog.set_level(logging.INFO, "hf_nli")
    write_release(tmp_path / "snli_1.0", ".jsonl", {"train": PAIRS, "dev": PAIRS[:1], "test": PAIRS[1:]})
    release, other = str(tmp_path / "snli_1.0"), write_numbered(tmp_path / "other.jsonl", 20)
    pairs = RunSources([f"{release}:test", other], None, OPTIONS).read(0)
    assert pairs.train.to_list()[:2] == EXPECTED[1:] and len(pairs.train) == 22
    assert pairs.validation.to_list() == EXPECTED[:1] and pairs.validated_on == "snli_1.0, validation"
    assert "Training on 2 pairs of snli_1.0:test, 20 pairs of other.jsonl" in caplog.text
    pairs = RunSources([other, f"{release}:train"], None, OPTIONS).read(0)
    assert len(pairs.validation) == 1 and pairs.validated_on == "5 % of the training rows of other.jsonl"
    assert pairs.sources == [
        {"dataset": "other.jsonl", "pairs": 19, "drawn": 19, "dropped": 0},
        {"dataset": "snli_1.0:train", "pairs": 3, "drawn": 3, "dropped": 0},
    ]
    pairs = RunSources([other, release], f"{release}:test", OPTIONS).read(0)
    assert pairs.validation.to_list() == EXPECTED[1:] and pairs.validated_on == "snli_1.0, test"
    for source in (f"{release}:nope", f"{other}:test"):
        with pytest.raises(InputError, match="no split named (nope|test); it has train"):
            RunSources([release, source], None, OPTIONS)


def test_counts_of_a_run(tmp_path):
    small = write_jsonl(tmp_path / "small.jsonl", [*PAIRS, dict(PAIRS[0], label="-")])
    large, dev = write_numbered(tmp_path / "large.jsonl", 60), write_numbered(tmp_path / "dev.jsonl", 2)
    pairs = RunSources([small, large], dev, OPTIONS, [1, 2]).read(0)
    assert len(pairs.train) == 63 and pairs.dropped == 1
    assert pairs.sources == [
        {"dataset": "small.jsonl", "pairs": 3, "drawn": 21, "dropped": 1},
        {"dataset": "large.jsonl", "pairs": 60, "drawn": 42, "dropped": 0},
    ]
    pairs = RunSources([small, large], dev, OPTIONS).read(0, max_samples=10)
    assert [each["drawn"] for each in pairs.sources] == [3, 10]
    assert pairs.train["hypothesis"][3:] == [str(number) for number in range(10)]


def test_a_configuration_is_the_first_source_s(tmp_path):
    """The others, which are files here, are not asked for it."""
    files = [write_jsonl(tmp_path / f"{name}.jsonl", PAIRS) for name in "ab"]
    with pytest.raises(InputError, match=r"a\.jsonl: a configuration and a revision are for data sets on the Hub"):
        RunSources(files, files[0], DataOptions(dataset_config="x"))
    given, named = DataOptions(dataset_config="x", dataset_revision="y"), NamedSource("a")
    assert named.options(given, first=True) == given and named.options(given, first=False) == OPTIONS
