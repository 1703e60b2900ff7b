"""Labels by name, whatever their order and spelling."""

import pytest
from transformers import BertConfig

from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS, TWO_WAY_LABELS, label_id, label_order, label_set, nli_labels


def test_label_order():
    assert label_order(BertConfig(id2label={0: "CONTRADICTION", 1: "entailment", 2: "Neutral"})) == [1, 2, 0]
    assert label_order(BertConfig(id2label={0: "neutral", 1: "Contradictory", 2: "entails"})) == [2, 0, 1]


@pytest.mark.parametrize(
    "names, order",
    [
        (["entailment", "not_entailment"], [0, 1]),
        (["NOT-ENTAILMENT", "Entailment"], [1, 0]),
        (["neutral", "entails"], [1, 0]),  # SciTail's
    ],
)
def test_two_way_models(names, order):
    config = BertConfig(id2label=dict(enumerate(names)))
    assert nli_labels(config) == TWO_WAY_LABELS and label_order(config) == order


@pytest.mark.parametrize(
    "labels",
    [
        ["LABEL_0", "LABEL_1", "LABEL_2"],
        ["entailment", "neutral", "contradiction", "contradictory"],
        ["entailment", "neutral"],
        ["entailment", "not_entailment", "not-entailment"],
        ["negative", "neutral", "positive"],
    ],
)
def test_other_labels(labels):
    config = BertConfig(id2label=dict(enumerate(labels)))
    assert nli_labels(config) is None
    words = f"its {len(labels)} labels are {', '.join(labels)}; needs entailment, neutral, contradiction; or"
    with pytest.raises(InputError, match=words):
        label_order(config)


@pytest.mark.parametrize(
    "names, labels",
    [
        (LABELS, LABELS),
        (["entailment", "neutral"], LABELS),  # SNLI's rows may lack a label
        ([], LABELS),
        (["neutral", "entails"], TWO_WAY_LABELS),
        (["neutral", "entails", "contradicts"], LABELS),
        (["non-entailment"], TWO_WAY_LABELS),
        (["Not Entailment", "entailment"], TWO_WAY_LABELS),
        (["hardly", "entailment"], LABELS),  # unknown, so that the row with it is named
    ],
)
def test_label_set(names, labels):
    assert label_set(names) is labels


@pytest.mark.parametrize(
    "name, three, two",
    [
        ("entailment", 0, 0),
        (" Entailment ", 0, 0),
        ("entails", 0, 0),
        ("neutral", 1, 1),
        ("contradictory", 2, 1),
        ("CONTRADICTION", 2, 1),
        ("not-entailment", None, 1),
        ("maybe", None, None),
        ("", None, None),
    ],
)
def test_label_id(name, three, two):
    assert (label_id(name, LABELS), label_id(name, tuple(list(TWO_WAY_LABELS)))) == (three, two)
