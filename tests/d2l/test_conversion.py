"""What a conversion writes, proves and refuses."""

import hashlib
import json
import subprocess
import sys

import pytest
import torch
from folder_reports import evaluation, write_training
from helpers import SPECIAL_TOKENS, d2l_model, write_checkpoint, write_tiny_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_nli.card.card import write_card
from hf_nli.cli.run import main
from hf_nli.core.errors import InputError
from hf_nli.d2l import convert as conversion
from hf_nli.d2l.checkpoint import read_checkpoint
from hf_nli.d2l.convert import convert
from hf_nli.d2l.reference import d2l_outputs, probes
from hf_nli.evaluation.record import add_evaluation

SIZES = {"vocab_size": 20, "num_hiddens": 32, "ffn_num_hiddens": 24, "num_heads": 4, "num_blks": 2, "max_len": 24}


@pytest.fixture(scope="module")
def net(d2l):
    return d2l_model(d2l, **SIZES)


@pytest.fixture(scope="module")
def source(net, tmp_path_factory):
    return str(write_checkpoint(tmp_path_factory.mktemp("d2l") / "checkpoint", net.state_dict()))


def test_report(source, net, tmp_path):
    report = convert(source, tmp_path / "model", num_heads=4)
    assert json.loads((tmp_path / "model/conversion_report.json").read_text()) == report.as_dict()
    assert report.sizes == SIZES and report.arguments == {"num_heads": 4}
    assert report.source == source and report.framework == "pytorch" and len(report.sha1) == 40
    assert report.model_sha256 == hashlib.sha256((tmp_path / "model/model.safetensors").read_bytes()).hexdigest()
    config = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").config
    assert (report.hidden_size, report.num_attention_heads) == (config.hidden_size, config.num_attention_heads)
    assert 0 < report.median_abs_difference <= report.max_abs_difference < 1e-4
    assert 0 < report.source_float32_difference < 1e-4
    assert sorted(report.carried_over + report.not_carried_over) == sorted(net.state_dict())
    assert report.initialized == ["output.bias", "output.weight"]


