"""Saturated attention is found and softened; other attention is left alone."""

import copy
import math

import pytest
import torch
from helpers import tiny_tokenizer
from transformers import AlbertConfig, AlbertForSequenceClassification, BertConfig, BertForSequenceClassification

from hf_nli.training.attention import SATURATED, SOFT, fast_attention, flushed_denormals, soften_attention

PAIRS = [["a man runs.", "the dog sleeps outside"], ["a", "not ."], ["the woman is outside.", "a woman eats"]]


def deviation(model, layer, inputs):
    """From the probabilities that the model itself gives: their logarithms are the logits, but for a constant."""
    model = copy.deepcopy(model).double().eval()
    model.set_attn_implementation("eager")
    attention = model(**inputs, output_attentions=True).attentions[layer]
    rows = []
    for row, mask in enumerate(inputs["attention_mask"].bool()):
        for head in attention[row]:
            logits = head[mask][:, mask].log()
            rows.append(logits.std(1, correction=0).mean())
    weights = inputs["attention_mask"].sum(1).repeat_interleave(attention.shape[1])
    return (torch.stack(rows) @ weights.double() / weights.sum()).item()


def bert():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 3, "intermediate_size": 32}
    config = BertConfig(vocab_size=30, max_position_embeddings=32, attn_implementation="eager", **sizes)
    model = BertForSequenceClassification(config).eval()
    for layer in model.bert.encoder.layer:
        torch.nn.init.normal_(layer.attention.self.query.weight, std=1 / math.sqrt(32))
        torch.nn.init.normal_(layer.attention.self.key.weight, std=1 / math.sqrt(32))
        torch.nn.init.normal_(layer.attention.self.query.bias)
    return model


@pytest.fixture
def inputs():
    return dict(tiny_tokenizer()(*map(list, zip(*PAIRS, strict=True)), padding=True, return_tensors="pt"))


def test_saturated_layers_get_soft(inputs):
    model = bert()
    for index, factor in ((0, 12), (2, 30)):
        model.bert.encoder.layer[index].attention.self.query.weight.data *= factor
        model.bert.encoder.layer[index].attention.self.query.bias.data *= factor
    before = [deviation(model, index, inputs) for index in range(3)]
    assert before[0] > SATURATED > before[1] and before[2] > SATURATED
    kept = copy.deepcopy(model.state_dict())
    model.train()
    factors = soften_attention(model, inputs)
    assert model.training and factors[1] == 1 > factors[0] > 0
    after = [deviation(model, index, inputs) for index in range(3)]
    assert [after[0], after[2]] == pytest.approx([SOFT, SOFT], rel=1e-4)
    for name, tensor in model.state_dict().items():
        factor = factors[int(name.split(".")[3])] if "query" in name else 1.0
        assert torch.equal(tensor, kept[name] * factor), name


def test_layers_that_share_their_weights_are_softened_once(inputs):
    """ALBERT's twelve layers are one."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "embedding_size": 32, "num_attention_heads": 2, "intermediate_size": 32}
    model = AlbertForSequenceClassification(AlbertConfig(vocab_size=30, num_hidden_layers=4, **sizes)).eval()
    attention = model.albert.encoder.albert_layer_groups[0].albert_layers[0].attention
    torch.nn.init.eye_(model.albert.encoder.embedding_hidden_mapping_in.weight)
    torch.nn.init.normal_(attention.query.weight, std=12 / math.sqrt(32))
    torch.nn.init.normal_(attention.key.weight, std=1 / math.sqrt(32))
    before = attention.query.weight.detach().clone()
    (factor,) = soften_attention(model, inputs)
    assert factor < 1 and torch.equal(attention.query.weight, before * factor)
    assert deviation(model, 0, inputs) == pytest.approx(SOFT, rel=1e-4)


@pytest.mark.parametrize("asked, during", [(None, "eager"), ("eager", "eager"), ("flex_attention", "flex_attention")])
def test_what_the_configuration_asks_for_is_kept(asked, during):
    """Only Transformers' own choice is changed, and put back."""
    sizes = {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "intermediate_size": 8}
    model = BertForSequenceClassification(BertConfig(vocab_size=9, attn_implementation=asked, **sizes))
    before = model.config._attn_implementation
    with pytest.raises(ZeroDivisionError), fast_attention(model, torch.device("cpu")):
        assert model.config._attn_implementation == during
        raise ZeroDivisionError
    assert model.config._attn_implementation == before == (asked or "sdpa")
    with fast_attention(model, torch.device("cuda")):
        assert model.config._attn_implementation == before


def test_denormals_are_flushed_for_a_while():
    def product():
        return (torch.full((2,), 1e-40) * 1).tolist()

    with pytest.raises(ZeroDivisionError), flushed_denormals():
        assert product() == [0, 0]
        raise ZeroDivisionError
    assert product()[0] > 0
    torch.set_flush_denormal(True)
    try:
        with flushed_denormals():
            pass
        assert product() == [0, 0]
    finally:
        torch.set_flush_denormal(False)


def test_other_models_are_left_alone(inputs):
    model = bert()
    kept = copy.deepcopy(model.state_dict())
    assert soften_attention(model, inputs) == [1.0, 1.0, 1.0]
    assert all(torch.equal(tensor, kept[name]) for name, tensor in model.state_dict().items())


def test_models_without_such_layers():
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    model = DistilBertForSequenceClassification(DistilBertConfig(vocab_size=30, dim=16, n_heads=2, n_layers=1))
    inputs = {"input_ids": torch.ones(1, 3, dtype=torch.long), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    assert soften_attention(model, inputs) == []
