"""What a conversion reports: the contents of conversion_report.json."""

from __future__ import annotations

from dataclasses import dataclass

from hf_nli.core.report import Report
from hf_nli.d2l.download import Framework


@dataclass(frozen=True, kw_only=True)
class Differences:
    """How far a converted model and d2l's own float32 are from d2l's function in float64.

    Each is the largest absolute difference of a row of pooled outputs and logits; the maximum and the median are over
    rows.
    """

    max_abs_difference: float
    median_abs_difference: float
    source_float32_difference: float
    source_float32_median_difference: float


@dataclass(frozen=True, kw_only=True)
class ConversionReport(Differences, Report):
    """What a conversion found out, as written to conversion_report.json.

    Attributes:
        source: The checkpoint.
        sha1: The SHA-1 of its file.
        framework: What wrote it.
        entry: The key of the file that the state dict was under, if the file is a training checkpoint.
        sizes: Its sizes, by d2l's names.
        hidden_size: The stock model's.
        num_attention_heads: Likewise.
        text_style: The tokenizer's.
        unk_rate: Each text style's share of unknown words in `text_sample`, if one was given.
        carried_over: The checkpoint's tensors that are in the model.
        not_carried_over: Those that aren't.
        initialized: The tensors of the head, if it is new.
        arguments: What else was given to `convert`, in words that may be published.
        versions: The packages that converted.
        model_sha256: The weights that were written.
        seconds: What reading, converting and proving took.
        peak_memory: The largest that the process's resident memory has been, in bytes; None on Windows.
    """

    source: str
    sha1: str
    framework: Framework
    entry: str | None = None
    sizes: dict[str, int]
    hidden_size: int
    num_attention_heads: int
    text_style: str
    unk_rate: dict[str, float] | None = None
    text_sample: str | None = None
    carried_over: list[str]
    not_carried_over: list[str]
    initialized: list[str]
    arguments: dict[str, str | int | list[str]]
    versions: dict[str, str]
    model_sha256: str | None
    seconds: float
    peak_memory: int | None
