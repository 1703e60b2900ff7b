"""The model card says what was measured of these weights, keeps what others add, and works as it stands."""

import json
import re
import shutil

import pytest
import torch
from folder_reports import EPOCHS, evaluation, write_conversion, write_training
from helpers import tiny_tokenizer, write_tiny_model
from huggingface_hub import ModelCard
from transformers import ElectraConfig, ElectraForSequenceClassification

from hf_nli.card.card import BEGIN, END, write_card
from hf_nli.card.facts import OLDEST_TRANSFORMERS
from hf_nli.core.errors import InputError
from hf_nli.core.hub_ids import hub_id, public_name
from hf_nli.core.labels import ID2LABEL, LABEL2ID
from hf_nli.evaluation.evaluate import evaluate
from hf_nli.evaluation.record import add_evaluation


@pytest.fixture
def folder(tmp_path):
    return write_tiny_model(tmp_path / "model")


@pytest.fixture
def trained(folder):
    """A converted model, fine-tuned and evaluated."""
    write_conversion(folder, model_sha256="0" * 64)
    write_training(folder)
    add_evaluation(folder, evaluation(folder))
    return folder


@pytest.fixture
def electra(tmp_path):
    """A model that has nothing to do with BERT or d2l's checkpoints."""
    config = ElectraConfig(
        vocab_size=19, embedding_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32, id2label=ID2LABEL, label2id=LABEL2ID,
    )  # fmt: skip
    ElectraForSequenceClassification(config).save_pretrained(tmp_path / "electra")
    tiny_tokenizer().save_pretrained(tmp_path / "electra")
    return tmp_path / "electra"


def metadata(folder):
    return ModelCard.load(folder / "README.md").data


def test_figures_are_the_reports(trained):
    card = write_card(trained).read_text()
    assert "| 0 | | | 1.2500 | 0.2500 |" in re.sub(" +", " ", card)
    assert "| **1** | 0.5000 | 0.7500 | 0.6250 | 0.8750 |" in card and len(EPOCHS) == 2
    assert "fine-tuned on 1,234 pairs of pairs.jsonl" in card and "30 steps in float32 on abacus" in card
    assert "validated on dev.jsonl" in card
    assert "largest difference 3.2e-06, median row 8.5e-07" in card and "`abc123`; 2 tensors" in card
    assert "Of the words of `dev.jsonl`, 1.23 % are unknown in text style ptb" in card
    assert "## Evaluation: stanfordnlp/snli, test\n" in card
    assert "Accuracy 0.5000, loss 0.8750 on 2 pairs\n(1 without a gold label left out), up to 128 tokens" in card
    assert '{"text": "A soccer game' in card and "Penn Treebank" in card
    assert f"Loads in Transformers {OLDEST_TRANSFORMERS} or newer." in card
    assert "untrained" not in card and "/home" not in card


def test_what_training_changed_beforehand(trained):
    write_training(trained, {"softening_factors": [1.0, 0.123456]})
    assert "queries of saturated attention layers were scaled down, layer by layer by\n1.0, 0.1235." in (
        write_card(trained).read_text()
    )


def test_conditions_are_beside_each_figure(folder):
    add_evaluation(folder, evaluation(folder, dataset="nyu-mll/glue", dataset_config="rte", dataset_revision="abc"))
    changes = {"dataset": "pairs.jsonl", "dataset_sha256": "f" * 64, "split": None, "max_seq_length": 32}
    changes |= {"mixed_precision": "bf16", "text": "parse", "truncation": "proportional"}
    add_evaluation(folder, evaluation(folder, **changes, label_names=["neutral", "entailment"]))
    card = write_card(folder).read_text()
    assert (
        "up to 128 tokens a pair (longest_first), float32, text raw, dataset_config rte, dataset_revision abc" in card
    )
    assert "## Evaluation: pairs.jsonl\n" in card
    assert "up to 32 tokens a pair (proportional), bf16, text parse, label_names neutral entailment" in card
    assert f"SHA-256 of the data: `{'f' * 64}`" in card
    first, second = metadata(folder).eval_results
    assert (first.dataset_type, first.dataset_config, first.dataset_revision) == ("nyu-mll/glue", "rte", "abc")
    assert (second.dataset_type, second.dataset_split) == ("pairs.jsonl", None)
    assert "None" not in card.replace("none", "") and first.dataset_split == "test"


