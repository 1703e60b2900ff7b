"""Our forward pass against the stock one, whose code is Transformers'."""

import copy
import logging
from itertools import product

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    CamembertConfig,
    CamembertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from hf_nli.engine.attach import choose_forward, fast_forward, recognised
from hf_nli.engine.forward import classify
from hf_nli.engine.layout import Padded, spare_tokens

POSITIONS = 24
FAMILIES = {
    "bert": (BertForSequenceClassification, BertConfig, {}),
    "roberta": (RobertaForSequenceClassification, RobertaConfig, {"max_position_embeddings": POSITIONS + 2}),
    "xlm-roberta": (XLMRobertaForSequenceClassification, XLMRobertaConfig, {"max_position_embeddings": POSITIONS + 2}),
    "camembert": (CamembertForSequenceClassification, CamembertConfig, {"max_position_embeddings": POSITIONS + 2}),
    "electra": (ElectraForSequenceClassification, ElectraConfig, {"embedding_size": 16}),
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def make_net(family="bert", layers=2, dtype=torch.float64, **others):
    model_class, config_class, own = FAMILIES[family]
    sizes = {"vocab_size": 50, "hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40, "num_labels": 3}
    settings = {"max_position_embeddings": POSITIONS, "type_vocab_size": 2, "num_hidden_layers": layers} | NO_DROPOUT
    torch.manual_seed(0)
    net = model_class(config_class(**(sizes | settings | own | others))).to(dtype)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net.train()


def make_batch(net, rows=7, width=POSITIONS, seed=1):
    generator = torch.Generator().manual_seed(seed)
    padding = net.config.pad_token_id
    ids = torch.randint(3, 50, (rows, width), generator=generator)
    lengths = torch.randint(min(3, width), width + 1, (rows, 1), generator=generator)
    lengths[0] = width
    mask = torch.arange(width) < lengths
    return {
        "input_ids": ids.where(mask, padding),
        "token_type_ids": torch.randint(0, 2, (rows, width), generator=generator) * mask,
        "attention_mask": mask.long(),
        "labels": torch.randint(0, 3, (rows,), generator=generator),
    }


def outcome(net, batch):
    net.zero_grad()
    outputs = net(**batch)
    outputs.loss.backward()
    return outputs.logits.detach(), {name: each.grad.clone() for name, each in net.named_parameters()}


def both(net, batch):
    """Logits and gradients of the stock forward pass, and of ours."""
    stock = outcome(net, batch)
    with fast_forward(net) as fast:
        assert fast
        ours = outcome(net, batch)
    assert "forward" not in vars(net)
    return stock, ours


def assert_same(stock, ours, tolerance):
    assert (stock[0] - ours[0]).abs().max() <= tolerance * max(1, stock[0].abs().max())
    assert stock[1].keys() == ours[1].keys()
    for name, gradient in stock[1].items():
        assert (gradient - ours[1][name]).abs().max() <= tolerance * max(1, gradient.abs().max()), name


@pytest.mark.parametrize(("family", "layers"), list(product(FAMILIES, (1, 2, 12))))
def test_logits_and_gradients_are_the_stock_ones(family, layers):
    net = make_net(family, layers)
    assert_same(*both(net, make_batch(net)), 1e-12)


@pytest.mark.parametrize("layers", [1, 2, 12])
def test_in_float32_too(layers):
    net = make_net("bert", layers, torch.float32)
    assert_same(*both(net, make_batch(net)), 1e-5)


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (1, 3), (1, POSITIONS), (64, POSITIONS), (64, 5)])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_batches_of_any_size(family, rows, width):
    net = make_net(family)
    assert_same(*both(net, make_batch(net, rows, width)), 1e-12)


def hole(batch):
    batch["attention_mask"][0, 5] = 0
    batch["attention_mask"][0, 9] = 0


def left(batch):
    for name in ("input_ids", "token_type_ids", "attention_mask"):
        batch[name] = batch[name].flip(1)


def nothing(batch):
    del batch["attention_mask"]
    del batch["token_type_ids"]


def booleans(batch):
    batch["attention_mask"] = batch["attention_mask"].bool()


def padding_inside(batch):
    batch["input_ids"][0, 4] = batch["input_ids"].min()


def positions(batch):
    batch["position_ids"] = torch.arange(POSITIONS - 1, -1, -1)[None] % 5 + 2


def positions_of_each(batch):
    positions(batch)
    batch["position_ids"] = batch["position_ids"].expand_as(batch["input_ids"])


