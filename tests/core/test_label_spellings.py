"""Labels in any letter case, with blanks around them, with dashes or underscores, in any order."""

from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig

from hf_nli.core.errors import InputError
from hf_nli.core.labels import (
    LABELS,
    TWO_WAY_LABELS,
    is_permutation,
    label_id,
    label_order,
    label_set,
    parse_label_map,
    renamed,
)


def cased(name):
    """The name with each letter in either case."""
    letters = [st.sampled_from([letter.lower(), letter.upper()]) for letter in name]
    return st.tuples(*letters).map("".join)


def spelled(name):
    """The name as people write it."""
    dashed = st.sampled_from([name, name.replace("_", "-")]).flatmap(cased)
    return st.tuples(st.sampled_from(["", " ", "\t"]), dashed, st.sampled_from(["", " ", "\n"])).map("".join)


labels = st.sampled_from([LABELS, TWO_WAY_LABELS])


@given(labels.flatmap(lambda names: st.tuples(st.just(names), st.tuples(*map(spelled, names)))))
def test_every_spelling_is_the_label_s(case):
    names, spellings = case
    assert label_set(spellings) == names
    assert [label_id(spelling, names) for spelling in spellings] == list(range(len(names)))


@given(st.sampled_from(LABELS[1:]).flatmap(spelled))
def test_what_is_not_entailed(spelling):
    assert label_id(spelling, TWO_WAY_LABELS) == TWO_WAY_LABELS.index("not_entailment")


@given(st.text(), st.sampled_from("0123456789/."), st.text(), labels)
def test_other_texts_are_no_labels_and_no_errors(start, character, end, names):
    """A digit, for one, is in no label's name."""
    assert label_id(start + character + end, names) is None


@given(st.permutations(LABELS).flatmap(lambda names: st.tuples(*map(cased, names))))
def test_a_model_s_order_is_found_by_name(names):
    order = label_order(BertConfig(id2label=dict(enumerate(names))))
    assert [names[output].lower() for output in order] == list(LABELS)


@given(labels.flatmap(st.permutations).flatmap(lambda names: st.tuples(*map(spelled, names))), st.data())
def test_names_of_ids_are_each_label_once(names, data):
    assert is_permutation(names)
    number = data.draw(st.integers(0, len(names) - 1))
    assert not is_permutation([*names[:number], *names[number + 1 :]])  # one is missing
    assert not is_permutation([*names, names[number]])  # one is there twice
    assert not is_permutation([*names[:number], "maybe", *names[number + 1 :]])


@given(st.text(), st.sampled_from([*LABELS, TWO_WAY_LABELS[1]]), st.data())
def test_a_label_map_tells_what_any_text_means(text, label, data):
    label_map = parse_label_map([f"{text}={data.draw(spelled(label))}"])
    assert renamed(text, label_map) == label
    assert renamed(f"{text}x", label_map) == f"{text}x"


@given(st.text())
def test_any_label_map_is_read_or_refused(entry):
    try:
        assert set(parse_label_map([entry]).values()) <= {*LABELS, *TWO_WAY_LABELS, "-"}
    except InputError as error:
        assert str(error).startswith("--label_map: ")