def test_what_nobody_knows_is_not_said(electra, folder):
    write_training(electra)
    card = write_card(electra).read_text()
    for words in ("d2l", "SNLI", "English", "image captions", "Gururangan", "BERT", "converted"):
        assert words not in card.replace("id2label", ""), words
    data = metadata(electra)
    assert (data.license, data.language, data.base_model, data.datasets) == (None, None, None, None)
    assert "A model of type `electra`" in card and "stock `ElectraForSequenceClassification`" in card
    assert metadata(electra).tags == ["natural-language-inference", "nli"]
    card = write_card(folder).read_text()  # a BERT without any report
    assert "A BERT that tells" in card and metadata(folder).tags[2:] == ["bert"]
    for title in ("Training", "Evaluation", "How the conversion", "How to reproduce"):
        assert f"## {title}" not in card
    assert "fine-tuned on" not in card and "converted" not in card and metadata(folder).license is None


@pytest.mark.parametrize("dataset", ["stanfordnlp/snli", "snli_1.0", "snli_1.0.zip", "snli_1.0_train.jsonl"])
def test_what_is_known_of_snli(dataset, folder):
    write_training(folder, dataset=dataset)
    card = write_card(folder).read_text()
    assert metadata(folder).language == "en" and "English sentences like those of image captions" in card
    assert "SNLI has annotation artefacts" in card
    assert metadata(folder).datasets == (["stanfordnlp/snli"] if "/" in dataset else None)


@pytest.mark.parametrize("dataset", ["snli", "user/snli", "my_snli_1.0.csv", "multinli_1.0"])
def test_other_names_may_be_anything(dataset, folder):
    write_training(folder, dataset=dataset)
    card = write_card(folder).read_text().split("## How to reproduce")[0]
    assert metadata(folder).language is None and "English" not in card and "annotation artefacts" not in card


def test_a_conversion_is_said(folder):
    write_conversion(folder)
    card = write_card(folder).read_text()
    assert "converted from the PyTorch checkpoint `d2l_small`" in card and "d2l" in metadata(folder).tags
    assert "Its classification head is untrained" in card and "before any fine-tuning" not in card
    assert metadata(folder).language is None


def test_reports_of_other_weights_are_left_out(trained, caplog):
    """The card forgets them, even if it had them."""
    write_training(trained, license="mit", dataset="stanfordnlp/snli")
    write_card(trained)
    assert metadata(trained).eval_results and metadata(trained).license == "mit"
    other = write_tiny_model(trained.parent / "other", initializer_range=0.5)
    shutil.copyfile(other / "model.safetensors", trained / "model.safetensors")
    caplog.clear()
    card = write_card(trained).read_text()
    for words in ("## Training", "## Evaluation", "fine-tuned on", "converted", "How to reproduce", "0.8750"):
        assert words not in card
    data = metadata(trained)
    assert (data.eval_results, data.license, data.language, data.datasets) == (None, None, None, None)
    assert "d2l" not in data.tags
    lines = [record.getMessage() for record in caplog.records]
    for name in ("training.json", "all_results.json", "conversion_report.json", "evaluations.json"):
        assert sum(name in line and "left out" in line for line in lines) == 1


def test_a_report_that_lacks_something(trained, caplog):
    results = json.loads((trained / "all_results.json").read_text())
    del results["best_epoch"]
    (trained / "all_results.json").write_text(json.dumps(results))
    assert "## Training" not in write_card(trained).read_text()
    assert "training.json is left out: it, or what belongs to it, lacks something ('best_epoch')" in caplog.text


