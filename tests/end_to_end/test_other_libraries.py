"""Where people already are: a converted model in Transformers, sentence-transformers, PEFT and onnxruntime.

Expected values are worked out from the logits of one pair at a time, which `tests/d2l` compares with d2l's own.
"""

import json
import subprocess
import sys

import pytest
import torch
from datasets import Dataset
from helpers import SPECIAL_TOKENS, WORDS, d2l_model, write_checkpoint, write_pairs
from peft import LoraConfig, TaskType, get_peft_model
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
from transformers.pipelines.pt_utils import KeyPairDataset

from hf_nli import convert, export

HIDDENS, MAX_LEN = 32, 64
PAIRS = [
    ("A man sleeps outside.", "The man is not outside."),
    ("The woman runs, the dog runs.", "A dog eats."),
    ("A cat.", "A dog."),
    ("The dog is outside", "not a cat"),
]
ASKED = [{"text": premise, "text_pair": hypothesis} for premise, hypothesis in PAIRS]
LABELS = ["entailment", "neutral", "contradiction"]


@pytest.fixture(scope="module")
def folder(d2l, tmp_path_factory) -> str:
    """A d2l net, converted."""
    place = tmp_path_factory.mktemp("other_libraries")
    sizes = {"num_hiddens": HIDDENS, "ffn_num_hiddens": 48, "num_heads": 4, "num_blks": 2, "max_len": MAX_LEN}
    state = d2l_model(d2l, vocab_size=len(SPECIAL_TOKENS + WORDS), **sizes).state_dict()
    checkpoint = write_checkpoint(place / "d2l", state, SPECIAL_TOKENS + WORDS)
    convert(str(checkpoint), place / "model", num_heads=4)
    model, tokenizer = (
        kind.from_pretrained(place / "model") for kind in (AutoModelForSequenceClassification, AutoTokenizer)
    )
    with torch.no_grad():  # a head that tells pairs apart
        model.classifier.weight[:, :HIDDENS] = 3 * torch.randn(3, HIDDENS)
        model.classifier.bias -= logits_of(model.eval(), tokenizer).mean(0)
    model.save_pretrained(place / "model")
    return str(place / "model")


@pytest.fixture
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def net(folder):
    return AutoModelForSequenceClassification.from_pretrained(folder).eval()


@torch.no_grad()
def logits_of(net, tokenizer, pairs=PAIRS) -> torch.Tensor:
    """Each pair alone, so that nothing is padded."""
    return torch.cat([net(**tokenizer(*pair, return_tensors="pt")).logits for pair in pairs])


@pytest.fixture
def logits(net, tokenizer) -> torch.Tensor:
    found = logits_of(net, tokenizer)
    assert len(set(found.argmax(1).tolist())) > 1  # else labels would prove little
    return found


def test_classification_of_one_pair_and_of_several(folder, logits):
    classify = pipeline("text-classification", folder)
    scores, best = logits.softmax(1).max(1)
    expected = [
        {"label": LABELS[b], "score": pytest.approx(s.item(), abs=1e-5)} for s, b in zip(scores, best, strict=True)
    ]
    assert [classify(pair) for pair in ASKED] == expected
    assert classify(ASKED) == expected
    assert classify(ASKED, batch_size=3) == expected


def test_all_scores(folder, logits):
    answers = pipeline("text-classification", folder, top_k=None)(ASKED)
    for answer, probabilities in zip(answers, logits.softmax(1), strict=True):
        assert {each["label"]: each["score"] for each in answer} == pytest.approx(
            dict(zip(LABELS, probabilities.tolist(), strict=True)), abs=1e-5
        )
        assert [each["score"] for each in answer] == sorted((each["score"] for each in answer), reverse=True)


def test_classification_of_a_pair_of_two_thousand_tokens(folder, net, tokenizer):
    """The premise is the longer one, so it alone is cut: <cls>, two <sep> and 20 words leave it 41."""
    premise, hypothesis = " ".join(["a man runs and"] * 495), " ".join(["not"] * 20)
    assert len(tokenizer(premise, hypothesis).input_ids) == 2003
    (expected,) = logits_of(net, tokenizer, [(" ".join(premise.split()[:41]), hypothesis)]).softmax(1)
    classify = pipeline("text-classification", folder, top_k=None)
    answer = classify({"text": premise, "text_pair": hypothesis}, truncation=True)
    scores = {each["label"]: each["score"] for each in answer}
    assert scores == pytest.approx(dict(zip(LABELS, expected.tolist(), strict=True)), abs=1e-5)


def test_classification_of_a_data_set_and_of_a_generator(folder, logits):
    classify = pipeline("text-classification", folder)
    rows = Dataset.from_list([{"premise": premise, "hypothesis": hypothesis} for premise, hypothesis in PAIRS])
    expected = [LABELS[index] for index in logits.argmax(1)]
    assert [each["label"] for each in classify(KeyPairDataset(rows, "premise", "hypothesis"))] == expected
    assert [each["label"] for each in classify((pair for pair in ASKED), batch_size=2)] == expected


@pytest.mark.parametrize("multi_label", [False, True])
def test_zero_shot_classification(multi_label, folder, net, tokenizer):
    """Yin et al. (2019): of one label, the softmax of entailment; of each, entailment against contradiction."""
    text, candidates = "A man sleeps outside.", ["runs", "sleeps", "eats", "is not outside"]
    found = logits_of(net, tokenizer, [(text, f"The man {candidate}.") for candidate in candidates])
    scores = found[:, [2, 0]].softmax(1)[:, 1] if multi_label else found[:, 0].softmax(0)
    answer = pipeline("zero-shot-classification", folder)(
        text, candidates, hypothesis_template="The man {}.", multi_label=multi_label
    )
    assert answer["labels"] == [candidates[index] for index in scores.argsort(descending=True)]
    assert answer["scores"] == pytest.approx(scores.sort(descending=True).values.tolist(), abs=1e-5)
    assert len({round(score, 3) for score in answer["scores"]}) == len(candidates)


