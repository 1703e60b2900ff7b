"""Parts of a data set, worked out by hand."""

import numpy
import pytest

from hf_nli.evaluation.slices import annotator_slices, slices_of
from hf_nli.model.metrics import wilson_interval

PAIRS = [
    ("A man sleeps.", "A man sleeps."),
    ("A man sleeps.", "Nobody sleeps."),
    ("A man sleeps.", "The dog isn't here"),
    ("A man sleeps in a very long sentence of many words.", "A note on knots"),
]
RIGHT = numpy.array([True, False, True, True])


def found(kind, **given):
    arguments = {"unknown": None, "hypothesis_only": None, "columns": {}} | given
    rows = [each for each in slices_of(PAIRS, RIGHT, **arguments) if each["slice"] == kind]
    return {each["value"]: (each["examples"], each["accuracy"]) for each in rows}


def test_wilson_interval():
    """Newcombe (1998), table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611."""
    assert wilson_interval(81, 263) == pytest.approx([0.2553, 0.3662], abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx([0.0, 0.1611], abs=5e-5)


def test_negation_is_a_word_not_letters():
    assert found("negation in the hypothesis") == {"no": (2, 1.0), "yes": (2, 0.5)}


def test_overlap_and_length():
    """Shares of 0, 1/4, 2/3 and 1: the limits of the fifths are 0.15, 0.33, 0.58 and 0.8."""
    overlap = found("share of the hypothesis's words that the premise has")
    assert overlap == {
        "lowest fifth: 0%": (1, 1.0),
        "second fifth: 25%": (1, 1.0),
        "fourth fifth: 67%": (1, 0.0),
        "highest fifth: 100%": (1, 1.0),
    }
    assert list(found("words in the pair"))[0].startswith("lowest fifth: 7")


def test_what_is_given():
    hard = found("hypothesis alone", hypothesis_only=numpy.array([True, True, False, False]))
    assert hard == {"easy": (2, 0.5), "hard": (2, 1.0)}
    unknown = found("words that the model doesn't know", unknown=numpy.array([0, 1, 2, 3]))
    assert unknown == {"one": (1, 0.0), "none": (1, 1.0), "several": (2, 1.0)}
    columns = {"genre": ["a", "b", None, "a"]}
    assert found("genre", columns=columns) == {"(none)": (1, 1.0), "a": (2, 1.0), "b": (1, 0.0)}
    assert found("genre", columns={"genre": ["a"] * 4}) == {}


def test_rare_values_are_taken_together():
    pairs = PAIRS * 25
    rows = slices_of(pairs, numpy.ones(100, bool), None, None, {"id": list(range(100))})
    ids = [each for each in rows if each["slice"] == "id"]
    assert len(ids) == 21 and sum(each["examples"] for each in ids) == 100


def test_annotators():
    assert annotator_slices([["neutral"] * 5, ["neutral", "entailment"], ["neutral"], []]) == [
        "unanimous", "majority", "one annotator", "one annotator",
    ]  # fmt: skip