def test_the_licence(folder):
    def written(**options):
        write_card(folder, **options)
        return metadata(folder).license

    assert written() is None
    write_training(folder, license="apache-2.0")
    assert written() == "apache-2.0"
    write_training(folder)
    assert written() is None  # ours goes with its reason
    assert written(license="mit") == "mit" and written() == "mit"  # what was asked for stays
    write_training(folder, license="apache-2.0")
    assert written() == "mit"
    path = folder / "README.md"
    path.write_text(path.read_text().replace("license: mit", "license: bsd-3-clause"))
    assert written() == "bsd-3-clause"


def test_hub_ids_are_named(folder):
    write_training(folder, model="d2l/bert-small", dataset="stanfordnlp/snli")
    write_card(folder)
    assert metadata(folder).base_model == "d2l/bert-small" and metadata(folder).datasets == ["stanfordnlp/snli"]


def test_the_place_on_the_hub_is_remembered_not_guessed(folder):
    path = write_card(folder)
    assert '"USER/model"' in path.read_text()
    path.write_text(path.read_text() + '\nCompare `pipeline("text-classification", "somebody/else")`.\n')
    assert '"USER/model"' in write_card(folder).read_text().partition(END)[0]
    assert '"user/nli"' in write_card(folder, "user/nli").read_text()
    assert write_card(folder).read_text().partition(END)[0].count('"user/nli"') == 4  # the memory, and three examples


def test_what_others_add_stays(trained):
    path = write_card(trained)
    card = path.read_text().replace(
        "library_name:", "license: mit\nthumbnail: picture.png\nlanguage: de\nlibrary_name:"
    )
    card = card.replace("- nli", "- nli\n- captions")
    path.write_text(card.replace(BEGIN, f"Before.\n\n{BEGIN}").replace(END, f"{END}\n\nAfter."))
    (trained / "evaluations.json").unlink()
    write_card(trained)
    card = path.read_text()
    assert "\nBefore.\n" in card and card.endswith("\nAfter.\n") and "## Evaluation" not in card
    data = metadata(trained)
    assert (data.license, data.thumbnail, data.language, data.eval_results) == ("mit", "picture.png", "de", None)
    assert {"nli", "captions"} <= set(data.tags)
    write_card(trained)
    assert path.read_text() == card
    path.write_text("My own words.\n")
    write_card(trained)
    assert path.read_text().endswith("\nMy own words.\n") and path.read_text().count(BEGIN) == 1


def test_metadata(trained):
    write_card(trained)
    data = metadata(trained)
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-classification")
    assert data.base_model is None and data.datasets is None and data.language is None
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("accuracy", 0.5, "test")
    example = data.widget[0]
    assert set(example) == {"text", "text_pair", "output"}
    assert sum(each["score"] for each in example["output"]) == pytest.approx(1, abs=1e-3)


def test_a_card_that_can_t_be_read_keeps_nothing_else_from_being_done(folder, pairs, caplog):
    (folder / "README.md").write_text("---\ntags: [\n---\n")
    with pytest.raises(InputError, match="README.md: its metadata can't be read"):
        write_card(folder)
    evaluate(str(folder), pairs, folder.parent / "scores")
    assert (folder.parent / "scores/eval_results.json").exists() and "The model's card stays as it is" in caplog.text


@pytest.mark.parametrize("bounded", [True, False])
def test_its_code_runs_on_a_document_of_1200_tokens(bounded, folder):
    if not bounded:  # a tokenizer that doesn't know how many positions the model has
        config = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": 10**30}))
    card = write_card(folder, "user/nli").read_text()
    blocks = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    assert len(blocks) == 2
    for code in blocks:
        assert "truncation=True" in code
        long = code.replace('"user/nli"', repr(str(folder))).replace("A soccer game with", "a man runs " * 400)
        *lines, last = long.strip().splitlines()
        names = {}
        exec("\n".join([*lines, f"answer = {last}"]), names)
        answer = names["answer"]
        assert (answer["label"] if isinstance(answer, dict) else answer) in LABEL2ID
    assert torch.is_grad_enabled()


def test_names(tmp_path, monkeypatch):
    assert public_name(str(tmp_path / "secret/name")) == "name" and public_name("a/b") == "a/b"
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert public_name("a/b") == "b" and hub_id("a/b") is None and hub_id("a/b/c") is None
