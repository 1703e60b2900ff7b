"""d2l checkpoint to Hugging Face model folder, with the proof that both compute the same function."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

if sys.platform != "win32":
    import resource

import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerBase,
)

from hf_nli.core.environment import versions
from hf_nli.core.errors import InputError
from hf_nli.core.hub_ids import public_name
from hf_nli.core.labels import LABELS
from hf_nli.core.sole_run import sole_run
from hf_nli.d2l.checkpoint import Checkpoint, read_checkpoint
from hf_nli.d2l.download import Framework
from hf_nli.d2l.lift import lift
from hf_nli.d2l.reference import SEED, d2l_outputs, probes
from hf_nli.d2l.report import ConversionReport, Differences
from hf_nli.data.load import read_texts
from hf_nli.model.folder import CONVERSION, holds_model, model_folder, refuse_other_model, weights_sha256
from hf_nli.text.rules import TEXT_STYLES
from hf_nli.text.tokenizer import build_tokenizer, count_unknown, save_tokenizer

D2L_LABELS = ("entailment", "contradiction", "neutral")  # `read_snli`, d2l section "The SNLI Dataset"
TOLERANCE = 1e-3


def convert(
    source: str,
    output_dir: str | Path,
    num_heads: int | None = None,
    vocab: str | Path | None = None,
    text_style: str = "ptb",
    text_sample: str | None = None,
    revision: str | None = None,
    framework: Framework | None = None,
    d2l_label_order: Sequence[str] | None = None,
    overwrite_output_dir: bool = False,
) -> ConversionReport:
    """Converts a d2l checkpoint to a stock model folder and proves that it computes the same function.

    Args:
        source: A published name, folder, zip or .params file; see `checkpoint.read_checkpoint`.
        output_dir: The model folder to write: config.json, model.safetensors, tokenizer files, conversion_report.json.
        num_heads: d2l's number of attention heads, where the source's name doesn't tell.
        vocab: The vocabulary file, if it isn't beside the parameters.
        text_style: How the tokenizer treats text; see `tokenizer.build_tokenizer`.
        text_sample: A data set or a text file of a sentence a line, to report each style's `unk_rate` on.
        revision: The branch, tag or commit of a source on the Hub.
        framework: Which of a published name's files to take; see `checkpoint.read_checkpoint`.
        d2l_label_order: What the outputs of a fine-tuned d2l net mean, in their order; by default d2l's.
        overwrite_output_dir: Whether a model in `output_dir` may be replaced, with all that was reported of it.

    Returns:
        The report, as written to conversion_report.json.

    Raises:
        InputError: If the source can't be read, if `output_dir` holds a model that may not be replaced, or if the
            converted model differs from d2l's function by more than 1e-3 and ten times what d2l's function in float32
            differs. Nothing is written then.
    """
    started = time.perf_counter()
    with sole_run(output_dir):
        refuse_other_model(output_dir, overwrite_output_dir)
        _refuse_own_folder(source, output_dir)
        checkpoint = read_checkpoint(source, num_heads, vocab, revision, framework)
        tokenizer = build_tokenizer(checkpoint.tokens, checkpoint.sizes.max_len, text_style)
        unk_rates = _unk_rates(checkpoint, text_sample) if text_sample else None
        checkpoint, initialized = with_head(checkpoint, d2l_label_order)
        config, state = lift(checkpoint)
        with model_folder(output_dir, overwrite_output_dir) as folder:
            _save(config, state, tokenizer, folder)
            del state
            report = ConversionReport(
                source=checkpoint.source,
                sha1=checkpoint.sha1,
                framework=checkpoint.framework,
                entry=checkpoint.entry,
                sizes=dataclasses.asdict(checkpoint.sizes),
                hidden_size=config.hidden_size,
                num_attention_heads=config.num_attention_heads,
                **vars(_prove(checkpoint, folder)),
                text_style=text_style,
                unk_rate=unk_rates,
                text_sample=text_sample,
                carried_over=sorted(checkpoint.tensors.keys() - set(initialized)),
                not_carried_over=checkpoint.not_carried_over,
                initialized=initialized,
                arguments=_given(num_heads, vocab, text_style, revision, framework, d2l_label_order),
                versions=versions(),
                model_sha256=weights_sha256(folder),
                seconds=time.perf_counter() - started,
                peak_memory=_peak_memory(),
            )
            report.write(folder / CONVERSION)
        return report


def _refuse_own_folder(source: str, output_dir: str | Path) -> None:
    """Refuses to replace the folder that the checkpoint is in: its vocab.json could be taken for the model's."""
    path, folder = Path(source).resolve(), Path(output_dir).resolve()
    if holds_model(folder) and folder in (path, path.parent):
        raise InputError(f"{output_dir} is the folder of the checkpoint; choose another --output_dir")


