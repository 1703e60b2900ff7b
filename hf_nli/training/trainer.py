"""The same recipe as a `transformers.Trainer`."""

from __future__ import annotations

import copy
import shutil
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy
import torch
from accelerate.utils import set_seed
from datasets import Dataset
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.trainer_utils import TrainOutput

from hf_nli.core.environment import accelerate_starts
from hf_nli.core.errors import InputError
from hf_nli.core.labels import LABEL_SETS, TWO_WAY_LABELS, label_order, model_labels
from hf_nli.data.load import chunks
from hf_nli.data.loader import NOT_COUNTED, StepSampler, part_loader
from hf_nli.data.rows import two_way_pairs
from hf_nli.data.table import TokenTable
from hf_nli.engine.attach import fast_forward
from hf_nli.model.folder import model_folder
from hf_nli.model.load import input_length, load_model
from hf_nli.model.score import check_logits
from hf_nli.model.weights import broken_weight
from hf_nli.text.encoding import encode
from hf_nli.text.tokenizer import save_tokenizer
from hf_nli.training.arguments import NLITrainingArguments
from hf_nli.training.attention import EXAMPLES, fast_attention, flushed_denormals, soften_attention
from hf_nli.training.metric import NLIMetric
from hf_nli.training.optimization import embedding_rate, parameter_groups


def make_trainer(
    model_name_or_path: str,
    train_pairs: Dataset,
    validation_pairs: Dataset,
    arguments: NLITrainingArguments,
    revision: str | None = None,
    **options: Any,
) -> NLITrainer:
    """Builds a `transformers.Trainer` that takes the steps of the Accelerate loop.

    Args:
        model_name_or_path: A model folder or Hub id.
        train_pairs: Rows of premise, hypothesis, label, as `data.load_nli` gives them.
        validation_pairs: Such rows.
        arguments: The settings; `NLITrainingArguments.from_recipe` makes them of a recipe.
        revision: The branch, tag or commit of a model on the Hub.
        options: Anything else that Trainer takes (callbacks, …).

    Returns:
        The Trainer. Labels of its data sets, and so of its predictions, are the model's (`model.config.id2label`).

    Raises:
        InputError: If the model can't be loaded, or a row has no label of ours.
    """
    labels = LABEL_SETS[arguments.labels]
    train_pairs, validation_pairs = (
        _labelled(name, pairs, labels)
        for name, pairs in (("train_pairs", train_pairs), ("validation_pairs", validation_pairs))
    )
    model, tokenizer = load_base(model_name_or_path, arguments, revision)
    return make_trainer_of(model, tokenizer, train_pairs, validation_pairs, arguments, **options)


