"""Pairs of texts to predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeVar, overload

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_nli.core.cache import content_key
from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABELS
from hf_nli.inference.backends import Backend, DType, Logits, TorchBackend, find_device
from hf_nli.inference.scoring import Encoded, Pair, Scorer
from hf_nli.inference.windows import combine, room_for_premise, split_sentences, split_windows
from hf_nli.model.load import input_length, load_model
from hf_nli.model.score import check_logits
from hf_nli.settings.options import COLUMNS, Forward, PredictorOptions, Truncation
from hf_nli.settings.ranges import check_number
from hf_nli.text.encoding import plain_backend

UNDECIDED = "undecided"
WINDOW = 4096  # pairs that are sorted by length together

BackendName = Literal["torch", "onnx", "openvino"]
AnyPair = Pair | Mapping[str, Any]


@dataclass(frozen=True)
class Prepared:
    """Pairs that are encoded.

    Attributes:
        pairs: The pairs that were given.
        texts: The pairs that are scored: the same, or windows of their premises.
        parts: Of each pair that was given, where its windows begin and end among them, (pairs + 1,).
        encoded: The texts as token ids.
    """

    pairs: Sequence[Pair]
    texts: Sequence[Pair]
    parts: NDArray[numpy.int64]
    encoded: Encoded


@dataclass(frozen=True)
class Answers:
    """What is predicted of pairs.

    Attributes:
        labels: The label of each, or `UNDECIDED`.
        probabilities: Float64 (pairs, labels), in the order of the predictor's labels.
        evidence: The window that decided each.
        cut: Whether each was cut, (pairs,).
    """

    labels: list[str]
    probabilities: NDArray[numpy.float64]
    evidence: list[str]
    cut: NDArray[numpy.bool_]

    def __iter__(self) -> Iterator[tuple[str, list[float], str, bool]]:
        """Gives label, probabilities, evidence, and whether it was cut, of pair after pair."""
        return zip(self.labels, self.probabilities.tolist(), self.evidence, self.cut.tolist(), strict=True)


class Predictor:
    """Predicts whether premises entail, contradict or leave open what hypotheses say.

    Args:
        backend: What computes logits.
        tokenizer: The model's tokenizer.
        max_length: The most tokens of a pair.
        options: How long pairs and unsure answers are treated.
        name: What to call the model in errors.

    Attributes:
        labels: What the model tells apart: entailment, neutral, contradiction; or entailment, not_entailment.

    Example:
        >>> predictor = Predictor.from_pretrained("user/bert-small-snli")  # doctest: +SKIP
        >>> predictor(("A man sleeps.", "A man is awake."))["label"]  # doctest: +SKIP
        'contradiction'
    """

    def __init__(
        self,
        backend: Backend,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        options: PredictorOptions | None = None,
        name: str = "the model",
    ) -> None:
        self.options, self._name = options or PredictorOptions(), name
        self.max_length = max_length
        self._backend, self.labels = backend, backend.labels
        self._scorer = Scorer(backend, tokenizer, max_length, self.options.truncation, self.options.tokens_per_batch)

    def identity(self) -> dict[str, str]:
        """Says what answers depend on, by names for people: model, tokenizer and each setting."""
        tokenizer = self._scorer.tokenizer.backend_tokenizer.to_str()
        settings = dataclasses.asdict(self.options) | {"max_seq_length": self.max_length}
        return (
            self._backend.identity()
            | {"tokenizer": content_key(tokenizer)}
            | {f"--{name}": str(value) for name, value in settings.items()}
        )

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        revision: str | None = None,
        device: str | None = None,
        dtype: DType = "auto",
        backend: BackendName = "torch",
        int8: bool = False,
        **options: Any,
    ) -> Predictor:
        """Loads a model.

        Args:
            name_or_path: A model folder or Hub id.
            revision: The branch, tag or commit of a model on the Hub.
            device: Where to compute, as PyTorch calls it; by default the GPU, or the CPU if there is none.
            dtype: The type of matrix products; "auto" is float32 on a CPU, and on a GPU the fast one of 16 bits.
            backend: What computes: PyTorch, or on a CPU onnxruntime or OpenVINO, which are compared with it.
            int8: Whether the layers' matrices have 8 bits; not with PyTorch.
            options: Fields of `settings.options.PredictorOptions`.

        Raises:
            InputError: If there is no such model or device, or the model is no NLI classifier.
        """
        settings = PredictorOptions(**options)
        model, tokenizer = load_model(name_or_path, revision=revision)
        max_length = input_length(model.config, tokenizer, settings.max_seq_length)
        if backend == "torch":
            if int8:
                raise InputError("--int8 is for --backend onnx and openvino; PyTorch computes in --dtype")
            model.to(find_device(device))  # type: ignore[arg-type]  # of a wrapper that forgets the types
            computes: Backend = TorchBackend(model, tokenizer, dtype, settings.forward)
        else:
            from hf_nli.inference.programs import ProgramBackend

            if device not in (None, "cpu"):
                raise InputError(f"--device {device}: --backend {backend} computes on the CPU")
            computes = ProgramBackend(backend, model, tokenizer, max_length, dtype, int8)
        return cls(computes, tokenizer, max_length, settings, name_or_path)

    @overload
    def __call__(self, pairs: AnyPair) -> dict[str, Any]: ...
    @overload
    def __call__(self, pairs: list[AnyPair]) -> list[dict[str, Any]]: ...  # type: ignore[overload-overlap]  # a list is
    # an iterable, too, but the first of these that fits counts
    @overload
    def __call__(self, pairs: Iterable[AnyPair]) -> Iterator[dict[str, Any]]: ...
    def __call__(self, pairs: Any) -> Any:
        """Predicts the relation of pairs.

        Args:
            pairs: A pair, a list of pairs, or anything that gives pairs one by one, which is read as they are needed.
                A pair is a premise and a hypothesis, or a dict of `premise` and `hypothesis`, or of `text` and
                `text_pair`.

        Raises:
            InputError: If something isn't a pair of texts, or a pair's logits are NaN or infinite.

        Returns:
            Of a pair a dict, of a list a list, of anything else an iterator, in order: `premise`, `hypothesis`, the
            `label` and the `scores` (probabilities) by the label's name; with `long_premises="windows"` also the
            `evidence`, the part of the premise that decided.
        """
        if isinstance(pairs, Mapping) or _is_pair(pairs):
            return self([pairs])[0]
        if isinstance(pairs, Sequence) and len(pairs) <= WINDOW:
            return list(self._dicts(self.prepare([make_pair(pair) for pair in pairs]))) if pairs else []
        answers = self._stream(iter(pairs))
        return list(answers) if isinstance(pairs, Sequence) else answers

    def logits(self, pairs: Iterable[AnyPair]) -> Logits:
        """Computes logits; long premises are cut.

        Args:
            pairs: Pairs, as in a call.

        Returns:
            Float32 (pairs, labels), in the order of `labels`: entailment, neutral, contradiction.
        """
        read, found = iter(pairs), [numpy.zeros((0, len(self.labels)), numpy.float32)]
        while window := [make_pair(pair) for pair in islice(read, WINDOW)]:
            found.append(self._scorer.score(self._scorer.encode(window)))
        return numpy.concatenate(found)

    def check(self, document: str, claims: str | Sequence[str]) -> list[dict[str, Any]]:
        """Checks claims against a document: each sentence of the document is a premise; see `windows.combine`.

        Args:
            document: A text; sentences are split by `sentencex`.
            claims: Claims, or a text each of whose sentences is one.

        Raises:
            InputError: If the document has no sentence.

        Returns:
            Of each claim: `claim`, `label`, `scores`, and as `evidence` the sentence of the document that decided.
        """
        sentences = split_sentences(document)
        if not sentences:
            raise InputError("the document has no sentence; give its text")
        wanted = split_sentences(claims) if isinstance(claims, str) else list(claims)
        if not wanted:
            return []
        texts = [(sentence, claim) for claim in wanted for sentence in sentences]
        parts = numpy.arange(len(wanted) + 1) * len(sentences)
        pairs = [(document, claim) for claim in wanted]
        found = self._dicts(Prepared(pairs, texts, parts, self._scorer.encode(texts)), evidence=True)
        return [
            {"claim": claim} | {name: answer[name] for name in ("label", "scores", "evidence")}
            for claim, answer in zip(wanted, found, strict=True)
        ]

    def prepare(self, pairs: Sequence[Pair]) -> Prepared:
        """Encodes pairs, for `answer`.

        Args:
            pairs: Premises and hypotheses, at least one.
        """
        encoded = self._scorer.encode(pairs)
        counts = numpy.ones(len(pairs), numpy.int64)
        if self.options.long_premises == "truncate" or not encoded.cut.any():
            return Prepared(pairs, pairs, _ends(counts), encoded)
        texts: list[Pair] = []
        for number, (pair, cut) in enumerate(zip(pairs, encoded.cut[encoded.index], strict=True)):
            windows = self._windows(*pair) if cut else [pair]
            texts += windows
            counts[number] = len(windows)
        return Prepared(pairs, texts, _ends(counts), self._scorer.encode(texts))

    def answer(self, prepared: Prepared, first_row: int = 1) -> Answers:
        """Predicts.

        Args:
            prepared: What `prepare` gave.
            first_row: The number of the first pair, for errors.

        Raises:
            InputError: If a pair's logits are NaN or infinite.
        """
        logits = self._scorer.score(prepared.encoded)
        starts = prepared.parts[:-1]
        if not numpy.isfinite(logits).all():
            worst = numpy.add.reduceat(logits, starts)  # which is no number for each pair that has such a window
            check_logits(torch.from_numpy(worst), f"{self._name}: the pairs", first_row=first_row)
        found = torch.from_numpy(logits).double().softmax(-1).numpy()
        cut = prepared.encoded.cut[prepared.encoded.index]
        if len(starts) == len(found):
            best, joint = starts, found
        else:
            each = [combine(part) for part in numpy.split(found, starts[1:])]
            joint = numpy.array([probabilities for probabilities, _ in each])
            best = starts + numpy.array([window for _, window in each])
            cut = numpy.maximum.reduceat(cut, starts)
        sure = joint.max(1) >= (self.options.threshold or 0)
        best_labels = zip(joint.argmax(1), sure, strict=True)
        labels = [self.labels[label] if known else UNDECIDED for label, known in best_labels]
        return Answers(labels, joint, [prepared.texts[index][0] for index in best], cut)

    def _windows(self, premise: str, hypothesis: str) -> list[Pair]:
        tokenizer = self._scorer.tokenizer
        with plain_backend(tokenizer) as backend:
            tokens = len(backend.encode(hypothesis, add_special_tokens=False))
        budget = self.max_length - tokenizer.num_special_tokens_to_add(pair=True)
        windows = split_windows(tokenizer, premise, room_for_premise(tokens, budget))
        return [(window, hypothesis) for window in windows or [premise]]

    def _stream(self, read: Iterator[AnyPair]) -> Iterator[dict[str, Any]]:
        first_row = 1
        for prepared in ahead(self._prepare_all(read)):
            yield from self._dicts(prepared, first_row)
            first_row += len(prepared.parts) - 1

    def _prepare_all(self, read: Iterator[AnyPair]) -> Iterator[Prepared]:
        while pairs := [make_pair(pair) for pair in islice(read, WINDOW)]:
            yield self.prepare(pairs)

    def _dicts(self, prepared: Prepared, first_row: int = 1, evidence: bool = False) -> Iterator[dict[str, Any]]:
        answers = self.answer(prepared, first_row)
        evidence = evidence or self.options.long_premises == "windows"
        for (premise, hypothesis), (label, scores, part, _) in zip(prepared.pairs, answers, strict=True):
            answer: dict[str, Any] = {"premise": premise, "hypothesis": hypothesis, "label": label}
            answer["scores"] = dict(zip(self.labels, scores, strict=True))
            yield answer | ({"evidence": part} if evidence else {})


def decide(logits: Tensor, labels: tuple[str, ...] = LABELS) -> dict[str, Any]:
    """The label and the scores of one pair.

    Args:
        logits: One value a label.
        labels: The labels.

    Returns:
        The `label` with the highest score and the `scores` by name, which add up to 1.
    """
    scores = logits.double().softmax(-1).tolist()
    return {"label": labels[int(logits.argmax())], "scores": dict(zip(labels, scores, strict=True))}


T = TypeVar("T")


def ahead(work: Iterator[T]) -> Iterator[T]:
    """Gives what an iterator gives, which a thread computes one step ahead.

    Args:
        work: The iterator; nobody else may use it.
    """
    nothing = object()
    with ThreadPoolExecutor(1, "hf_nli_ahead") as thread:
        upcoming = thread.submit(next, work, nothing)
        while (result := upcoming.result()) is not nothing:
            upcoming = thread.submit(next, work, nothing)
            yield result  # type: ignore[misc]


def make_pair(pair: Any) -> Pair:
    """Makes a premise and a hypothesis of what people give.

    Args:
        pair: Two texts, or a dict of them, by the names of `settings.options.COLUMNS`.

    Raises:
        InputError: If it is something else.
    """
    if isinstance(pair, Mapping):
        names = [next((name for name in COLUMNS[kind] if name in pair), None) for kind in ("premise", "hypothesis")]
        if None not in names:
            pair = tuple(pair[name] for name in names)
    if _is_pair(pair):
        return pair[0], pair[1]
    raise InputError(
        f"{str(pair)[:60]!r} is no pair of texts; give (premise, hypothesis), or a dict of premise and hypothesis"
    )


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)


def _ends(counts: NDArray[numpy.int64]) -> NDArray[numpy.int64]:
    return numpy.concatenate([[0], counts.cumsum()])


def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[tuple[str, str]],
    batch_size: int = 64,
    max_seq_length: int | None = None,
    truncation: Truncation = "longest_first",
    forward: Forward = "auto",
) -> Iterator[dict[str, Any]]:
    """Predicts the relation of each pair with a model that is loaded already, reading the pairs as they are needed.

    Args:
        model: An NLI classifier in evaluation mode, with any order of labels.
        tokenizer: Its tokenizer.
        pairs: Premises and hypotheses.
        batch_size: Pairs that are read at once.
        max_seq_length: Tokens a pair; by default as many as the model takes.
        truncation: How longer pairs are cut.
        forward: What computes: our forward pass, for the models that it knows, or always the model's own.

    Raises:
        InputError: If the model's labels aren't those of NLI, a text isn't Unicode, a setting
            can't be used, or a pair's logits are NaN or infinite.

    Yields:
        What `Predictor` gives for each.
    """
    check_number("batch_size", batch_size)
    options = PredictorOptions(truncation=truncation, forward=forward, max_seq_length=max_seq_length)
    length = input_length(model.config, tokenizer, max_seq_length)
    name = model.name_or_path or "the model"
    predictor = Predictor(TorchBackend(model, tokenizer, "float32", forward), tokenizer, length, options, name)
    read, first_row = iter(pairs), 1
    while batch := list(islice(read, batch_size)):
        yield from predictor._dicts(predictor.prepare(batch), first_row)
        first_row += len(batch)
