"""Training the rows of the words that occur gives what training all rows does."""

import copy

import numpy
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from hf_nli.engine.vocabulary import UsedEmbedding, train_rows, whole_state

IDS = numpy.array([0, 3, 4, 9, 17])


@pytest.fixture
def net():
    sizes = {"vocab_size": 20, "hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40, "num_labels": 3}
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(num_hidden_layers=1, **sizes, **no_dropout)).double()


def fit(net, steps=5):
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(steps):
        ids = torch.from_numpy(IDS)[torch.randint(0, len(IDS), (8, 6), generator=generator)]
        labels = torch.randint(0, 3, (8,), generator=generator)
        net.train()(input_ids=ids, labels=labels).loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def test_the_weights_are_the_same(net):
    whole = copy.deepcopy(net)
    train_rows(net, IDS)
    assert net.get_input_embeddings().weight.shape == (5, 24)
    fit(net)
    fit(whole)
    state = whole_state(net, net.state_dict())
    assert state.keys() == whole.state_dict().keys()
    for name, expected in whole.state_dict().items():
        torch.testing.assert_close(state[name], expected, rtol=0, atol=1e-12)


def test_other_words_keep_their_rows_in_evaluation(net):
    everything = torch.arange(20)[None]
    before = net.eval()(input_ids=everything).logits
    train_rows(net, IDS)
    torch.testing.assert_close(net.eval()(input_ids=everything).logits, before, rtol=0, atol=0)
    fit(net)
    merged = copy.deepcopy(net)
    merged.set_input_embeddings(
        nn.Embedding(20, 24, 0, _weight=whole_state(net, net.state_dict())["bert.embeddings.word_embeddings.weight"])
    )
    torch.testing.assert_close(
        net.eval()(input_ids=everything).logits, merged.eval()(input_ids=everything).logits, rtol=0, atol=0
    )


def test_padding_gets_no_gradient(net):
    train_rows(net, IDS)
    net.train()(input_ids=torch.tensor([[3, 4, 0, 0]]), labels=torch.tensor([1])).loss.backward()
    gradient = net.get_input_embeddings().weight.grad
    assert not gradient[0].any() and gradient[1:3].any(1).all() and not gradient[3:].any()


def test_it_moves_as_a_whole(net):
    train_rows(net, IDS)
    embeddings = net.float().get_input_embeddings()
    assert isinstance(embeddings, UsedEmbedding) and embeddings.whole.dtype == embeddings.weight.dtype == torch.float32
    assert embeddings.row_of.dtype == torch.long
    assert net(input_ids=torch.tensor([[3, 5, 4]])).logits.dtype == torch.float32
