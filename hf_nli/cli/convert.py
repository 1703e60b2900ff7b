"""`hf-nli convert`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hf_nli.cli.checks import check_checkpoint
from hf_nli.cli.command import Command
from hf_nli.cli.flags import OVERWRITE_HELP, REVISION_HELP


@dataclass(frozen=True, kw_only=True)
class ConvertArguments:
    """Flags of `hf-nli convert`."""

    source: str = field(
        metadata={"help": "bert.small, bert.base, or a folder, zip, .params file or Hub id of a d2l checkpoint."}
    )
    output_dir: str = field(metadata={"help": "Model folder to write."})
    num_heads: int | None = field(
        default=None, metadata={"help": "d2l's number of attention heads; needed for all but the published names."}
    )
    vocab: str | None = field(default=None, metadata={"help": "Vocabulary, if not vocab.json beside the parameters."})
    text_style: Literal["ptb", "wikitext"] = field(
        default="ptb",
        metadata={"help": "Words of SNLI's parses, as d2l; or of WikiText, for a model that is yet to be fine-tuned."},
    )
    text_sample: str | None = field(
        default=None, metadata={"help": "Data set or text file to report each text style's share of unknown words on."}
    )
    revision: str | None = field(default=None, metadata=REVISION_HELP)
    framework: Literal["pytorch", "mxnet"] | None = field(
        default=None, metadata={"help": "Whose file of a published name to take; default: pytorch."}
    )
    d2l_label_order: list[str] | None = field(
        default=None,
        metadata={"help": "Labels of a fine-tuned d2l net's outputs; default: entailment contradiction neutral."},
    )
    overwrite_output_dir: bool = field(default=False, metadata=OVERWRITE_HELP)


def check(arguments: ConvertArguments) -> None:
    """Refuses input that is missing."""
    check_checkpoint(arguments.source, arguments.vocab)


def execute(arguments: ConvertArguments) -> None:
    """Converts, and prints the proof."""
    from hf_nli.d2l.convert import convert

    report = convert(
        source=arguments.source,
        output_dir=arguments.output_dir,
        num_heads=arguments.num_heads,
        vocab=arguments.vocab,
        text_style=arguments.text_style,
        text_sample=arguments.text_sample,
        revision=arguments.revision,
        framework=arguments.framework,
        d2l_label_order=arguments.d2l_label_order,
        overwrite_output_dir=arguments.overwrite_output_dir,
    )
    print(
        f"Converted {report.source} to {arguments.output_dir}: the same function, computed by a stock BERT.\n"
        + (f"  from a training checkpoint: its {report.entry}\n" if report.entry else "")
        + f"  hidden size {report.hidden_size} with {report.num_attention_heads} heads for d2l's "
        f"{report.sizes['num_hiddens']} with {report.sizes['num_heads']}\n"
        f"  in {report.seconds:.0f} s; largest difference from d2l's function {report.max_abs_difference:.1e} "
        f"(d2l's own float32: {report.source_float32_difference:.1e})\n"
        + "".join(
            f"  words of {arguments.text_sample} that it doesn't know in text style {style}: {rate:.2%}\n"
            for style, rate in (report.unk_rate or {}).items()
        )
        + f"  {len(report.carried_over)} tensors carried over, {len(report.not_carried_over)} not; "
        f"all in {arguments.output_dir}/conversion_report.json"
    )


COMMAND = Command(
    "convert",
    "turn a d2l checkpoint into a model folder",
    (ConvertArguments,),
    execute,
    ("hf_nli.d2l.convert",),
    check,
)