def _save(
    config: BertConfig, state: dict[str, torch.Tensor], tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    with torch.device("meta"):  # every weight is replaced: no time or memory for random ones
        model = BertForSequenceClassification(config)
    model.load_state_dict(state, assign=True)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)


def _given(
    num_heads: int | None,
    vocab: str | Path | None,
    text_style: str,
    revision: str | None,
    framework: Framework | None,
    d2l_label_order: Sequence[str] | None,
) -> dict[str, str | int | list[str]]:
    """The arguments that aren't defaults, in words that may be published."""
    arguments = {
        "num_heads": num_heads,
        "vocab": public_name(str(vocab)) if vocab else None,
        "text_style": None if text_style == "ptb" else text_style,
        "revision": revision,
        "framework": framework,
        "d2l_label_order": list(d2l_label_order) if d2l_label_order else None,
    }
    return {name: value for name, value in arguments.items() if value is not None}


def _peak_memory() -> int | None:
    if sys.platform == "win32":
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _unk_rates(checkpoint: Checkpoint, text_sample: str) -> dict[str, float]:
    rates = {}
    for style in TEXT_STYLES:
        tokenizer = build_tokenizer(checkpoint.tokens, checkpoint.sizes.max_len, style)
        unknown, total = count_unknown(tokenizer, read_texts(text_sample))
        if not total:
            raise InputError(f"{text_sample}: no words to measure the share of unknown ones on")
        rates[style] = unknown / total
    return rates


def with_head(checkpoint: Checkpoint, d2l_label_order: Sequence[str] | None = None) -> tuple[Checkpoint, list[str]]:
    """Puts a checkpoint's classification head in our label order, or gives it a new one.

    Args:
        checkpoint: A d2l checkpoint, after pretraining or after fine-tuning.
        d2l_label_order: What the rows of its head mean, in their order; by default d2l's.

    Returns:
        The checkpoint with `output.weight` and `output.bias`, rows in the order of `labels.LABELS`, and which of its
        keys are newly initialized.

    Raises:
        InputError: If the order is not one of our labels, or if it is given and there is no head to order.
    """
    if d2l_label_order and sorted(d2l_label_order) != sorted(LABELS):
        given, wanted = " ".join(d2l_label_order), " ".join(LABELS)
        raise InputError(f"--d2l_label_order is {given}; it must be an order of {wanted}")
    tensors = dict(checkpoint.tensors)
    hiddens = checkpoint.sizes.num_hiddens
    if "output.weight" in tensors:
        order = [(d2l_label_order or D2L_LABELS).index(label) for label in LABELS]
        head = {name: tensors[name][order] for name in ("output.weight", "output.bias")}
        initialized = []
    elif d2l_label_order:
        raise InputError(f"{checkpoint.source}: not fine-tuned, no head to order; leave out --d2l_label_order")
    else:
        # As `torch.nn.Linear` initializes d2l's head, but the same at every conversion.
        generator = torch.Generator().manual_seed(SEED)
        bound = 1 / math.sqrt(hiddens)
        head = {
            "output.weight": torch.empty(len(LABELS), hiddens).uniform_(-bound, bound, generator=generator),
            "output.bias": torch.empty(len(LABELS)).uniform_(-bound, bound, generator=generator),
        }
        initialized = sorted(head)
    return dataclasses.replace(checkpoint, tensors=tensors | head), initialized


@torch.inference_mode()
def _prove(checkpoint: Checkpoint, folder: Path) -> Differences:
    """Compares the saved folder with d2l's function; raises if they differ."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=False).eval()
    rows, source_rows = [], []
    for probe in probes(checkpoint):
        pooled = model.bert(**probe.inputs).pooler_output
        outputs = torch.cat([pooled[:, : checkpoint.sizes.num_hiddens], model.classifier(pooled)], dim=1)
        expected = torch.cat(d2l_outputs(checkpoint, probe), dim=1)
        source = torch.cat(d2l_outputs(checkpoint, probe, torch.float32), dim=1)
        rows.append((outputs - expected).abs().amax(1))
        source_rows.append((source - expected).abs().amax(1))
    ours, source_float32 = torch.cat(rows), torch.cat(source_rows)
    tolerance = max(TOLERANCE, 10 * source_float32.max().item())
    if not ours.max() <= tolerance:  # a NaN fails too
        raise InputError(
            f"{checkpoint.source}: the converted model differs from d2l's function by {ours.max():.1e}, more than "
            f"{tolerance:.1e}; nothing was written. Weights of extreme size can do this: please report the checkpoint"
        )
    return Differences(
        max_abs_difference=ours.max().item(),
        median_abs_difference=ours.median().item(),
        source_float32_difference=source_float32.max().item(),
        source_float32_median_difference=source_float32.median().item(),
    )
