"""What is kept of pairs of any length."""

from hypothesis import given
from hypothesis import strategies as st

from hf_nli.text.encoding import kept_lengths

lengths, budgets = st.integers(0, 1500), st.integers(2, 600)


@given(lengths, lengths, budgets)
def test_longest_first_takes_token_after_token(p, h, budget):
    """As d2l's `_truncate_pair_of_tokens`."""
    premise, hypothesis = p, h
    while premise + hypothesis > budget:
        if premise > hypothesis:
            premise -= 1
        else:
            hypothesis -= 1
    assert kept_lengths(p, h, budget, "longest_first") == (premise, hypothesis)


@given(lengths, lengths, budgets)
def test_proportional_keeps_the_ratio_to_half_a_token(p, h, budget):
    premise, hypothesis = kept_lengths(p, h, budget, "proportional")
    if p + h <= budget:
        assert (premise, hypothesis) == (p, h)
    elif 1 < premise < budget - 1:
        # premise / budget against p / (p + h), without fractions
        assert abs(premise * (p + h) - budget * p) * 2 <= p + h
    assert premise >= min(p, 1) and hypothesis >= min(h, 1)


@given(lengths, lengths, budgets, st.sampled_from(["longest_first", "proportional"]))
def test_as_much_is_kept_as_fits(p, h, budget, truncation):
    kept = kept_lengths(p, h, budget, truncation)
    assert sum(kept) == min(p + h, budget)
    assert 0 <= kept[0] <= p and 0 <= kept[1] <= h
    assert kept_lengths(*kept, budget, truncation) == kept
