"""One temperature: the best one, in the last layer of any classifier, and refused where there is none."""

import numpy
import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from helpers import tiny_tokenizer
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from transformers import (
    BartConfig,
    BartForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMConfig,
    XLMForSequenceClassification,
)

from hf_nli.core.errors import InputError
from hf_nli.core.labels import ID2LABEL, LABEL2ID
from hf_nli.data.table import TokenTable
from hf_nli.evaluation.temperature import divide, fit_temperature, last_layer, scale

USUAL = {"vocab_size": 19, "num_labels": 3, "pad_token_id": 2}
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16} | USUAL
GPT = {"n_embd": 16, "n_layer": 1, "n_head": 2}
BART = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
BART |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "eos_token_id": 3}
MODELS = {
    "classifier": (BertForSequenceClassification, BertConfig(**SMALL)),
    "classifier.out_proj": (RobertaForSequenceClassification, RobertaConfig(**SMALL)),
    "classifier.out_proj (ELECTRA)": (ElectraForSequenceClassification, ElectraConfig(embedding_size=8, **SMALL)),
    "classifier (DistilBERT)": (
        DistilBertForSequenceClassification,
        DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=16, **USUAL),
    ),
    "classifier (DeBERTa)": (DebertaV2ForSequenceClassification, DebertaV2Config(**SMALL)),
    "score": (GPT2ForSequenceClassification, GPT2Config(**GPT, **USUAL)),
    "classification_head.out_proj": (BartForSequenceClassification, BartConfig(**BART, **USUAL)),
}


def made_up(scale, examples=300, seed=0):
    """Logits, and labels that are drawn with the probabilities of these logits divided by `scale`."""
    generator = numpy.random.default_rng(seed)
    logits = generator.normal(size=(examples, 3)) * 2
    probabilities = numpy.exp(log_softmax(logits, 1))
    references = [generator.choice(3, p=each) for each in probabilities]
    return torch.tensor(logits * scale, dtype=torch.float32), torch.tensor(references)


@pytest.mark.parametrize("factor", [1e-3, 0.3, 1, 5, 1e3])
def test_the_temperature_is_the_best_one(factor):
    """Against scipy's search over the same loss, whatever the size of the logits."""
    logits, references = made_up(factor)

    def loss(exponent):
        rows = log_softmax(logits.double().numpy() / numpy.exp(exponent), 1)
        return -rows[numpy.arange(len(rows)), references.numpy()].mean()

    around = numpy.log(factor)
    best = minimize_scalar(loss, bounds=(around - 3, around + 3), method="bounded", options={"xatol": 1e-9}).x
    assert fit_temperature(logits, references) == pytest.approx(numpy.exp(best), rel=1e-6)
    assert 0.7 < fit_temperature(logits, references) / factor < 1.4  # what the labels were drawn with


def test_a_temperature_worked_by_hand():
    """Three of four times right with two labels apart by 1: the probability is 3/4 at log 3."""
    logits = torch.tensor([[1.0, 0.0]] * 4)
    assert fit_temperature(logits, torch.tensor([0, 0, 0, 1])) == pytest.approx(1 / numpy.log(3))


@pytest.mark.parametrize(
    "logits, references, words",
    [
        ([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]], [0, 1], "all 2 answers to fit it on are right"),
        ([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]], [2, 0], "the gold labels are no more probable than others"),
        ([[1.0, 1.0, 1.0], [0.0, 3.0, 0.0]], [0, 0], "the gold labels are no more probable than others"),
        ([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [0, 0], "all 2 answers to fit it on are right"),
    ],
)
def test_where_none_is_the_best(logits, references, words):
    with pytest.raises(InputError, match=f"^m on d: no temperature fits: {words}"):
        fit_temperature(torch.tensor(logits), torch.tensor(references), "m on d")


def built(kind, config):
    torch.manual_seed(0)
    model = kind(config).eval()
    for parameter in model.parameters():
        if parameter.dim() < 2:
            torch.nn.init.normal_(parameter, std=0.3)  # biases aren't 0 in a model that learned something
    return model


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("temperature", [0.37, 1.9])
def test_the_last_layer_of_any_classifier(name, temperature):
    model = built(*MODELS[name])
    ids = torch.tensor([[0, 5, 6, 3, 7, 3], [0, 9, 3, 8, 10, 3]])
    with torch.no_grad():
        before = model(ids).logits.double()
        place, layer = last_layer(model)
        divide(layer, temperature)
        after = model(ids).logits.double()
    assert place == name.partition(" ")[0]
    torch.testing.assert_close(after, before / temperature, atol=1e-6, rtol=1e-6)
    assert after.std() > 0.001


def scaled(model):
    """Scales a model of which three of four answers are right."""
    rows = [[0, 5 + i % 13, 3, 5 + i * 7 % 13, 3] for i in range(80)]
    with torch.no_grad():
        answers = model(torch.tensor(rows)).logits.argmax(-1).tolist()
    labels = [(answer + (i % 4 == 0)) % 3 for i, answer in enumerate(answers)]
    table = TokenTable.open(Dataset.from_dict({"input_ids": rows, "labels": labels}), tiny_tokenizer())
    model.config.id2label, model.config.label2id = ID2LABEL, LABEL2ID
    return scale(Accelerator(), model, table, 8, 0, "auto", "m on d")


def test_a_model_whose_last_layer_is_not_the_end_is_refused():
    """XLM may have an activation after it."""
    config = XLMConfig(emb_dim=16, n_layers=1, n_heads=2, n_langs=1, summary_activation="tanh", **USUAL)
    model = built(XLMForSequenceClassification, config)
    words = "^m on d: can't be calibrated: sequence_summary.summary, the last linear layer of this xlm, isn't what"
    with pytest.raises(InputError, match=words):
        scaled(model)


def test_a_model_without_such_a_layer_is_refused():
    model = built(*MODELS["classifier"])
    model.classifier = torch.nn.Sequential(torch.nn.Unflatten(-1, (1, 16)), torch.nn.AdaptiveAvgPool1d(3))
    model.classifier.append(torch.nn.Flatten())
    words = "^m on d: can't be calibrated: the head of this bert has no linear layer with 3 outputs"
    with pytest.raises(InputError, match=words):
        scaled(model)


def test_what_is_reported(model):
    """Of the half that the temperature wasn't fitted on, the loss falls to that of other logits by this number."""
    net = built(*MODELS["classifier"])
    divide(net.classifier, 0.02)  # too sure of itself
    found = scaled(net)
    assert (found.fitted_pairs, found.held_out_pairs, found.changed_labels) == (40, 40, 0)
    assert found.temperature > 2 and found.max_abs_difference < 1e-5
    assert found.after["loss"] < found.before["loss"] and found.after["brier_score"] < found.before["brier_score"]
    assert found.after["expected_calibration_error"] < found.before["expected_calibration_error"]
