"""Logits that are NaN or infinite end what uses them, with the row that they are of."""

import json
import math

import pytest
import torch
from helpers import write_tiny_model
from safetensors.torch import load_file, save_file

from hf_nli.core.errors import InputError
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.inference.export_check import check_batches, compare
from hf_nli.inference.predictor import predict
from hf_nli.model.load import load_model
from hf_nli.model.score import check_logits, score
from hf_nli.settings.options import RunOptions
from hf_nli.settings.recipe import Recipe
from hf_nli.training.metric import NLIMetric
from hf_nli.training.train import train


@pytest.fixture
def broken(tmp_path):
    """A model of finite weights that can't answer pairs with "cat": its embedding overflows in the norm after it."""
    folder = write_tiny_model(tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    cat = load_model(str(folder))[1].convert_tokens_to_ids("cat")
    weights["bert.embeddings.word_embeddings.weight"][cat] = 3e38 * torch.tensor([1.0, -1.0] * 8)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def write(path, *premises):
    lines = [json.dumps({"premise": each, "hypothesis": "is", "label": "neutral"}) for each in premises]
    path.write_text("\n".join(lines))
    return str(path)


def test_the_row_is_named():
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, math.inf, 0.0], [math.nan, 0.0, 0.0]])
    with pytest.raises(InputError, match="^pairs, row 2: the model's logits are NaN or infinite; sleep$"):
        check_logits(logits, "pairs", "sleep")
    with pytest.raises(InputError, match="^pairs, row 12: the model's logits are NaN or infinite$"):
        check_logits(logits[2:], "pairs", first_row=12)
    check_logits(logits[:1], "pairs")


def test_the_loss_of_finite_logits_is_finite():
    """In float32 the difference of these would be infinite."""
    scores = score(torch.tensor([[3e38, -3e38, 0.0]]), torch.tensor([1]))
    assert scores.loss == pytest.approx(6e38) and scores.accuracy == 0.0
    assert NLIMetric().compute(predictions=[0], references=[1])["accuracy"] == 0.0


def test_predict(broken):
    model, tokenizer = load_model(str(broken))
    pairs = [("a man", "is"), ("a dog", "is"), ("the cat", "is"), ("a", "cat")]
    with pytest.raises(InputError, match=r"the pairs, row 3: the model's logits are NaN or infinite"):
        list(predict(model, tokenizer, pairs, batch_size=2))
    assert len(list(predict(model, tokenizer, pairs[:2]))) == 2


def test_evaluate(broken, tmp_path):
    before = {path.name: path.read_bytes() for path in broken.iterdir()}
    data = write(tmp_path / "data.jsonl", "a man runs", "a dog", "a cat", "the cat")
    with pytest.raises(InputError, match=r"broken on .*data\.jsonl, .*row 3: the model's logits are NaN or infinite$"):
        evaluate(str(broken), data, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
    assert {path.name: path.read_bytes() for path in broken.iterdir()} == before


def test_export_check(model):
    pytest.importorskip("onnxruntime")
    net, tokenizer = load_model(model)
    batches = check_batches(tokenizer, 32)
    with torch.no_grad():
        net.bert.embeddings.LayerNorm.weight.fill_(math.inf)
    with pytest.raises(InputError, match="the built-in pairs, row 1: "):
        compare(net, lambda feed: None, batches)


def test_train_stops_before_it_begins(broken, pairs, tmp_path):
    for on_start, words in (
        (True, r"validation pairs before training, row \d+: the model's logits are NaN"),
        (False, "the training loss is NaN or infinite at step 1, before the weights have changed$"),
    ):
        options = RunOptions(eval_on_start=on_start)
        with pytest.raises(InputError, match=words) as error:
            train(str(broken), pairs, tmp_path / "run", Recipe(max_train_steps=2), pairs, run_options=options)
        assert "learning_rate" not in str(error.value)
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize("settings", [{"learning_rate": 1e30}, {"embedding_lr_multiplier": 1e300}])
@pytest.mark.parametrize("steps", [2, 3, 9])
def test_a_broken_epoch_is_never_the_best(settings, steps, model, pairs, tmp_path):
    recipe = Recipe(max_train_steps=steps, max_grad_norm=0.0, **settings)
    with pytest.raises(InputError, match=r"(step \d+|row \d+).*; lower --learning_rate$"):
        train(model, pairs, tmp_path / "run", recipe, pairs)
    assert not (tmp_path / "run" / "model.safetensors").exists()
