"""What the flags of several commands share."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_nli.settings.options import FORWARD_HELP, TRUNCATION_HELP, Forward, Truncation

REVISION_HELP = {"help": "Branch, tag or commit of what is on the Hub."}
OVERWRITE_HELP = {"help": "Whether to replace a model in the output folder, with all that was reported of it."}
RECIPE_HELP = {"help": "Settings to start from: ours, the book's, or some for bert.base; other flags change them."}
DATASET_HELP = {
    "help": "A Hub id (stanfordnlp/snli), the Stanford release (folder or zip), a "
    ".jsonl/.json/.csv/.tsv/.txt/.parquet file or a pattern of such files, or a folder written by save_to_disk."
}


def model_help(purpose: str) -> dict[str, str]:
    """The help of --model_name_or_path.

    Args:
        purpose: What the model is for.
    """
    return {"help": f"Model folder or Hub id to {purpose}."}


@dataclass(frozen=True, kw_only=True)
class PairArguments:
    """How pairs are cut, and what computes, where no recipe says it."""

    max_seq_length: int | None = field(
        default=None, metadata={"help": "Tokens a pair; default: as many as the model takes."}
    )
    truncation: Truncation = field(default="longest_first", metadata=TRUNCATION_HELP)
    forward: Forward = field(default="auto", metadata=FORWARD_HELP)
