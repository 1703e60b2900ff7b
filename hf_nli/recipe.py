"""Every choice of a fine-tuning run, by the names of Transformers' example scripts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hf_nli.errors import InputError
from hf_nli.options import TRUNCATION_HELP, Truncation


@dataclass(frozen=True)
class Recipe:
    """The settings of a fine-tuning run; its fields are the flags of `hf-nli train`."""

    learning_rate: float = field(default=3e-4, metadata={"help": "Peak learning rate of AdamW."})
    num_train_epochs: int = field(default=5, metadata={"help": "Passes over the training data."})
    max_train_steps: int | None = field(
        default=None, metadata={"help": "Stop after this many optimizer steps, whatever the number of epochs."}
    )
    per_device_train_batch_size: int = field(default=64, metadata={"help": "Pairs a batch, on each process."})
    per_device_eval_batch_size: int = field(default=256, metadata={"help": "Pairs a batch when evaluating."})
    max_seq_length: int = field(default=128, metadata={"help": "Tokens a pair, <cls> and both <sep> included."})
    truncation: Truncation = field(default="longest_first", metadata=TRUNCATION_HELP)
    gradient_accumulation_steps: int = field(default=1, metadata={"help": "Batches for each optimizer step."})
    mixed_precision: Literal["no", "bf16", "fp16"] = field(
        default="no", metadata={"help": "Precision of matrix products; weights stay in float32."}
    )
    dropout: float | None = field(
        default=None, metadata={"help": "Dropout of hidden states and attention; by default the model's own."}
    )
    weight_decay: float = field(default=0.01, metadata={"help": "AdamW's decay of the encoder's matrices."})
    warmup_ratio: float = field(default=0.1, metadata={"help": "Share of the steps to warm up; then linear decay."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Gradients are clipped to this norm."})
    seed: int = field(default=42, metadata={"help": "Seed of the order, dropout and a split-off validation set."})

    def __post_init__(self) -> None:
        at_least = {
            "num_train_epochs": 1,
            "per_device_train_batch_size": 1,
            "per_device_eval_batch_size": 1,
            "gradient_accumulation_steps": 1,
            "learning_rate": 0.0,
            "weight_decay": 0.0,
            "warmup_ratio": 0.0,
            "max_grad_norm": 0.0,
            "seed": 0,
        }
        if self.max_train_steps is not None:
            at_least["max_train_steps"] = 1
        for name, minimum in at_least.items():
            if not getattr(self, name) >= minimum:  # a NaN fails too
                raise InputError(f"--{name} is {getattr(self, name)}; it must be at least {minimum}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise InputError(f"--dropout is {self.dropout}; it must be at least 0 and less than 1")
        if self.warmup_ratio > 1:
            raise InputError(f"--warmup_ratio is {self.warmup_ratio}; it is a share of the steps, at most 1")
