"""Predictions against Transformers' own, one pair at a time; windows and documents against hand-worked cases."""

import itertools
import logging
import math

import numpy
import pytest
import torch
from helpers import tiny_tokenizer, write_tiny_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_nli import InputError, Predictor
from hf_nli.core.labels import LABELS
from hf_nli.inference.backends import TorchBackend
from hf_nli.inference.predictor import WINDOW, make_pair
from hf_nli.inference.scoring import Scorer
from hf_nli.inference.windows import combine, split_sentences, split_windows
from hf_nli.settings.options import PredictorOptions

SUBJECTS = ["a man", "the woman", "a dog", "the cat", "a unicorn", ""]
PAIRS = [
    (f"{subject} runs{' outside' * (number % 7)}.", f"{other} {'sleeps' * (number % 2)}")
    for number, (subject, other) in enumerate(itertools.product(SUBJECTS, SUBJECTS))
]
PAIRS += [("a man runs.", ""), ("", ""), PAIRS[0], ("a man runs.", ""), ("the dog " * 100_000, "a cat"), PAIRS[3]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose labels are in another order."""
    names = dict(enumerate(["contradiction", "entailment", "neutral"]))
    path = tmp_path_factory.mktemp("models") / "other"
    return str(write_tiny_model(path, id2label=names, label2id={name: index for index, name in names.items()}))


@pytest.fixture(scope="module")
def predictor(folder):
    return Predictor.from_pretrained(folder)


@pytest.fixture(scope="module")
def expected(folder):
    """The stock model's probabilities, of one pair at a time."""
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )

    def scores(pair):
        inputs = tokenizer([pair[0]], [pair[1]], truncation=True, max_length=32, return_tensors="pt")
        with torch.no_grad():
            found = model(**inputs).logits.double().softmax(-1)[0].tolist()
        return {name: found[model.config.label2id[name]] for name in LABELS}

    return [scores(pair) for pair in PAIRS]


def test_as_one_by_one(predictor, expected):
    answers = predictor(PAIRS)
    assert [(answer["premise"], answer["hypothesis"]) for answer in answers] == PAIRS
    for answer, scores in zip(answers, expected, strict=True):
        assert answer["scores"] == pytest.approx(scores, abs=1e-5)
        assert answer["label"] == max(scores, key=scores.get)


def test_logits(predictor, expected):
    logits = predictor.logits(iter(PAIRS))
    assert logits.dtype == numpy.float32 and logits.shape == (len(PAIRS), 3)
    found = torch.from_numpy(logits).double().softmax(-1).tolist()
    assert found == [pytest.approx([scores[label] for label in LABELS], abs=1e-5) for scores in expected]
    assert predictor.logits([]).shape == (0, 3)


def test_pairs_in_every_form(predictor):
    one = predictor(("a man runs.", "a man"))
    assert set(one) == {"premise", "hypothesis", "label", "scores"}
    for pair in (
        ["a man runs.", "a man"],
        {"premise": "a man runs.", "hypothesis": "a man", "label": "neutral"},
        {"text": "a man runs.", "text_pair": "a man"},
        {"sentence1": "a man runs.", "sentence2": "a man"},
    ):
        assert predictor(pair) == one
        assert predictor([pair, pair]) == [one, one]
    assert predictor([]) == [] and list(predictor(iter([]))) == []


def test_more_pairs_than_are_sorted_together(predictor):
    pairs = [PAIRS[number % 30] for number in range(2 * WINDOW + 3)]
    once = predictor(PAIRS[:30])
    for number, answer in enumerate(predictor(pairs)):
        assert answer["premise"] == once[number % 30]["premise"] and answer["label"] == once[number % 30]["label"]
        assert answer["scores"] == pytest.approx(once[number % 30]["scores"], abs=1e-5)


def test_an_iterator_is_read_as_it_is_needed(predictor):
    read = 0

    def pairs():
        nonlocal read
        for read in itertools.count(1):
            yield PAIRS[read % 30]

    answers = predictor(pairs())
    assert read == 0
    assert next(answers)["premise"] == PAIRS[1][0] and read <= 2 * WINDOW
    answers.close()