@pytest.mark.parametrize("change", [hole, left, nothing, booleans, padding_inside, positions, positions_of_each])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_masks_and_positions_of_any_kind(family, change):
    net = make_net(family)
    batch = make_batch(net)
    change(batch)
    assert_same(*both(net, batch), 1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_flat_batches(family):
    """One after the other, in any order of lengths, they give what they give padded."""
    net = make_net(family)
    batch = make_batch(net)
    labels, mask = batch.pop("labels"), batch["attention_mask"].bool()
    expected = net(**batch).logits
    flat = {name: batch[name][mask][None] for name in ("input_ids", "token_type_ids")}
    offsets = nn.functional.pad(mask.sum(1).cumsum(0), (1, 0))
    with fast_forward(net):
        outputs = net(**flat, cu_seq_lens_q=offsets, labels=labels)
    torch.testing.assert_close(outputs.logits, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(outputs.loss, nn.functional.cross_entropy(expected, labels), rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_padded_batches(family):
    """What compiled models and GPUs take."""
    net = make_net(family)
    batch = make_batch(net)
    del batch["labels"]
    mask = batch.pop("attention_mask").bool()
    expected = net(**batch, attention_mask=mask.long()).logits
    torch.testing.assert_close(classify(net, Padded(mask), **batch), expected, rtol=0, atol=1e-12)


def test_saturated_attention():
    """Logits of attention in the hundreds, as d2l's checkpoints have them."""
    net = make_net("bert", 2, torch.float32)
    with torch.no_grad():
        net.bert.embeddings.LayerNorm.weight.mul_(30)
    stock, ours = both(net, make_batch(net))
    exact = outcome(copy.deepcopy(net).double(), make_batch(net))
    assert (ours[0] - exact[0]).abs().max() <= 10 * (stock[0] - exact[0]).abs().max() + 1e-5


def test_gradient_checkpointing():
    net = make_net("bert", 3)
    expected, _ = both(net, make_batch(net))
    net.gradient_checkpointing_enable({"use_reentrant": False})
    calls = []
    intermediate = net.bert.encoder.layer[0].intermediate
    compute = intermediate.forward
    intermediate.forward = lambda hidden: calls.append(None) or compute(hidden)
    with fast_forward(net) as fast:
        assert fast
        assert_same(expected, outcome(net, make_batch(net)), 1e-12)
    assert len(calls) == 2  # forwards, and again going backwards


def test_dropout_has_the_stock_distribution():
    """Mean and variance of the logits over many draws; in evaluation there is none."""
    net = make_net("bert", 2, hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)
    batch = make_batch(net, rows=1, width=6)
    many = {name: each.repeat(20_000, *[1] * (each.dim() - 1)) for name, each in batch.items()}
    with torch.no_grad():
        stock = net(**many).logits
        with fast_forward(net):
            ours = net(**many).logits
            evaluated = net.eval()(**batch).logits
        torch.testing.assert_close(evaluated, net(**batch).logits, rtol=0, atol=1e-12)
    deviation = stock.std(0)
    assert ((stock.mean(0) - ours.mean(0)).abs() < 5 * deviation * (2 / 20_000) ** 0.5).all()
    assert ((ours.std(0) / deviation - 1).abs() < 0.05).all()
    assert not torch.equal(ours[0], ours[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16(family):
    """Logits and gradients as near to float64's as those of the stock forward pass, with some tokens to spare."""
    net = make_net(family, 2, torch.float32)
    batch = make_batch(net, rows=64)
    assert spare_tokens(int(batch["attention_mask"].sum()))
    exact = outcome(copy.deepcopy(net).double(), batch)
    with torch.autocast("cpu", torch.bfloat16):
        stock, ours = both(net, batch)
    error, theirs = ((each[0] - exact[0]).square().mean().sqrt() for each in (ours, stock))
    assert 0 < error < 1.5 * theirs
    errors, those = (
        torch.cat([(gradient - exact[1][name]).flatten() for name, gradient in each[1].items()]).norm()
        for each in (ours, stock)
    )
    assert 0 < errors < 1.5 * those


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_to_spare_are_nobodys(family):
    """Not even their embeddings get a gradient, and what they are changes nothing."""
    net = make_net(family)
    batch = make_batch(net)
    mask = batch["attention_mask"].bool()
    flat = {name: batch[name][mask][None] for name in ("input_ids", "token_type_ids")}
    flat["position_ids"] = torch.arange(int(mask.sum()))[None] % 20
    flat["cu_seq_lens_q"] = nn.functional.pad(mask.sum(1).cumsum(0), (1, 0))
    longer = {name: nn.functional.pad(each, (0, 5), value=1) for name, each in flat.items() if name != "cu_seq_lens_q"}
    with fast_forward(net):
        expected = outcome(net, flat | {"labels": batch["labels"]})
        given = outcome(net, flat | longer | {"labels": batch["labels"]})
    assert_same(expected, given, 1e-12)


def test_few_tokens_to_spare():
    totals = {tokens + spare_tokens(tokens) for tokens in range(1, 2**15 + 1)}
    assert len(totals) < 8 * 15
    assert all(0 <= spare_tokens(tokens) <= tokens / 8 for tokens in range(1, 2**15 + 1))


def test_compiled():
    net = make_net("bert", 2)
    batch = make_batch(net)
    expected = outcome(net, batch)
    with fast_forward(net):
        compiled = torch.compile(net, backend="aot_eager", dynamic=True)
        for rows in (7, 3):
            logits = compiled(**{name: each[:rows] for name, each in batch.items()}).logits
            torch.testing.assert_close(logits, expected[0][:rows], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "others",
    [{"output_hidden_states": True}, {"output_attentions": True}, {"return_dict": False}],
    ids=lambda each: next(iter(each)),
)
def test_what_it_does_not_compute_is_the_stock_ones(others):
    net = make_net("bert")
    net.set_attn_implementation("eager")
    batch = make_batch(net)
    expected = net(**batch, **others)
    with fast_forward(net):
        outputs = net(**batch, **others)
    assert type(outputs) is type(expected) and len(outputs) == len(expected)


def test_embeddings_instead_of_ids():
    net = make_net("bert")
    batch = make_batch(net)
    embeds = net.bert.embeddings.word_embeddings(batch.pop("input_ids"))
    expected = net(**batch, inputs_embeds=embeds).logits
    with fast_forward(net):
        assert torch.equal(net(**batch, inputs_embeds=embeds).logits, expected)


@pytest.mark.parametrize("problem", ["regression", "multi_label_classification"])
def test_other_losses_are_the_stock_ones(problem):
    net = make_net("bert", problem_type=problem)
    batch = make_batch(net)
    batch["labels"] = nn.functional.one_hot(batch["labels"], 3).double()
    expected = net(**batch).loss
    with fast_forward(net):
        torch.testing.assert_close(net(**batch).loss, expected)


class OwnBert(BertForSequenceClassification):
    """A class that builds on a known one may compute anything."""


class OwnLinear(nn.Linear):
    """As LoRA or quantization put them in place of the stock ones."""


def own_class(net):
    return OwnBert(net.config)


def own_linear(net):
    net.bert.encoder.layer[0].attention.self.key = OwnLinear(24, 24)
    return net


def with_hook(net):
    net.bert.encoder.layer[1].register_forward_hook(lambda *_: None)
    return net


def decoder(net):
    return BertForSequenceClassification(BertConfig(**net.config.to_dict() | {"is_decoder": True}))


def other_kind(net):
    sizes = {"vocab_size": 50, "dim": 24, "n_heads": 3, "n_layers": 1, "hidden_dim": 40, "num_labels": 3}
    return DistilBertForSequenceClassification(DistilBertConfig(**sizes))


@pytest.mark.parametrize("change", [own_class, own_linear, with_hook, decoder, other_kind])
def test_models_that_it_does_not_know_keep_their_own(change, caplog):
    net = change(make_net("bert", dtype=torch.float32))
    assert not recognised(net)
    with caplog.at_level(logging.INFO), fast_forward(net) as fast, fast_forward(net):
        assert not fast and "forward" not in vars(net)
    assert choose_forward(net) is net
    assert len([record for record in caplog.records if "forward pass" in record.message]) <= 1


def test_stock_is_left_alone():
    net = make_net("bert")
    with fast_forward(net, "stock") as fast:
        assert not fast and "forward" not in vars(net)


def test_it_is_taken_off_when_something_fails():
    net = make_net("bert")
    with pytest.raises(ZeroDivisionError), fast_forward(net), fast_forward(net):
        raise ZeroDivisionError
    assert "forward" not in vars(net)


def test_nothing_is_saved_differently(tmp_path):
    net = make_net("bert", dtype=torch.float32)
    net.save_pretrained(tmp_path / "stock")
    with fast_forward(net):
        net.save_pretrained(tmp_path / "ours")
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "stock" / file).read_bytes() == (tmp_path / "ours" / file).read_bytes()