def test_cross_encoder(folder, logits):
    model = CrossEncoder(folder, device="cpu")
    assert torch.allclose(torch.from_numpy(model.predict(PAIRS, batch_size=2)), logits, rtol=0, atol=1e-5)
    probabilities = model.predict(PAIRS, apply_softmax=True, convert_to_tensor=True)
    assert torch.allclose(probabilities, logits.softmax(1), rtol=0, atol=1e-6)


ALONE = """
import json, sys
import numpy, onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
session = onnxruntime.InferenceSession(sys.argv[1] + "/model.onnx")
tokenizer.enable_padding(pad_id=tokenizer.token_to_id("<pad>"), pad_token="<pad>")
batch = tokenizer.encode_batch([tuple(pair) for pair in json.load(sys.stdin)])
names = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}
inputs = {name: numpy.array([getattr(each, field) for each in batch]) for name, field in names.items()}
(logits,) = session.run(None, inputs)
assert not {"torch", "transformers", "hf_nli"} & set(sys.modules)
print(json.dumps(logits.tolist()))
"""


def test_onnx_and_tokenizers_alone(folder, logits, tmp_path):
    pytest.importorskip("onnxscript")
    export(folder, tmp_path / "onnx")
    process = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(tmp_path / "onnx")],
        input=json.dumps(PAIRS),
        capture_output=True,
        text=True,
        check=True,
    )
    assert torch.allclose(torch.tensor(json.loads(process.stdout)), logits, rtol=0, atol=1e-4)


def test_lora(folder, net, tokenizer, logits, tmp_path):
    """PEFT's adapters leave the function as it is, learn, and can be merged into a stock model folder."""
    adapters = LoraConfig(TaskType.SEQ_CLS, r=4, target_modules=["query", "value"], lora_dropout=0.0)
    model = get_peft_model(net, adapters)
    assert torch.allclose(logits_of(model.eval(), tokenizer), logits, rtol=0, atol=1e-5)
    frozen = net.get_input_embeddings().weight.clone()
    rows = [json.loads(line) for line in open(write_pairs(tmp_path / "pairs.jsonl", repeat=1))][:-1]
    texts = ([row["premise"] for row in rows], [row["hypothesis"] for row in rows])
    batch = tokenizer(*texts, padding=True, return_tensors="pt")
    batch["labels"] = torch.tensor([LABELS.index(row["label"]) for row in rows])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, losses = torch.optim.AdamW(trained, lr=1e-2), []
    for _ in range(40):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0] and torch.equal(net.get_input_embeddings().weight, frozen)
    expected = logits_of(model, tokenizer)
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged")
    assert torch.allclose(logits_of(merged, tokenizer), expected, rtol=0, atol=1e-4)


def test_bfloat16(folder, tokenizer, logits):
    """Its 8 bits are enough for the constants that the lift adds, which would else drown all the rest."""
    net = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.bfloat16)
    assert net.dtype == torch.bfloat16
    assert (logits_of(net, tokenizer).float() - logits).abs().max() < 0.2
    classify = pipeline("text-classification", folder, dtype="bfloat16")
    best = logits.sort(descending=True)
    for pair, values, order in zip(ASKED, best.values, best.indices, strict=True):
        if values[0] - values[1] > 0.4:
            assert classify(pair)["label"] == LABELS[order[0]]


def test_saved_and_loaded_again(net, tokenizer, logits, tmp_path):
    net.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert [again(*pair).data for pair in PAIRS] == [tokenizer(*pair).data for pair in PAIRS]
    assert torch.equal(logits_of(AutoModelForSequenceClassification.from_pretrained(tmp_path), again), logits)


def test_a_new_head(folder, net, tokenizer):
    other = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, ignore_mismatched_sizes=True)
    assert logits_of(other, tokenizer).shape == (len(PAIRS), 2) and len(other.config.id2label) == 2
    body, kept = net.bert.state_dict(), other.bert.state_dict()
    assert body.keys() == kept.keys() and all(torch.equal(body[name], kept[name]) for name in body)


@torch.no_grad()
@pytest.mark.parametrize("mean_resizing", [True, False])
def test_added_tokens(mean_resizing, net, tokenizer, logits):
    """A row of any values does: what the embedding LayerNorm needs to be a division is not in the table of words.

    d2l has no LayerNorm there, so of a token's row, segment and position, all there is to take away is their mean.
    """
    torch.manual_seed(0)
    (new,) = range(len(tokenizer), len(tokenizer) + tokenizer.add_tokens(["zebra"]))
    net.resize_token_embeddings(len(tokenizer), mean_resizing=mean_resizing)
    assert torch.allclose(logits_of(net, tokenizer), logits, rtol=0, atol=1e-5)
    inputs = tokenizer("A zebra runs.", "not outside", return_tensors="pt")
    position = inputs.input_ids[0].tolist().index(new)
    tables = net.bert.embeddings.double()
    tables.word_embeddings.weight[new] += torch.randn(tables.word_embeddings.weight.shape[1])
    row = tables.word_embeddings.weight[new] + tables.position_embeddings.weight[position]
    for segment in (0, 1):
        given = inputs.input_ids[:, : position + 1]
        out = tables(input_ids=given, token_type_ids=torch.full_like(given, segment))[0, position]
        whole = row + tables.token_type_embeddings.weight[segment]
        assert torch.allclose(out[:HIDDENS], (whole - whole.mean())[:HIDDENS], rtol=1e-4, atol=1e-4)