@pytest.mark.parametrize("wrong", ["a man runs.", ("a", "b", "c"), ("a", None), {"premise": "a"}, 7, {"text": 1}])
def test_what_is_no_pair_is_refused(predictor, wrong):
    with pytest.raises(InputError, match="no pair of texts"):
        predictor([("a", "b"), wrong])
    with pytest.raises(InputError, match="no pair of texts"):
        make_pair(wrong)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"threshold": 1.5}, "--threshold is 1.5"),
        ({"threshold": math.nan}, "--threshold is nan"),
        ({"tokens_per_batch": 0}, "--tokens_per_batch is 0"),
        ({"long_premises": "all"}, "--long_premises is 'all'"),
        ({"max_seq_length": 4}, "--max_seq_length is 4"),
        ({"device": "nowhere"}, "--device nowhere"),
        ({"device": "cuda:77"}, "--device cuda:77"),
        ({"dtype": "float16", "device": "cpu"}, "--dtype float16 needs a GPU"),
    ],
)
def test_settings_that_cannot_be_are_refused(folder, options, message):
    with pytest.raises(InputError, match=message):
        Predictor.from_pretrained(folder, **options)


def test_bfloat16_is_near(folder, predictor):
    other = Predictor.from_pretrained(folder, dtype="bfloat16").logits(PAIRS)
    assert 0 < numpy.abs(other - predictor.logits(PAIRS)).max() < 0.05


@pytest.mark.parametrize("options", [{"forward": "stock"}, {"tokens_per_batch": 1}, {"tokens_per_batch": 10**6}])
def test_batches_and_forwards_change_nothing_but_time(folder, expected, options):
    for answer, scores in zip(Predictor.from_pretrained(folder, **options)(PAIRS), expected, strict=True):
        assert answer["scores"] == pytest.approx(scores, abs=1e-5)


def test_threads_change_nothing_at_all(folder):
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(Predictor.from_pretrained(folder, tokens_per_batch=100).logits(PAIRS).tobytes())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_batches_share_the_threads_out():
    """Each of two batches at once has a half of PyTorch's threads, and what asked for them keeps them all."""

    class Counting(Words):
        def __call__(self, inputs):
            threads.add(torch.get_num_threads())
            return super().__call__(inputs)

    tokenizer, threads, before = tiny_tokenizer(), set(), torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        scorer = Scorer(Counting(tokenizer), tokenizer, 32, tokens_per_batch=1)
        scorer.score(scorer.encode(PAIRS))
        assert threads == {2} and torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


class Words:
    """A backend that looks for words: entailment where the premise has one, contradiction where it has the other."""

    labels, workers, tokens = LABELS, 2, 64

    def __init__(self, tokenizer, entails="runs", contradicts="sleeps", largest=10**9):
        self.ids = [tokenizer.convert_tokens_to_ids(word) for word in (entails, contradicts)]
        self.largest, self.pairs = largest, []

    def identity(self):
        return {"model": "words"}

    def __call__(self, inputs):
        rows = inputs["input_ids"]
        if len(rows) > self.largest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.pairs += map(tuple, rows)
        found = [[identity in ids for identity in self.ids] for ids in rows]
        return numpy.array([[8.0 * e, 3.0, 8.0 * c] for e, c in found], numpy.float32)


@pytest.fixture
def words():
    tokenizer = tiny_tokenizer()
    backend = Words(tokenizer)
    options = PredictorOptions(long_premises="windows")
    return Predictor(backend, tokenizer, 32, options), backend


def test_each_distinct_pair_is_scored_once(words):
    predictor, backend = words
    predictor.logits([("a man", "a dog"), ("a man", "the dog"), ("a man", "a dog")] * 100)
    assert len(backend.pairs) == 2