def load_base(
    model_name_or_path: str, arguments: NLITrainingArguments, revision: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads the model and the tokenizer that `make_trainer` starts from.

    Args:
        model_name_or_path: A model folder or Hub id.
        arguments: The settings.
        revision: The branch, tag or commit of a model on the Hub.

    Raises:
        InputError: If the model can't be loaded.
    """
    return load_model(
        model_name_or_path,
        new_head=True,
        dropout=arguments.dropout,
        seed=arguments.seed,
        revision=revision,
        labels=LABEL_SETS[arguments.labels],
    )


def make_trainer_of(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_pairs: Dataset,
    validation_pairs: Dataset,
    arguments: NLITrainingArguments,
    **options: Any,
) -> NLITrainer:
    """Is `make_trainer` for what `load_base` has loaded.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        train_pairs: Rows of premise, hypothesis, label, with the model's labels.
        validation_pairs: Such rows.
        arguments: The settings.
        options: Anything else that Trainer takes.
    """
    order = label_order(model.config)
    length = input_length(model.config, tokenizer, arguments.max_seq_length)
    train_data, validation_data = (
        _model_labels(encode(pairs, tokenizer, length, arguments.truncation), order)
        for pairs in (train_pairs, validation_pairs)
    )
    if arguments.soften_attention:
        soften_attention(model, TokenTable.open(train_data, tokenizer).first(EXAMPLES))
    return NLITrainer(
        model_init=lambda: copy.deepcopy(model),  # Trainer asks for it more than once
        args=arguments,
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=train_data,
        eval_dataset=validation_data,
        processing_class=tokenizer,
        compute_loss_func=partial(_loss, arguments.loss_reduction),
        compute_metrics=partial(_metrics, order, model_labels(model.config)),
        **options,
    )


def _labelled(name: str, pairs: Dataset, labels: tuple[str, ...]) -> Dataset:
    """Merges the labels of three-way data where two are wanted; raises `InputError` if a row's label isn't an id."""
    if labels == TWO_WAY_LABELS:
        pairs = two_way_pairs(pairs)
    declared = getattr(pairs.features["label"], "names", list(labels))
    if declared != list(labels):
        raise InputError(f"{name}: its labels are {', '.join(declared)}, not {', '.join(labels)}; load it by load_nli")
    ids = [str(index) for index in range(len(labels))]
    found = chain.from_iterable(part.to_pylist() for part in chunks(pairs, "label"))
    for row, label in enumerate(found, 1):
        if label not in range(len(labels)):
            raise InputError(
                f"{name}, row {row}: the label is {label!r}, not {', '.join(ids[:-1])} or {ids[-1]}; load_nli leaves "
                "out rows without a gold label"
            )
    return pairs


def _model_labels(encoded: Dataset, order: list[int]) -> Dataset:
    """Encoded rows with the model's label ids, where they aren't ours."""
    if order == sorted(order):
        return encoded
    return encoded.map(lambda label: {"labels": order[label]}, input_columns="labels")


class NLITrainer(Trainer):
    """Trainer with the batches, the loss and the parameter groups of the Accelerate loop; `make_trainer` builds it."""

    args: NLITrainingArguments

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_callback(ProcessSeed)
        self.add_callback(FastForward)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """What the data were encoded with."""
        return cast(PreTrainedTokenizerBase, self.processing_class)

    def create_accelerator_and_postprocess(self) -> None:
        """Makes the Accelerator; what it can't take of the environment is told as that."""
        with accelerate_starts():
            super().create_accelerator_and_postprocess()

    def get_train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Returns the training batches, in an order that depends on the seed and the epoch alone."""
        arguments, table = self.args, TokenTable.open(cast(Dataset, self.train_dataset), self.tokenizer)
        sampler = StepSampler(
            table.lengths,
            arguments.train_batch_size,
            arguments.world_size,
            arguments.gradient_accumulation_steps,
            arguments.seed,
            arguments.group_by_length,
        )
        loader = part_loader(table, sampler, arguments.dataloader_num_workers, arguments.dataloader_pin_memory)
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model: PreTrainedModel | None = None) -> torch.optim.Optimizer:
        """Makes the optimizer, with the embeddings' own learning rate."""
        if self.optimizer is None:
            model = model or cast(PreTrainedModel, self.model)
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, model)
            rate = embedding_rate(model, self.args.learning_rate, self.args.embedding_lr_multiplier)
            self.optimizer = kind(parameter_groups(model, self.args.weight_decay, rate), **options)
        return self.optimizer

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Trains as Trainer does, but not over another run's checkpoints or model.

        Raises:
            InputError: If `output_dir` holds a model or checkpoints that aren't this Trainer's, nor those of the run
                that goes on, unless `overwrite_output_dir` is set; then its checkpoints are deleted now, and its model
                when `save_model` replaces it.
        """
        if not self.state.global_step and not self.args.goes_on(resume_from_checkpoint) and self.args.should_save:
            for old in self.args.folder.glob("checkpoint-*"):
                shutil.rmtree(old)
        with flushed_denormals():
            return super().train(resume_from_checkpoint, trial, ignore_keys_for_eval)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves a whole model folder, from which other models' files are gone, and the tokenizer in portable form.

        Args:
            output_dir: The folder; the arguments' `output_dir` if None, in which this run's checkpoints stay.

        Raises:
            InputError: If it holds a model of another run, and `overwrite_output_dir` isn't set, or if a weight is
                NaN or infinite.
        """
        target = Path(output_dir or self.args.folder)
        if not self.args.should_save or (_internal_call and output_dir):  # the latter is a checkpoint
            super().save_model(str(target), _internal_call)
            if self.args.should_save:
                save_tokenizer(self.tokenizer, target)
            return
        if name := broken_weight(cast(PreTrainedModel, self.model)):
            raise InputError(f"the weights are NaN or infinite ({name}): nothing is saved; lower --learning_rate")
        ours = self.state.global_step > 0 and target.resolve() == self.args.folder.resolve()
        kept = ("checkpoint-*",) if ours else ()
        with model_folder(target, ours or self.args.overwrite_output_dir, kept) as folder:
            super().save_model(str(folder), _internal_call)
            save_tokenizer(self.tokenizer, folder)


class ProcessSeed(TrainerCallback):
    """Seeds each process in its own way once the model is there: else all would drop the same hidden states."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Is called before Trainer restores the random numbers of a checkpoint."""
        set_seed(args.seed, device_specific=True)


class FastForward(TrainerCallback):
    """Computes models in the way that is fast in training, as long as Trainer trains."""

    def __init__(self) -> None:
        self.contexts = ExitStack()

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **others: Any,
    ) -> None:
        """Is called with the model that is about to be trained."""
        assert model is not None and isinstance(args, NLITrainingArguments)
        # What copies a model to several GPUs, or shards it, needs the stock forward pass.
        forward = "stock" if args.n_gpu > 1 or args.fsdp or args.deepspeed else args.forward
        self.contexts.enter_context(fast_attention(model, args.device))
        self.contexts.enter_context(fast_forward(model, forward))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Puts back what the model had."""
        self.contexts.close()


def _loss(
    reduction: str, outputs: SequenceClassifierOutput, labels: Tensor, num_items_in_batch: Tensor | int
) -> Tensor:
    """The loss of a part of a step (or of a batch of validation, whose loss is a mean in any case)."""
    logits = cast(Tensor, outputs.logits).float()
    total = nn.functional.cross_entropy(logits, labels, reduction="sum", ignore_index=NOT_COUNTED)
    return total if reduction == "sum" and torch.is_grad_enabled() else total / num_items_in_batch


def _metrics(order: list[int], labels: tuple[str, ...], prediction: EvalPrediction) -> dict[str, float]:
    logits = numpy.asarray(prediction.predictions)[:, order]
    # An epoch of NaN is never the best.
    check_logits(torch.from_numpy(logits), "validation pairs", "lower --learning_rate")
    predictions = logits.argmax(-1)
    references = numpy.argsort(order)[numpy.asarray(prediction.label_ids)]
    scores = NLIMetric(labels).compute(predictions=predictions, references=references)
    return {"accuracy": scores["accuracy"]} | {f"f1_{label}": scores["per_label"][label]["f1"] for label in labels}
