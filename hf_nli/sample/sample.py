"""A sample to start with, made here: an NLI corpus in the Stanford release's format and a small d2l checkpoint.

A caption says who somebody is and a few facts about them (what they do, where, their mood, what they wear). A
hypothesis is about one fact, in the same or in more general words, and the pair's label follows from the premise: the
same fact is entailed, another value of it is a contradiction, a fact that the premise doesn't tell is neutral. So the
hypothesis alone says nothing about the label. The checkpoint is an **untrained** net.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hf_nli.core.files import staged
from hf_nli.core.labels import LABELS
from hf_nli.d2l.checkpoint import Sizes
from hf_nli.d2l.source import PARAMETERS, VOCABULARY
from hf_nli.sample.checkpoint import initial_state
from hf_nli.text.tokenizer import SPECIAL_TOKENS

PREMISES = {"train": 2000, "dev": 200, "test": 200}
GENERAL = 0.4  # the share of hypotheses in more general words
UNDECIDED = 0.01  # the share of pairs whose annotators disagree, which the release labels "-"
NET = {"num_hiddens": 64, "ffn_num_hiddens": 128, "num_heads": 4, "num_blks": 2, "max_len": 64}

# Facts: values by their more general name.
FACTS: dict[str, dict[str, tuple[str, ...]]] = {
    "activity": {
        "making music": ("playing a guitar",),
        "having a snack": ("eating a banana",),
        "resting": ("sleeping",),
    },
    "place": {"outdoors": ("in a park", "on a beach"), "indoors": ("in a kitchen", "in a library")},
    "mood": {"in a good mood": ("happy",), "in a bad mood": ("sad",)},
    "clothing": {"red": ("a red jacket", "a red hat"), "blue": ("a blue jacket", "a blue hat")},
}
PEOPLE = (
    *"woman man girl boy singer student farmer doctor dancer painter teacher tourist".split(),
    *("neighbor's friend", "driver's son", "baker", "waiter"),
)
# Words that only the test part has.
HELD_OUT_PEOPLE = ("nurse", "pilot", "clown", "swimmer's coach", "jazz singer")
COLUMNS = (
    "gold_label sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse sentence1 sentence2 "
    "captionID pairID label1 label2 label3 label4 label5"
).split()


@dataclass(frozen=True)
class Sample:
    """Where a sample lies, and what its checkpoint doesn't tell."""

    corpus: Path
    checkpoint: Path
    num_heads: int


def write_sample(folder: str | Path, seed: int = 0) -> Sample:
    """Writes the corpus and the checkpoint; the same seed gives the same files.

    Args:
        folder: Where to write `snli_sample`, in the layout of the SNLI 1.0 release (Bowman et al. 2015), and
            `d2l_bert_sample`, a checkpoint as d2l's section "Pretraining BERT" would save it.
        seed: Seed of the sentences and of the weights.

    Returns:
        The two folders and the number of attention heads.

    Raises:
        InputError: If the folder can't be written to.
    """
    folder = Path(folder)
    rng = random.Random(seed)
    premises: set[str] = set()  # no premise comes twice, so that none of dev and test is known from training
    corpus = {split: _pairs(split, number, premises, rng) for split, number in PREMISES.items()}
    words = {
        token.lower() for rows in corpus.values() for row in rows for side in "12" for token in _tokens(row, side)
    }
    tokens = sorted(words | set(SPECIAL_TOKENS))
    with staged(folder) as temporary:
        release, checkpoint = temporary / "snli_sample", temporary / "d2l_bert_sample"
        release.mkdir()
        for split, rows in corpus.items():
            _write_release(release / f"snli_1.0_{split}", rows)
        checkpoint.mkdir()
        state = initial_state(Sizes(vocab_size=len(tokens), **NET), seed)
        # Smaller positions and segments leave words more to say from the start, so that the net learns sooner.
        for name in ("encoder.pos_embedding", "encoder.segment_embedding.weight"):
            state[name] /= 2
        torch.save(state, checkpoint / PARAMETERS)
        (checkpoint / VOCABULARY).write_text(json.dumps(tokens), encoding="utf-8")
    return Sample(folder / "snli_sample", folder / "d2l_bert_sample", NET["num_heads"])


