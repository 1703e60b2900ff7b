"""Classifiers of words: each sees what it may see, and no more."""

import numpy
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hf_nli.core.labels import LABELS
from hf_nli.evaluation.baselines import train_baselines, words
from hf_nli.evaluation.inputs import exchanged

FEATURES = Features(premise=Value("string"), hypothesis=Value("string"), label=ClassLabel(names=list(LABELS)))
ANIMALS = ["dog", "cat", "cow", "fox", "owl", "hen", "ant", "bee"]


def pairs(rows) -> Dataset:
    return Dataset.from_list([dict(zip(FEATURES, row, strict=True)) for row in rows], features=FEATURES)


def accuracies(rows) -> dict[str, float]:
    data = pairs(rows)
    found = train_baselines(data, seed=0).predict(data)
    gold = numpy.array(data["label"])
    return {name: float((ids == gold).mean()) for name, ids in found.items()}


def test_a_label_that_the_hypothesis_gives_away():
    endings = ("outside", "happy", "not here")
    scores = accuracies([(animal, f"{animal} is {endings[label]}", label) for animal in ANIMALS for label in range(3)])
    assert scores["hypothesis_only"] == scores["bag_of_words"] == 1
    assert scores["premise_only"] <= 0.5  # each premise has all three labels


def test_a_label_that_is_in_both_alone():
    """Entailment where the animals are the same: neither side tells it, which words are new does."""
    rows = [(a, b, 0 if a == b else 2) for a in ANIMALS for b in ANIMALS[:2]] + [(a, a, 0) for a in ANIMALS[:2]] * 3
    scores = accuracies(rows)
    assert scores["bag_of_words"] == 1 > max(scores["hypothesis_only"], scores["premise_only"])


def test_what_a_classifier_does_not_see_makes_no_difference():
    rows = [(animal, f"{animal} {label}", label) for animal in ANIMALS for label in range(3)]
    trained = train_baselines(pairs(rows), seed=0)
    others = trained.predict(pairs([(premise + " tree", hypothesis, 0) for premise, hypothesis, _ in rows]))
    assert (others["hypothesis_only"] == trained.predict(pairs(rows))["hypothesis_only"]).all()


def test_seeded():
    rows = [(animal, "a b c d"[label:], label) for animal in ANIMALS for label in range(3)]
    first, again = (train_baselines(pairs(rows), seed=3) for _ in range(2))
    assert all((first.classifiers[name].coef_ == again.classifiers[name].coef_).all() for name in first.classifiers)


def test_words():
    assert words("A man isn't here, is he?") == ["a", "man", "isn't", "here", ",", "is", "he", "?"]


@pytest.mark.parametrize("count", [2, 3, 50])
def test_every_premise_is_exchanged(count):
    data = pairs([(f"premise {index}", f"hypothesis {index}", index % 3) for index in range(count)])
    other = exchanged(data, seed=1)
    assert other.column_names == data.column_names and other["hypothesis"] == data["hypothesis"]
    assert other["label"] == data["label"] and sorted(other["premise"]) == sorted(data["premise"])
    assert all(a != b for a, b in zip(other["premise"], data["premise"], strict=True))
    assert other["premise"] == exchanged(data, seed=1)["premise"]
