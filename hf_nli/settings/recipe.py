"""Every choice of a fine-tuning run, by the names of Transformers' example scripts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hf_nli.settings.options import FORWARD_HELP, TRUNCATION_HELP, Forward, Truncation
from hf_nli.settings.ranges import check_settings

RecipeName = Literal["tuned", "d2l", "d2l-base"]


@dataclass(frozen=True)
class Recipe:
    """The settings of a fine-tuning run; its fields are the flags of `hf-nli train`."""

    learning_rate: float = field(default=2e-4, metadata={"help": "Peak learning rate of AdamW."})
    embedding_lr_multiplier: float | None = field(
        default=None,
        metadata={"help": "Multiplies the embeddings' learning rate; by default more than 1, the larger they are."},
    )
    soften_attention: bool = field(
        default=True,
        metadata={"help": "Whether to scale down the queries of saturated layers, which else learn little, at first."},
    )
    lr_scheduler_type: Literal["linear", "cosine", "constant"] = field(
        default="linear", metadata={"help": "How the learning rate goes on after the warm-up."}
    )
    loss_reduction: Literal["mean", "sum"] = field(
        default="mean", metadata={"help": "What becomes of the losses of a batch's pairs."}
    )
    labels: Literal["three_way", "two_way"] = field(
        default="three_way",
        metadata={"help": "What to tell apart; two_way: entailment from all else, of data with either labels."},
    )
    num_train_epochs: int = field(default=5, metadata={"help": "Passes over the training data."})
    max_train_steps: int | None = field(
        default=None, metadata={"help": "Stop after this many optimizer steps, whatever the number of epochs."}
    )
    per_device_train_batch_size: int = field(default=64, metadata={"help": "Pairs a batch, on each process."})
    per_device_eval_batch_size: int = field(default=256, metadata={"help": "Pairs a batch when evaluating."})
    max_seq_length: int = field(default=128, metadata={"help": "Tokens a pair, <cls> and both <sep> included."})
    truncation: Truncation = field(default="longest_first", metadata=TRUNCATION_HELP)
    gradient_accumulation_steps: int = field(default=1, metadata={"help": "Batches for each optimizer step."})
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = field(
        default="auto",
        metadata={"help": "Precision of matrix products, weights stay in float32; auto: bf16 where it is fast."},
    )
    forward: Forward = field(default="auto", metadata=FORWARD_HELP)
    group_by_length: bool = field(
        default=True, metadata={"help": "Whether to make batches of pairs of like length, which saves padding."}
    )
    tokens_per_batch: int | None = field(
        default=None,
        metadata={"help": "As many pairs a batch, on each process, as fit into so many tokens, padding included."},
    )
    gradient_checkpointing: bool = field(
        default=False,
        metadata={"help": "Whether to compute each layer again when going backwards: less memory, more time."},
    )
    dropout: float = field(default=0.0, metadata={"help": "Dropout of hidden states and attention."})
    weight_decay: float = field(default=0.01, metadata={"help": "AdamW's decay of the encoder's matrices."})
    warmup_ratio: float = field(default=0.1, metadata={"help": "Share of the steps to warm up."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Gradients are clipped to this norm, if not 0."})
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "Stop after so many epochs in a row that weren't the best so far."}
    )
    test_each_epoch: bool = field(
        default=False,
        metadata={"help": "Whether to print d2l's own line after every epoch, with the test accuracy."},
    )
    seed: int = field(default=42, metadata={"help": "Seed of the order, dropout and a split-off validation set."})

    def __post_init__(self) -> None:
        check_settings(self)


# What differs from the defaults.
# d2l: Adam and what else the book's section "Fine-Tuning BERT" trains with, with the dropout that d2l's loader sets.
# d2l-base: for the section's exercise, bert.base and a test accuracy above 0.86. A net of 12 layers takes the settings
#     that Devlin et al. (2019, appendix A.3) found to fit BERT on all tasks: batches of 32, a learning rate from their
#     2e-5 to 5e-5, dropout of 0.1. More epochs than their 3, as the exercise says; the best one is kept.
RECIPES: dict[RecipeName, dict[str, Any]] = {
    "tuned": {},
    "d2l": {
        "learning_rate": 1e-4,
        "embedding_lr_multiplier": 1.0,
        "soften_attention": False,
        "lr_scheduler_type": "constant",
        "loss_reduction": "sum",
        "num_train_epochs": 5,
        "per_device_train_batch_size": 512,
        "max_seq_length": 128,
        "mixed_precision": "no",
        "group_by_length": False,
        "dropout": 0.2,
        "weight_decay": 0.0,
        "warmup_ratio": 0.0,
        "max_grad_norm": 0.0,
        "test_each_epoch": True,
    },
    "d2l-base": {
        "learning_rate": 3e-5,
        "num_train_epochs": 5,
        "per_device_train_batch_size": 32,
        "max_seq_length": 128,
        "dropout": 0.1,
        "test_each_epoch": True,
    },
}
