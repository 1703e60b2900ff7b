"""What an evaluation finds out on a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_nli.core.labels import LABELS, TWO_WAY_LABELS
from hf_nli.data.columns import ANNOTATORS
from hf_nli.data.table import TokenTable
from hf_nli.evaluation.inputs import Inputs
from hf_nli.evaluation.slices import Slice, annotator_slices, slices_of
from hf_nli.model.evaluations import Evaluation
from hf_nli.model.metrics import Scores
from hf_nli.model.score import merge_labels, score

_SHOWN = 20  # mistakes and unsure answers


@dataclass(frozen=True, kw_only=True)
class EvaluationResults(Evaluation):
    """What `evaluate` found out, as written to eval_results.json.

    Attributes:
        model: The model folder or Hub id.
        slices: Parts of the data set, and what the model scores on each.
        annotator_agreement: The share of single annotators' labels that are the gold label, where rows have them.
        baseline_examples: How many pairs the baselines were trained on.
    """

    model: str
    slices: list[Slice]
    annotator_agreement: float | None = None
    baseline_examples: int | None = None


@dataclass(frozen=True)
class Answer:
    """A pair and what the model says of it.

    Attributes:
        premise: The premise.
        hypothesis: The hypothesis.
        label: The gold label.
        prediction: The model's.
        probability: That of the prediction.
    """

    premise: str
    hypothesis: str
    label: str
    prediction: str
    probability: float


@dataclass(frozen=True)
class Outcome:
    """A model's answers to the pairs of a data set, in their order.

    Attributes:
        logits: Float (pairs, labels), by the labels of the data.
        references: The gold labels, integers (pairs,).
        exchanged: Of the pairs with another one's premise: the model's label ids, integers (pairs,).
        merged: Whether the model has three labels, and two of their probabilities were added up.
    """

    logits: Tensor
    references: Tensor
    exchanged: Tensor | None
    merged: bool

    @classmethod
    def of(
        cls, inputs: Inputs, labels: tuple[str, ...], logits: Tensor, references: Tensor, exchanged: Tensor | None
    ) -> Outcome:
        """Makes the model's logits fit the data's labels.

        Args:
            inputs: The data set.
            labels: Those of the model.
            logits: Float (pairs, labels).
            references: Integers (pairs,).
            exchanged: Logits of the pairs with another one's premise, if they were asked for.
        """
        merged = (labels, inputs.labels) == (LABELS, TWO_WAY_LABELS)
        fitting, others = (merge_labels(each) if merged and each is not None else each for each in (logits, exchanged))
        assert fitting is not None
        return cls(fitting, references, None if others is None else others.argmax(-1), merged)

    @property
    def right(self) -> NDArray[numpy.bool_]:
        """Bool (pairs,): whether the gold label is the most likely one."""
        found: NDArray[numpy.bool_] = (self.logits.argmax(-1) == self.references).numpy()
        return found


def scores_of(inputs: Inputs, outcome: Outcome) -> Scores:
    """Computes all metrics; the accuracies of the baselines are among them.

    Args:
        inputs: The data set.
        outcome: The answers.
    """
    scores = score(outcome.logits, outcome.references, inputs.labels)
    gold = outcome.references.numpy()
    answers = dict(inputs.baselines)
    if outcome.exchanged is not None:
        answers["exchanged_premises"] = outcome.exchanged.numpy()
    shares = {name: float((ids == gold).mean()) for name, ids in answers.items()}
    return replace(scores, baselines=scores.baselines | shares)


def find_slices(inputs: Inputs, outcome: Outcome, tokenizer: PreTrainedTokenizerBase) -> list[Slice]:
    """Takes pairs together by what they are like, and scores each part.

    Args:
        inputs: The data set.
        outcome: The answers.
        tokenizer: The model's, to know which words it knows.
    """
    columns: dict[str, Sequence[Any]] = dict(inputs.columns)
    if (annotations := columns.pop(ANNOTATORS, None)) and any(annotations):
        columns["annotators"] = annotator_slices([labels or [] for labels in annotations])
    pairs = list(zip(inputs.pairs["premise"], inputs.pairs["hypothesis"], strict=True))
    hypothesis_only = inputs.baselines.get("hypothesis_only")
    easy = None if hypothesis_only is None else hypothesis_only == outcome.references.numpy()
    return slices_of(pairs, outcome.right, _unknown(inputs.table, tokenizer.unk_token_id), easy, columns)


def _unknown(table: TokenTable, unknown_id: int | None) -> NDArray[numpy.int64] | None:
    """Counts the unknown words of each pair, integers (pairs,); None for a tokenizer that knows all."""
    if unknown_id is None:
        return None
    until = numpy.concatenate([[0], (table.columns["input_ids"].numpy() == unknown_id).cumsum()])
    found: NDArray[numpy.int64] = numpy.diff(until[table.offsets.numpy()])
    return found


def annotator_agreement(inputs: Inputs, references: Tensor) -> float | None:
    """Computes how often a single annotator gives the gold label, a ceiling for models; None if rows don't say.

    Args:
        inputs: The data set, with the column `ANNOTATORS`.
        references: The gold labels, integers (pairs,).
    """
    given = [
        label == inputs.labels[reference]
        for labels, reference in zip(inputs.columns.get(ANNOTATORS) or [], references.tolist(), strict=False)
        for label in labels or []
    ]
    return sum(given) / len(given) if given else None


def telling_answers(inputs: Inputs, outcome: Outcome) -> tuple[list[Answer], list[Answer]]:
    """Finds the mistakes that the model is most sure of, and the answers that it is least sure of.

    Args:
        inputs: The data set.
        outcome: The answers.
    """
    probabilities, predictions = outcome.logits.double().softmax(-1).max(-1)
    order = probabilities.argsort(descending=True, stable=True).tolist()
    wrong = [index for index in order if not outcome.right[index]][:_SHOWN]

    def answer(index: int) -> Answer:
        row = inputs.pairs[index]
        gold, predicted = (inputs.labels[int(ids[index])] for ids in (outcome.references, predictions))
        return Answer(row["premise"], row["hypothesis"], gold, predicted, float(probabilities[index]))

    return [answer(index) for index in wrong], [answer(index) for index in order[::-1][:_SHOWN]]