def test_folder_is_stock(source, tmp_path):
    convert(source, tmp_path / "model", num_heads=4)
    files = {file.name for file in (tmp_path / "model").iterdir()}
    assert files == {
        "config.json",
        "model.safetensors",
        "conversion_report.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert config["id2label"] == {"0": "entailment", "1": "neutral", "2": "contradiction"}
    assert config["label2id"] == {"entailment": 0, "neutral": 1, "contradiction": 2}
    assert config["architectures"] == ["BertForSequenceClassification"] and "auto_map" not in config
    assert config["pad_token_id"] == 2


def test_loads_where_hf_nli_cannot_be_imported(source, tmp_path):
    convert(source, tmp_path / "model", num_heads=4)
    program = """
import sys
sys.modules["hf_nli"] = None
from transformers import pipeline
classify = pipeline("text-classification", sys.argv[1])
print(classify({"text": "word1 word2", "text_pair": "word3"})["label"], type(classify.model).__name__)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "model")]
    output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.split()
    assert output[0] in ("entailment", "neutral", "contradiction")
    assert output[1] == "BertForSequenceClassification"


def test_conversion_is_deterministic(source, tmp_path):
    for name in "ab":
        convert(source, tmp_path / name, num_heads=4)
    for file in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    "flags, d2l_labels",
    [
        ([], ["entailment", "contradiction", "neutral"]),  # of d2l's section "Fine-Tuning BERT"
        (["--d2l_label_order", "neutral", "entailment", "contradiction"], ["neutral", "entailment", "contradiction"]),
    ],
)
def test_classifier_keeps_its_head_by_label(flags, d2l_labels, net, tmp_path):
    """A `BERTClassifier` of d2l's section "Fine-Tuning BERT"."""
    source, state = write_classifier(net, tmp_path)
    assert (
        main(["convert", "--source", source, "--num_heads", "4", "--output_dir", str(tmp_path / "model"), *flags]) == 0
    )
    report = json.loads((tmp_path / "model/conversion_report.json").read_text())
    assert report["initialized"] == [] and "output.weight" in report["carried_over"]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    inputs = tokenizer("word1 word2", "word3 word4 word5", return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits[0]
        hidden = net.hidden(net.encoder(inputs.input_ids, inputs.token_type_ids, inputs.attention_mask.sum(1))[:, 0])
        expected = (hidden @ state["module.output.weight"].T + state["module.output.bias"])[0]
    for label, value in zip(d2l_labels, expected.tolist(), strict=True):
        assert logits[model.config.label2id[label]].item() == pytest.approx(value, abs=1e-5)


def write_classifier(net, tmp_path):
    """The state dict that `train_ch13` leaves of a `BERTClassifier`: without pretraining heads, with a prefix."""
    state = {name: tensor for name, tensor in net.state_dict().items() if not name.startswith(("mlm.", "nsp."))}
    state |= {"output.weight": torch.randn(3, 32), "output.bias": torch.randn(3)}
    state = {f"module.{name}": tensor for name, tensor in state.items()}
    folder = write_checkpoint(tmp_path / "d2l", net.state_dict())
    torch.save(state, folder / "pretrained.params")
    return str(folder), state


def test_label_orders_that_cannot_be(net, source, tmp_path):
    fine_tuned, _ = write_classifier(net, tmp_path)
    for checkpoint, order, message in (
        (fine_tuned, ["entailment", "neutral"], "it must be an order of entailment neutral contradiction"),
        (fine_tuned, ["entailment", "neutral", "neutral"], "it must be an order of"),
        (source, ["neutral", "entailment", "contradiction"], "not fine-tuned, no head to order"),
    ):
        with pytest.raises(InputError, match=message):
            convert(checkpoint, tmp_path / "model", num_heads=4, d2l_label_order=order)
    assert not (tmp_path / "model").exists()


def test_report_says_what_it_took(source, tmp_path):
    report = convert(source, tmp_path, num_heads=4)
    assert 0 < report.seconds < 600
    assert 50e6 < report.peak_memory < 50e9  # bytes: PyTorch alone takes some 200 MB


def test_reference_function_is_d2ls(source, net):
    """What conversions are checked against must itself be d2l's function."""
    checkpoint, _ = conversion.with_head(read_checkpoint(source, num_heads=4))
    batches = probes(checkpoint)
    with torch.inference_mode():
        for probe in batches:
            pooled, logits = d2l_outputs(checkpoint, probe)
            double = net.double()
            expected = double.hidden(double.encoder(probe.input_ids, probe.token_type_ids, probe.valid_lens)[:, 0])
            torch.testing.assert_close(pooled, expected, atol=1e-12, rtol=1e-10)
            assert logits.shape == (len(pooled), 3)
    net.float()


def test_probes_have_padding_two_segments_and_full_length(source):
    full, padded = probes(read_checkpoint(source, num_heads=4))
    assert full.input_ids.shape[1] == SIZES["max_len"] and (full.valid_lens == SIZES["max_len"]).all()
    assert (padded.valid_lens < padded.input_ids.shape[1]).any()
    for probe in (full, padded):
        assert set(probe.token_type_ids.flatten().tolist()) == {0, 1}


@pytest.mark.parametrize("number", [1e-2, float("nan")])
def test_a_conversion_that_differs_fails_and_leaves_nothing(number, source, tmp_path, monkeypatch):
    lift = conversion.lift

    def wrong(checkpoint):
        config, state = lift(checkpoint)
        state["bert.pooler.dense.bias"] = state["bert.pooler.dense.bias"] + number
        return config, state

    monkeypatch.setattr(conversion, "lift", wrong)
    with pytest.raises(InputError, match="differs from d2l's function by"):
        convert(source, tmp_path / "model", num_heads=4)
    assert list(tmp_path.iterdir()) == []


def test_mapping_names_only_would_be_caught(source, tmp_path, monkeypatch):
    """The obvious conversion, an embedding LayerNorm of weight 1 and bias 0, is another function."""
    lift = conversion.lift

    def obvious(checkpoint):
        config, state = lift(checkpoint)
        state["bert.embeddings.LayerNorm.weight"] = torch.ones(config.hidden_size)
        return config, state

    monkeypatch.setattr(conversion, "lift", obvious)
    with pytest.raises(InputError, match="differs from d2l's function"):
        convert(source, tmp_path / "model", num_heads=4)


def test_missing_special_token_is_refused(net, tmp_path):
    tokens = [f"word{index}" for index in range(20)]
    folder = write_checkpoint(tmp_path / "d2l", net.state_dict(), tokens)
    with pytest.raises(InputError, match="<unk>"):
        convert(str(folder), tmp_path / "model", num_heads=4)
    assert not (tmp_path / "model").exists()


def test_text_styles_in_the_report(net, tmp_path):
    """Unknown words counted by hand: three words are cut in another way by the style that knows the vocabulary."""
    words = ["a", "man", "@-@", "like", "isn", "'t", "."]
    rows = SIZES["vocab_size"] - len(SPECIAL_TOKENS) - len(words)
    tokens = [*SPECIAL_TOKENS, *words, *(f"unused{i}" for i in range(rows))]
    source = str(write_checkpoint(tmp_path / "checkpoint", net.state_dict(), tokens))
    (tmp_path / "sample.txt").write_text("A man isn't man-like.\n\nA dog.\n")
    flags = ["--source", source, "--num_heads", "4", "--output_dir", str(tmp_path / "model")]
    assert main(["convert", *flags, "--text_style", "wikitext", "--text_sample", str(tmp_path / "sample.txt")]) == 0
    report = json.loads((tmp_path / "model/conversion_report.json").read_text())
    # a man is n't man-like . a dog . / a man isn 't man @-@ like . a dog .
    assert report["unk_rate"] == {"ptb": pytest.approx(4 / 9), "wikitext": pytest.approx(1 / 11)}
    assert (report["text_style"], report["text_sample"]) == ("wikitext", str(tmp_path / "sample.txt"))
    assert AutoTokenizer.from_pretrained(tmp_path / "model").tokenize("man-like") == ["man", "@-@", "like"]
    assert report["arguments"] == {"num_heads": 4, "text_style": "wikitext"}
    assert "unk_rate" not in convert(source, tmp_path / "other", num_heads=4).as_dict()


def test_text_sample_without_words(source, tmp_path):
    (tmp_path / "sample.txt").write_text("\n")
    for sample, message in (("sample.txt", "sample.txt: no words"), ("nowhere.txt", "nowhere.txt: no such file")):
        with pytest.raises(InputError, match=message):
            convert(source, tmp_path / "model", num_heads=4, text_sample=str(tmp_path / sample))
    assert not (tmp_path / "model").exists()


def test_a_model_is_replaced_only_if_that_is_asked_for(source, tmp_path, capsys):
    """With it goes all that was reported of it; a failure leaves it and its reports."""
    folder = write_tiny_model(tmp_path / "model")
    write_training(folder)
    add_evaluation(folder, evaluation(folder))
    write_card(folder)
    (folder / "notes.txt").write_text("mine")

    def content():
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    before = content()
    flags = ["convert", "--source", source, "--output_dir", str(folder)]
    assert main([*flags, "--num_heads", "4"]) == 2
    assert capsys.readouterr().err.endswith(
        f"error: {folder} holds a model already; choose another --output_dir, or replace it with "
        "--overwrite_output_dir\n"
    )
    assert main([*flags, "--num_heads", "3", "--overwrite_output_dir"]) == 2  # which 32 units can't be divided among
    assert content() == before
    assert main([*flags, "--num_heads", "4", "--overwrite_output_dir"]) == 0
    assert set(content()) == {
        "config.json", "model.safetensors", "conversion_report.json", "tokenizer.json", "tokenizer_config.json",
        "notes.txt",
    }  # fmt: skip
    assert "fine-tuned on" not in write_card(folder).read_text()
    assert list(tmp_path.iterdir()) == [folder]


def test_it_refuses_before_the_work(tmp_path):
    """The source, which doesn't exist, isn't looked at."""
    folder = write_tiny_model(tmp_path / "model")
    with pytest.raises(InputError, match="holds a model already"):
        convert(str(tmp_path / "nowhere"), folder, num_heads=4)


def test_a_checkpoint_keeps_its_vocabulary(net, tmp_path):
    """Beside a model, its vocab.json could be taken for the model's."""
    folder = write_checkpoint(tmp_path / "d2l", net.state_dict())
    convert(str(folder), folder, num_heads=4)
    for source in (folder, folder / "pretrained.params"):
        with pytest.raises(InputError, match="is the folder of the checkpoint"):
            convert(str(source), folder, num_heads=4, overwrite_output_dir=True)
    assert (folder / "vocab.json").exists() and (folder / "pretrained.params").exists()


def test_arguments_may_be_published(net, tmp_path):
    source, _ = write_classifier(net, tmp_path)
    vocab = (tmp_path / "d2l/vocab.json").rename(tmp_path / "words.json")
    order = ["neutral", "entailment", "contradiction"]
    report = convert(source, tmp_path / "model", 4, vocab, framework="pytorch", d2l_label_order=order)
    assert report.arguments == {
        "num_heads": 4, "vocab": "words.json", "framework": "pytorch", "d2l_label_order": order
    }  # fmt: skip