def _pairs(split: str, number: int, premises: set[str], rng: random.Random) -> list[dict[str, Any]]:
    """Three hypotheses for each of so many new premises, one a label, as in SNLI."""
    people = PEOPLE + HELD_OUT_PEOPLE * (split == "test")
    rows: list[dict[str, Any]] = []
    while len(rows) < 3 * number:
        person = rng.choice(people)
        groups = {fact: rng.choice(list(FACTS[fact])) for fact in rng.sample(list(FACTS), rng.choice((2, 3)))}
        told = {fact: rng.choice(FACTS[fact][group]) for fact, group in groups.items()}
        premise = _premise(person, told, rng)
        if premise in premises:
            continue
        premises.add(premise)
        for label in LABELS:
            fact = rng.choice([fact for fact in FACTS if (fact in told) == (label != "neutral")])
            group = groups[fact] if label == "entailment" else _other(FACTS[fact], groups.get(fact), rng)
            value = told[fact] if label == "entailment" else rng.choice(FACTS[fact][group])
            if rng.random() < GENERAL:
                value = f"something {group}" if fact == "clothing" else group
            wearing = "wearing " if fact == "clothing" else ""
            hypothesis = f"The {rng.choice((person, 'person'))} is {wearing}{value}."
            rows.append(_row(f"{len(premises)}.jpg#0", label, premise, hypothesis, rng))
    return rows


def _other(groups: Iterable[str], group: str | None, rng: random.Random) -> str:
    return rng.choice([other for other in groups if other != group])


def _premise(person: str, told: dict[str, str], rng: random.Random) -> str:
    mood, activity, place = told.get("mood"), told.get("activity"), told.get("place")
    noun = f"{mood} {person}" if mood else person
    who = f"a {noun}" + (f" in {told['clothing']}" if "clothing" in told else "")
    if not activity:
        text = f"there is {who}" + (f" {place}" if place else "")
    elif place and rng.random() < 0.3:
        text = f"{place}, {who} is {activity}"
    else:
        text = f"{who} is {activity}" + (f" {place}" if place else "")
    return text[0].upper() + text[1:] + "."


def _tokens(row: dict[str, Any], side: str) -> list[str]:
    return re.findall(r"'\w+|\w+|[^\w\s]", row[f"sentence{side}"])


def _row(caption: str, label: str, premise: str, hypothesis: str, rng: random.Random) -> dict[str, Any]:
    """A pair with all the columns of the release."""
    annotators = [label] * 5
    if rng.random() < UNDECIDED:
        others = [other for other in LABELS if other != label]
        label, annotators = "-", [label, label, others[0], others[0], others[1]]
    row = {"annotator_labels": annotators, "captionID": caption, "gold_label": label}
    row |= {"pairID": f"{caption}r1{annotators[0][0]}", "sentence1": premise, "sentence2": hypothesis}
    for side in "12":
        tokens = _tokens(row, side)
        *rest, last = tokens
        row[f"sentence{side}_binary_parse"] = "".join(f"( {token} " for token in rest) + last + " )" * len(rest)
        row[f"sentence{side}_parse"] = f"(ROOT (S {' '.join(f'(X {token})' for token in tokens)}))"
    return row


def _write_release(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the .jsonl and the .txt of a split."""
    with path.with_name(path.name + ".jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, sort_keys=True) + "\n" for row in rows)
    with path.with_name(path.name + ".txt").open("w", encoding="utf-8") as file:
        file.write("\t".join(COLUMNS) + "\n")
        for row in rows:
            labels = {f"label{number}": label for number, label in enumerate(row["annotator_labels"], 1)}
            file.write("\t".join((row | labels)[column] for column in COLUMNS) + "\n")
