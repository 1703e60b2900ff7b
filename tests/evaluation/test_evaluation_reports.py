"""What `hf-nli evaluate` says of several data sets at once: for programs, and for people."""

import json
import re
from html.parser import HTMLParser

import pytest
from helpers import write_tiny_model
from sklearn.metrics import accuracy_score, f1_score

from hf_nli.cli.run import main
from hf_nli.core.errors import InputError
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.evaluation.report import PICTURES

ENDINGS = {"entailment": "is outside", "neutral": "eats", "contradiction": "is not outside"}
SUBJECTS = ["a man", "the woman", "a dog", "the cat"]


def rows(repeat=1, **more):
    return [
        {"premise": f"{subject} runs.", "hypothesis": f"{subject} {ending}.", "label": label} | more
        for subject in SUBJECTS * repeat
        for label, ending in ENDINGS.items()
    ]


def write(path, content):
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny <b>", initializer_range=0.5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set with splits train and test, of which the hypothesis gives the label away, and a two-way one."""
    place = tmp_path_factory.mktemp("data")
    (place / "snli").mkdir()
    write(place / "snli/train.jsonl", rows(4))
    labelled = [row | {"annotator_labels": [row["label"]] * 4 + ["neutral"]} for row in rows()]
    write(place / "snli/test.jsonl", [*labelled, labelled[0] | {"label": "-"}])
    write(
        place / "hans.jsonl",
        [
            {"premise": "the cat <i>runs</i> | eats", "hypothesis": "the cat runs", "label": label, "heuristic": kind}
            for label in ("entailment", "non-entailment")
            for kind in ("lexical_overlap", "subsequence", "constituent")
        ],
    )
    return place


@pytest.fixture(scope="module")
def scores(model, folder, tmp_path_factory):
    """Both data sets, with baselines that are trained on the first one."""
    out = tmp_path_factory.mktemp("scores") / "out"
    sources = [f"{folder}/snli", f"{folder}/hans.jsonl:train"]
    assert len(evaluate(model, sources, out, baselines=True, baseline_dataset=f"{folder}/snli")) == 2
    return out


def results(out):
    return json.loads((out / "eval_results.json").read_text())


def test_each_data_set_has_a_folder_and_all_are_in_one_file(scores, model):
    both = results(scores)
    assert both["model"] == model and [each["folder"] for each in both["results"]] == ["snli-test", "hans.jsonl"]
    for each in both["results"]:
        own = results(scores / each.pop("folder"))
        assert own == each and own["model_sha256"] == both["model_sha256"]
    assert {path.name for path in (scores / "snli-test").iterdir()} == {
        "eval_results.json", "predictions.jsonl", *PICTURES,
    }  # fmt: skip


def test_figures_against_scikit_learn(scores):
    own = results(scores / "snli-test")
    rows = [json.loads(line) for line in (scores / "snli-test/predictions.jsonl").read_text().splitlines()]
    gold, predicted = [row["label"] for row in rows], [row["prediction"] for row in rows]
    assert own["accuracy"] == accuracy_score(gold, predicted)
    assert own["macro_f1"] == pytest.approx(f1_score(gold, predicted, average="macro"))
    low, high = own["accuracy_interval"]
    assert low < own["accuracy"] < high


def test_baselines(scores):
    """The hypothesis's words tell the label, the premise's don't; each label is a third."""
    own = results(scores / "snli-test")
    assert own["baseline_examples"] == 48
    assert own["baselines"] == {
        "majority": pytest.approx(1 / 3),
        "hypothesis_only": 1.0,
        "premise_only": pytest.approx(1 / 3),
        "bag_of_words": 1.0,
        "exchanged_premises": own["baselines"]["exchanged_premises"],
    }
    assert set(results(scores / "hans.jsonl")["baselines"]) == set(own["baselines"])


