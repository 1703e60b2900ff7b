"""Which models the forward pass is for, and how they get it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DynamoBackend
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    BertForSequenceClassification,
    CamembertForSequenceClassification,
    ElectraForSequenceClassification,
    PreTrainedModel,
    RobertaForSequenceClassification,
    XLMRobertaForSequenceClassification,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from hf_nli.engine.forward import classify
from hf_nli.engine.layout import Flat, Padded, spare_tokens
from hf_nli.settings.options import Forward

logger = logging.getLogger(__name__)

_FAMILIES = (
    BertForSequenceClassification,
    CamembertForSequenceClassification,
    ElectraForSequenceClassification,
    RobertaForSequenceClassification,
    XLMRobertaForSequenceClassification,
)
# What Trainer passes and these models ignore.
_IGNORED = {"num_items_in_batch", "return_dict"}


def recognised(model: nn.Module) -> bool:
    """Tells whether the forward pass computes a model's function.

    Its class has to be one of those whose code was compared with ours, not one that builds on them, and its parts the
    stock ones: no decoder, projections that are linear layers and nothing else, no hooks on what isn't called.

    Args:
        model: Any model, not wrapped.
    """
    if type(model) not in _FAMILIES:
        return False
    config, base = cast(Any, model.config), cast(Any, model.base_model)
    if config.is_decoder or config.chunk_size_feed_forward:
        return False
    not_called: list[nn.Module] = [base, base.encoder]
    for layer in base.encoder.layer:
        attention = layer.attention.self
        projections = [attention.query, attention.key, attention.value]
        if any(type(each) is not nn.Linear for each in projections):
            return False
        not_called += [layer, layer.attention, attention, *projections]
    return not any(each._forward_hooks or each._forward_pre_hooks for each in not_called)


@contextmanager
def fast_forward(model: PreTrainedModel, forward: Forward = "auto") -> Iterator[bool]:
    """Gives a model our forward pass, as long as the block takes.

    Args:
        model: Any model, not wrapped.
        forward: "stock" to leave it alone.

    Yields:
        Whether it has ours.
    """
    chosen = choose_forward(model, forward)
    if chosen is model:
        yield False
        return
    before = vars(model).get("forward")
    model.forward = chosen
    try:
        yield True
    finally:
        del model.forward
        if before:
            model.forward = before


def choose_forward(model: PreTrainedModel, forward: Forward = "auto") -> Callable[..., Any]:
    """Finds what computes a model's function: our forward pass, or the model, which is told once.

    Ours takes what the stock one does, and flat batches besides: `input_ids` and `token_type_ids` (1, tokens) with
    `cu_seq_lens_q` (sequences + 1,), as Transformers' `DataCollatorWithFlattening` names them. Where it is asked for
    what it doesn't compute, as for hidden states, it calls the stock one.

    Args:
        model: Any model, not wrapped.
        forward: "stock" for the stock one.
    """
    if forward == "stock":
        return model
    if not recognised(model):
        _tell_unknown(type(model).__name__)
        return model
    return _make_forward(model)


def flat_batches(accelerator: Accelerator) -> bool:
    """Whether batches are best flat: on a CPU; what compiles, and GPUs, want few shapes."""
    return accelerator.device.type == "cpu" and accelerator.state.dynamo_plugin.backend == DynamoBackend.NO


@functools.cache
def _tell_unknown(name: str) -> None:
    logger.info("%s: our forward pass doesn't know this model, its own one is taken", name)


def _make_forward(model: PreTrainedModel) -> Callable[..., Any]:
    stock = model.forward

    @functools.wraps(stock)
    def forward(
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        cu_seq_lens_q: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        given = {"input_ids": input_ids, "token_type_ids": token_type_ids, "position_ids": position_ids}
        inputs = {name: each for name, each in given.items() if each is not None}
        if cu_seq_lens_q is not None:
            logits = _classify_flat(model, cu_seq_lens_q, inputs)
        elif input_ids is None or not _plain(model, attention_mask, labels, kwargs):
            return stock(attention_mask=attention_mask, inputs_embeds=inputs_embeds, labels=labels, **inputs, **kwargs)
        else:
            mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
            logits = _classify_padded(model, mask.bool(), inputs)
        loss = None if labels is None else F.cross_entropy(logits, labels.view(-1))
        return SequenceClassifierOutput(loss=loss, logits=logits)

    return forward


def _plain(model: PreTrainedModel, mask: Tensor | None, labels: Tensor | None, others: dict[str, Any]) -> bool:
    """Whether logits, and maybe the usual loss, are all that is asked for."""
    config: Any = model.config
    if config.output_hidden_states or config.output_attentions or others.get("return_dict") is False:
        return False
    if any(value is not None and value is not False for name, value in others.items() if name not in _IGNORED):
        return False
    if mask is not None and mask.dim() != 2:
        return False
    if labels is None:
        return True
    single = config.problem_type in (None, "single_label_classification")
    return single and config.num_labels > 1 and not labels.is_floating_point()


def _classify_flat(model: PreTrainedModel, offsets: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    layout = Flat(offsets)
    if "position_ids" not in inputs:
        inputs["position_ids"] = _positions(model, layout, inputs["input_ids"])
    if torch.is_autocast_enabled(offsets.device.type):
        inputs = {name: F.pad(each, (0, spare_tokens(each.shape[1]))) for name, each in inputs.items()}
    return classify(model, layout, **inputs)


def _positions(model: PreTrainedModel, layout: Flat, input_ids: Tensor) -> Tensor:
    """The position ids (1, tokens) that the model gives tokens itself."""
    padding = getattr(model.base_model.embeddings, "padding_idx", None)
    if padding is None:
        return layout.positions()[None]
    # As RoBERTa counts: from padding_idx + 1, leaving out tokens that are <pad>.
    seen = input_ids[0] != padding
    counts = torch.cat([seen.new_zeros(1, dtype=torch.long), seen.cumsum(0)])
    before = counts[layout.offsets[:-1]].repeat_interleave(layout.offsets.diff())
    return ((counts[1:] - before) * seen + padding)[None]


def _classify_padded(model: PreTrainedModel, mask: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    flat = mask.device.type == "cpu" and not torch.compiler.is_compiling() and bool(mask[:, 0].all())
    if not flat:
        return classify(model, Padded(mask), **inputs)
    lengths, order = mask.sum(1).sort(descending=True, stable=True)
    tokens = mask[order].flatten().nonzero()[:, 0]
    if "position_ids" not in inputs:
        embeddings: Any = model.base_model.embeddings
        if (padding := getattr(embeddings, "padding_idx", None)) is not None:
            inputs["position_ids"] = embeddings.create_position_ids_from_input_ids(inputs["input_ids"], padding)
        else:
            inputs["position_ids"] = torch.arange(mask.shape[1])[None]
    inputs = {name: each.expand_as(mask)[order].flatten()[None, tokens] for name, each in inputs.items()}
    logits = classify(model, Flat(F.pad(lengths.cumsum(0), (1, 0))), **inputs)
    return torch.empty_like(logits).index_copy(0, order, logits)
