"""What a model should be compared with: classifiers of words, of which some see half of the pair.

A hypothesis alone may give its label away, as annotators write each label in a way of its own: Poliak et al. (2018),
*Hypothesis Only Baselines in Natural Language Inference*; Gururangan et al. (2018), *Annotation Artifacts in Natural
Language Inference Data*, whose "hard" pairs are those that such a classifier gets wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy
from datasets import Dataset
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import SGDClassifier
from tqdm.auto import tqdm

_WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")
_FEATURES = 2**20

Features = Callable[[str, str], Iterator[str]]  # of a premise and a hypothesis


def words(text: str) -> list[str]:
    """Cuts a text into small words and punctuation.

    Args:
        text: The text.
    """
    return _WORD.findall(text.lower())


def _hypothesis(premise: str, hypothesis: str) -> Iterator[str]:
    found = words(hypothesis)
    yield from found
    yield from map(" ".join, zip(["^", *found], [*found, "$"], strict=True))


def _premise(premise: str, hypothesis: str) -> Iterator[str]:
    return _hypothesis(hypothesis, premise)


def _both(premise: str, hypothesis: str) -> Iterator[str]:
    """Words of both sides, and which words of the hypothesis are new, and how many in ten are."""
    given, found = set(words(premise)), words(hypothesis)
    new = [word for word in found if word not in given]
    yield from _hypothesis(premise, hypothesis)
    yield from (f"premise {word}" for word in given)
    yield from (f"new {word}" for word in new)
    yield f"{10 * len(new) // max(1, len(found))} in 10 are new"
    yield f"{min(len(found), 20)} words"


BASELINES: Mapping[str, Features] = {
    "hypothesis_only": _hypothesis,
    "premise_only": _premise,
    "bag_of_words": _both,
}


@dataclass(frozen=True)
class Baselines:
    """Trained baselines.

    Attributes:
        train_examples: How many pairs they were trained on.
        labels: The names of the label ids.
        classifiers: A classifier for each of `BASELINES`.
    """

    train_examples: int
    labels: tuple[str, ...]
    classifiers: Mapping[str, SGDClassifier]

    def predict(self, pairs: Dataset) -> dict[str, NDArray[numpy.int64]]:
        """Gives label ids.

        Args:
            pairs: Rows of premise and hypothesis.

        Returns:
            For each of `BASELINES` integers (pairs,).
        """
        return {name: each.predict(_counted(pairs, BASELINES[name])) for name, each in self.classifiers.items()}


def train_baselines(pairs: Dataset, seed: int) -> Baselines:
    """Trains linear classifiers of words and pairs of words, by averaged stochastic gradient descent on the log loss.

    Args:
        pairs: Rows of premise, hypothesis and label.
        seed: Of the order of the rows.
    """
    references = numpy.asarray(pairs["label"])
    settings = {"loss": "log_loss", "alpha": 3e-6, "max_iter": 5, "tol": None, "average": True, "random_state": seed}
    classifiers = {
        name: SGDClassifier(**settings).fit(_counted(pairs, features), references)
        for name, features in tqdm(BASELINES.items(), desc="Training baselines", dynamic_ncols=True)
    }
    return Baselines(len(pairs), tuple(pairs.features["label"].names), classifiers)


def _counted(pairs: Dataset, features: Features) -> csr_matrix:
    """Which features are in a pair: float (pairs, 2**20), 1 for each, whose place is a hash of its name."""
    rows = zip(pairs["premise"], pairs["hypothesis"], strict=True)
    hasher = FeatureHasher(_FEATURES, input_type="string", alternate_sign=False)
    matrix = hasher.transform(list(set(features(*row))) for row in rows)
    matrix.data[:] = 1
    return matrix