def test_batches_that_memory_does_not_hold_are_halved():
    tokenizer = tiny_tokenizer()
    small = Scorer(Words(tokenizer, largest=2), tokenizer, 32, tokens_per_batch=10**6)
    whole = Scorer(Words(tokenizer), tokenizer, 32, tokens_per_batch=10**6)
    numpy.testing.assert_array_equal(small.score(small.encode(PAIRS)), whole.score(whole.encode(PAIRS)))
    with pytest.raises(InputError, match="not enough memory for one pair of 32 tokens"):
        none = Scorer(Words(tokenizer, largest=0), tokenizer, 32)
        none.score(none.encode(PAIRS))


LONG = "the cat eats. " * 1000 + "a dog runs."


def test_evidence_at_the_end_of_a_long_premise(words):
    predictor, _ = words
    answer = predictor((LONG, "a dog"))
    assert answer["label"] == "entailment" and answer["premise"] == LONG
    assert answer["evidence"].endswith("a dog runs.") and len(answer["evidence"].split()) < 32
    assert predictor(("a dog runs.", "a dog"))["evidence"] == "a dog runs."
    assert predictor((LONG, "a dog " * 1000))["label"] == "entailment"  # a hypothesis is cut to half of the pair
    both = predictor((f"{LONG} {'the cat eats. ' * 20} a man sleeps.", "a dog"))["scores"]
    highest = math.exp(8) / (math.exp(8) + math.exp(3) + 1)
    assert both == pytest.approx({"entailment": 0.5, "neutral": 0, "contradiction": 0.5}, abs=1e-2)
    assert both["entailment"] == pytest.approx(highest / (2 * highest), abs=1e-2)


def test_what_is_cut_is_cut_where_it_was_asked_for(folder, caplog):
    truncated = Predictor(Words(tiny_tokenizer()), tiny_tokenizer(), 32)
    assert truncated((LONG, "a dog"))["label"] == "neutral"
    assert "evidence" not in truncated((LONG, "a dog"))


@pytest.mark.parametrize("tokens", [2, 3, 7, 20, 50])
@pytest.mark.parametrize("end", ["", ".", ",", "'s", "!"])
def test_windows(end, tokens):
    """They fit, and together they are the premise, each beginning where or before the last one ends."""
    tokenizer = tiny_tokenizer(max_length=100)
    for sentence in (1, 3, 10, 100):
        names = [f"w{number}{end if number % sentence == 0 else ''}" for number in range(200)]
        windows = split_windows(tokenizer, " ".join(names), tokens)
        lengths = [len(tokenizer(window, add_special_tokens=False)["input_ids"]) for window in windows]
        assert max(lengths) <= tokens and len(windows) == len(set(windows))
        covered = ""
        for window in windows:
            whole = " ".join(names)
            start = whole.index(window.split()[0] if window[0] == "w" else window, max(0, len(covered) - 3 * tokens))
            assert whole[start:].startswith(window) and not whole[len(covered) : start].strip()
            covered = whole[: max(len(covered), start + len(window))]
        assert covered == " ".join(names)


def test_windows_end_with_sentences_and_overlap():
    windows = split_windows(tiny_tokenizer(), "a cat eats. a dog runs. the man sleeps. the cat sleeps.", 9)
    assert windows == ["a cat eats. a dog runs.", "a dog runs. the man sleeps.", "the man sleeps. the cat sleeps."]


@pytest.mark.parametrize(
    "probabilities, joint, best",
    [
        ([[0.2, 0.5, 0.3]], [0.2, 0.5, 0.3], 0),
        ([[0.1, 0.8, 0.1], [0.7, 0.2, 0.1]], [0.7, 0.2, 0.1], 1),
        ([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], [0.6 / 1.3, 0, 0.7 / 1.3], 0),
        ([[0.1, 0.8, 0.1], [0.0, 0.9, 0.1]], [0.1, 0.8, 0.1], 1),
    ],
)
def test_combine(probabilities, joint, best):
    found, window = combine(numpy.array(probabilities))
    assert found.tolist() == pytest.approx(joint) and window == best


