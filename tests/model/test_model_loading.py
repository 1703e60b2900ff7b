"""Which models keep their head, which get a new one, and which are refused."""

import json

import pytest
import torch
from helpers import tiny_tokenizer, write_tiny_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

from hf_nli.core.errors import InputError
from hf_nli.model.load import load_model

OURS = {0: "entailment", 1: "neutral", 2: "contradiction"}
OTHER_TASKS = {
    "two labels": ["LABEL_0", "LABEL_1"],
    "five labels": ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"],
    "no names": ["LABEL_0", "LABEL_1", "LABEL_2"],
    "three of another task": ["negative", "neutral", "positive"],
}
SPELLINGS = [
    ["ENTAILMENT", "NEUTRAL", "CONTRADICTION"],
    ["Contradiction", "Entailment", "Neutral"],
    ["contradictory", "neutral", "entails"],
]


def write_model(folder, names, **config):
    """A tiny model whose head is unlike any new one: all sevens."""
    write_tiny_model(folder, id2label=dict(enumerate(names)), label2id=None, **config)
    weights = load_file(folder / "model.safetensors")
    weights |= {name: torch.full_like(weights[name], 7) for name in ("classifier.weight", "classifier.bias")}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return weights


@pytest.mark.parametrize("names", OTHER_TASKS.values(), ids=OTHER_TASKS)
def test_other_labels_get_a_new_head(names, tmp_path, caplog):
    old = write_model(tmp_path, names, problem_type="multi_label_classification")
    random = torch.get_rng_state()
    model, again, other = (load_model(str(tmp_path), new_head=True, seed=seed)[0] for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), random)
    new, same, different = (each.state_dict() for each in (model, again, other))
    for name in old.keys() - {"classifier.weight", "classifier.bias"}:
        assert torch.equal(new[name], old[name])
    assert new["classifier.weight"].shape == (3, 16) and new["classifier.weight"].dtype == torch.float32
    # BERT's: a normal distribution of deviation `initializer_range`, 0.2 here, and no bias
    assert new["classifier.weight"].std().item() == pytest.approx(0.2, rel=0.4)
    assert torch.equal(new["classifier.bias"], torch.zeros(3))
    assert torch.equal(new["classifier.weight"], same["classifier.weight"])
    assert not torch.equal(new["classifier.weight"], different["classifier.weight"])
    assert model.config.id2label == OURS and model.config.problem_type == "single_label_classification"
    assert [record.message for record in caplog.records if record.name == "hf_nli.model.load"] == [
        f"{tmp_path} gets a new head for entailment, neutral, contradiction (seed {seed}): its labels are "
        + ", ".join(names)
        for seed in (5, 5, 6)
    ]


@pytest.mark.parametrize("names", SPELLINGS, ids=" ".join)
def test_nli_labels_keep_their_head(names, tmp_path, caplog):
    old = write_model(tmp_path, names)
    model = load_model(str(tmp_path), new_head=True)[0]
    assert all(torch.equal(weight, old[name]) for name, weight in model.state_dict().items())
    assert list(model.config.id2label.values()) == names and not caplog.records


@pytest.mark.parametrize("names", OTHER_TASKS.values(), ids=OTHER_TASKS)
def test_other_labels_are_refused_where_nothing_is_trained(names, tmp_path):
    write_model(tmp_path, names)
    message = f"its {len(names)} labels are {', '.join(names)}; needs entailment, neutral, contradiction; or entail"
    with pytest.raises(InputError, match=message):
        load_model(str(tmp_path))


@pytest.mark.parametrize("architecture", [BertModel, BertForMaskedLM])  # with and without a pooler
def test_a_model_without_a_head_can_be_trained_only(architecture, tmp_path, caplog):
    write_tiny_model(tmp_path)
    net = architecture(BertConfig.from_pretrained(tmp_path))
    net.save_pretrained(tmp_path)
    old = load_file(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"lacks .*classifier\.bias|lacks bert\.pooler"):
        load_model(str(tmp_path))
    new, same = (load_model(str(tmp_path), new_head=True, seed=3)[0].state_dict() for _ in range(2))
    assert all(torch.equal(new[name], same[name]) for name in new)
    encoder = [name for name in old if name.removeprefix("bert.").startswith(("embeddings", "encoder"))]
    assert encoder and all(torch.equal(new[f"bert.{name.removeprefix('bert.')}"], old[name]) for name in encoder)
    assert "it has none" in caplog.text


def test_all_layers_of_a_head_are_new(tmp_path):
    """DistilBERT's has two."""
    tokenizer = tiny_tokenizer()
    sizes = {"dim": 16, "n_heads": 2, "n_layers": 1, "hidden_dim": 32, "max_position_embeddings": 32}
    config = DistilBertConfig(vocab_size=len(tokenizer), num_labels=3, **sizes)
    old = DistilBertForSequenceClassification(config)
    old.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    new = load_model(str(tmp_path), new_head=True)[0].state_dict()
    changed = {name for name, weight in old.state_dict().items() if not torch.equal(weight, new[name])}
    assert changed == {"pre_classifier.weight", "classifier.weight"}  # biases are zeros before and after


@pytest.mark.parametrize("new_head", [False, True])
def test_weights_under_other_names_are_refused(new_head, tmp_path):
    """As of a compiled model: Transformers would take random ones in their place."""
    weights = write_model(tmp_path, OURS.values())
    renamed = {f"_orig_mod.{name}": weight for name, weight in weights.items()}
    save_file(renamed, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"its file of weights lacks bert\.\S+ and \d+ others"):
        load_model(str(tmp_path), new_head)


def change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGE = {
    "cut weights": lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 100),
    "other shape": lambda folder: change_json(folder / "config.json", vocab_size=7),
    "labels that are a list": lambda folder: change_json(folder / "config.json", id2label=["a", "b"]),
    "size that is a word": lambda folder: change_json(folder / "config.json", hidden_size="wide"),
    "unknown kind": lambda folder: change_json(folder / "config.json", model_type="perceptron"),
    "code of its own": lambda folder: change_json(
        folder / "config.json", model_type="mine", auto_map={"AutoConfig": "mine.Config"}
    ),
    "tokenizer of another version": lambda folder: change_json(folder / "tokenizer.json", model={"type": "WordLevel"}),
    "no tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_folder_is_told_in_a_line(damage, tmp_path):
    write_tiny_model(tmp_path)
    damage(tmp_path)
    with pytest.raises(InputError) as error:
        load_model(str(tmp_path))
    assert str(error.value).startswith(f"{tmp_path}: ") and "\n" not in str(error.value)


def test_what_is_no_fault_of_the_folder_is_not_called_one(model, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr(AutoConfig, "from_pretrained", exhausted)
    with pytest.raises(MemoryError):
        load_model(model)


def test_what_was_loaded_is_what_transformers_loads(model):
    ours, stock = load_model(model)[0], AutoModelForSequenceClassification.from_pretrained(model)
    assert not ours.training and type(ours) is type(stock)
    assert all(torch.equal(weight, stock.state_dict()[name]) for name, weight in ours.state_dict().items())