def test_annotators(scores):
    """Of 4 pairs of each label: 4 of 5 annotators agree, of the neutral ones 5."""
    own = results(scores / "snli-test")
    assert own["annotator_agreement"] == pytest.approx((4 + 5 + 4) / 15)
    slices = {each["value"]: each["examples"] for each in own["slices"] if each["slice"] == "annotators"}
    assert slices == {"majority": 8, "unanimous": 4} and own["dropped"] == 1


def test_heuristics_of_hans_are_told_apart(scores):
    own = results(scores / "hans.jsonl")
    slices = {each["value"]: each["examples"] for each in own["slices"] if each["slice"] == "heuristic"}
    assert slices == {"constituent": 2, "lexical_overlap": 2, "subsequence": 2}
    assert own["merged_labels"] == {"not_entailment": ["neutral", "contradiction"]}


class Page(HTMLParser):
    """Looks at what a browser would fetch, and at the tags that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.images = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        given = dict(attributes)
        assert not {"src", "href"} & set(given) or given["src"].startswith("data:image/png;base64,")
        if tag == "img":
            self.images.append(given["alt"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(scores):
    page, text = Page(), (scores / "report.html").read_text()
    page.feed(text)
    assert page.open == [] and page.images == [*PICTURES.values()] * 2
    assert "<i>runs" not in text and "&lt;i&gt;runs&lt;/i&gt; | eats" in text and "tiny &lt;b&gt;" in text
    assert 'name="viewport"' in text


def test_the_first_lines_compare_with_the_hypothesis_alone(scores):
    own = results(scores / "snli-test")
    for report in ("report.md", "report.html"):
        text = re.sub(r"</?strong>|\*\*", "", " ".join((scores / report).read_text().split()))
        assert f"Accuracy {100 * own['accuracy']:.1f} % (95 % interval" in text
        below = 100 * (1 - own["accuracy"])
        assert f"only the hypothesis has 100.0 %: the model is {below:.1f} % below it." in text


def test_tables_of_the_text_have_as_many_cells_as_their_heads(scores):
    width = None
    for line in (scores / "report.md").read_text().splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line))
        width = None if not line.startswith("|") else width or cells
        assert width is None or cells == width, line
    assert re.search(r"!\[Confusion matrix.*\]\(snli-test/confusion_matrix.png\)", (scores / "report.md").read_text())


def test_one_data_set_is_in_the_folder_itself(model, folder, tmp_path, capsys):
    source = f"{folder}/snli:test"
    flags = ["--model_name_or_path", model, "--output_dir", str(tmp_path / "out")]
    assert main(["evaluate", *flags, "--dataset", source, "--slice_column", "label"]) == 0
    own = results(tmp_path / "out")
    assert [each["examples"] for each in own["slices"] if each["slice"] == "label"] == [4, 4, 4]
    assert own["baselines"] == {"majority": pytest.approx(1 / 3)} and own["split"] == "test"
    assert "--baselines" in (tmp_path / "out/report.md").read_text()
    assert "report.html" in capsys.readouterr().out


def test_flags_that_are_repeated(model, folder, tmp_path):
    flags = ["--model_name_or_path", model, "--output_dir", str(tmp_path / "out"), "--split", "train"]
    assert main(["evaluate", *flags, "--dataset", f"{folder}/snli", "--dataset", f"{folder}/snli"]) == 0
    assert [each["folder"] for each in results(tmp_path / "out")["results"]] == ["snli-train", "snli-train-2"]


@pytest.mark.parametrize(
    "sources, settings, line",
    [
        (["snli", "hans.jsonl:test"], {}, "no split 'test'"),
        (["snli", "nowhere.jsonl"], {}, "no such file"),
        ([], {}, "give at least one"),
        (["hans.jsonl"], {"baselines": True, "baseline_dataset": "hans.jsonl:x"}, "no split 'x'"),
        (["snli"], {"slice_column": ["genre"]}, "no column genre"),
        (["snli"], {"seed": -1}, "--seed"),
    ],
)
def test_what_is_refused(sources, settings, line, model, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match=line):
        evaluate(model, sources, tmp_path / "out", **settings)
    assert list(tmp_path.iterdir()) == []