def test_check(words):
    predictor, _ = words
    document = "A cat eats. The dog runs! Is Mr. Smith outside? A man sleeps"
    found = predictor.check(document, ["a dog", "the cat"])
    assert [each["claim"] for each in found] == ["a dog", "the cat"]
    assert {each["evidence"] for each in found} <= {"The dog runs!", "A man sleeps"}
    assert set(found[0]) == {"claim", "label", "scores", "evidence"}
    entailed = predictor.check("A cat eats. The dog runs!", "A dog is a dog. It is outside.")
    assert [(each["claim"], each["label"], each["evidence"]) for each in entailed] == [
        ("A dog is a dog.", "entailment", "The dog runs!"),
        ("It is outside.", "entailment", "The dog runs!"),
    ]
    assert predictor.check(document, "") == predictor.check(document, []) == []
    with pytest.raises(InputError, match="no sentence"):
        predictor.check(" ", "a dog")
    assert split_sentences(document)[2] == "Is Mr. Smith outside?"


def test_threshold():
    tokenizer = tiny_tokenizer()
    predictor = Predictor(Words(tokenizer), tokenizer, 32, PredictorOptions(threshold=0.92))
    labels = [answer["label"] for answer in predictor([("a dog runs", "a"), ("a dog", "a")])]
    assert labels == ["entailment", "undecided"]  # e^8 and e^3 of the sums with what is left
    assert predictor(("a dog", "a"))["scores"]["neutral"] == pytest.approx(math.exp(3) / (math.exp(3) + 2))


def test_a_broken_model_is_named_with_the_row(folder):
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("dog")] = math.nan
    predictor = Predictor(TorchBackend(model.eval(), tokenizer), tokenizer, 32, name="m")
    with pytest.raises(InputError, match="m: the pairs, row 3: .*NaN"):
        predictor([("a man", "a"), ("a cat", "a"), ("a dog", "a")])
    with pytest.raises(InputError, match=f"row {WINDOW + 5}: "):
        list(predictor(itertools.chain([("a man", "a")] * (WINDOW + 4), [("a dog", "a")])))


def test_nothing_is_said_of_threads(folder, caplog):
    with caplog.at_level(logging.WARNING):
        Predictor.from_pretrained(folder)(PAIRS)
    assert caplog.records == []


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_programs_answer_as_the_model(backend, folder, predictor, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    with caplog.at_level(logging.INFO, "hf_nli"):
        program = Predictor.from_pretrained(folder, backend=backend)
    assert "gives PyTorch's label for 100 % of 26 pairs; logits differ by at most" in caplog.text
    numpy.testing.assert_allclose(program.logits(PAIRS), predictor.logits(PAIRS), rtol=0, atol=1e-4)
    made = sorted(each.name for each in (tmp_path / "hf_nli").iterdir())
    again = Predictor.from_pretrained(folder, backend=backend)
    assert sorted(each.name for each in (tmp_path / "hf_nli").iterdir()) == made
    assert again.logits(PAIRS).tobytes() == program.logits(PAIRS).tobytes()
    small = Predictor.from_pretrained(folder, backend=backend, int8=True)
    assert 0 < numpy.abs(small.logits(PAIRS) - predictor.logits(PAIRS)).max() < 0.1
    assert small.identity()["--int8"] == "True" and program.identity()["model"] == predictor.identity()["model"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"int8": True}, "--int8 is for --backend onnx and openvino"),
        ({"backend": "onnx", "device": "cuda"}, "--device cuda: --backend onnx computes on the CPU"),
        ({"backend": "onnx", "dtype": "bfloat16"}, "--dtype bfloat16: onnxruntime doesn't compute in it"),
        ({"backend": "openvino", "dtype": "float16"}, "--dtype float16: OpenVINO doesn't compute in it"),
    ],
)
def test_what_a_backend_has_not(folder, options, message):
    with pytest.raises(InputError, match=message):
        Predictor.from_pretrained(folder, **options)


def test_a_package_that_a_backend_lacks_is_named(folder, monkeypatch):
    monkeypatch.setattr("hf_nli.inference.export.find_spec", lambda name: None if name == "nncf" else name)
    with pytest.raises(InputError, match=r"--backend openvino needs nncf; pip install 'hf-nli\[openvino\]'"):
        Predictor.from_pretrained(folder, backend="openvino")
