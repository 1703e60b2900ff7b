"""What is known of the model that a run starts from."""

import json
import shutil

import pytest
from model_hub import Repository

from hf_nli.model.folder import weights_sha256
from hf_nli.model.load import load_model
from hf_nli.runs.report import BaseModel, changed_arguments
from hf_nli.settings.options import DataOptions


@pytest.fixture
def base(model, tmp_path):
    return shutil.copytree(model, tmp_path / "base")


def test_another_model_is_another(base):
    """Other weights, or the same ones and another configuration."""
    first = BaseModel.read(str(base))
    assert BaseModel.read(str(base)) == first and first.weights == weights_sha256(base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    second = BaseModel.read(str(base))
    assert second.sha256 != first.sha256 and second.weights == first.weights
    with (base / "model.safetensors").open("ab") as weights:
        weights.write(b" ")
    assert len({first.sha256, second.sha256, BaseModel.read(str(base)).sha256}) == 3


def test_its_own_training_counts_if_it_is_about_these_weights(base):
    (base / "training.json").write_text(json.dumps({"model_sha256": weights_sha256(base), "dataset": "x"}))
    assert BaseModel.read(str(base)).training["dataset"] == "x"
    (base / "training.json").write_text(json.dumps({"model_sha256": "0" * 64, "dataset": "x"}))
    assert BaseModel.read(str(base)).training is None
    (base / "training.json").write_text("{")
    assert BaseModel.read(str(base)).training is None


@pytest.mark.parametrize("about", ["base", "root", "other"])
def test_the_conversion_that_it_comes_from_is_handed_down(about, base, tmp_path):
    """That of these weights, or of those that the first of several trainings began from."""
    digests = {"base": weights_sha256(base), "root": "1" * 64, "other": "2" * 64}
    first = {"model_sha256": "3" * 64, "base_model_sha256": digests["root"]}
    second = {"model_sha256": digests["base"], "base_model_sha256": "3" * 64, "base": first}
    (base / "training.json").write_text(json.dumps(second))
    conversion = json.dumps({"source": "bert.small", "model_sha256": digests[about]})
    (base / "conversion_report.json").write_text(conversion)
    (tmp_path / "run").mkdir()
    BaseModel.read(str(base)).copy_conversion(tmp_path / "run")
    copied = tmp_path / "run/conversion_report.json"
    assert not copied.exists() if about == "other" else copied.read_text() == conversion


@pytest.mark.parametrize(
    "card, license",
    [
        ("---\nlicense: mit\n---\ntext", "mit"),
        ("---\ntags: [x]\n---\n", None),
        ("no metadata", None),
        ("---\n: :\n  - }\n---\n", None),
    ],
)
def test_the_license_of_a_card(card, license, base):
    assert BaseModel.read(str(base)).license is None
    (base / "README.md").write_text(card)
    assert BaseModel.read(str(base)).license == license


def test_a_model_on_the_hub(base, hub):
    """Its reports are read, too, of the revision that was asked for."""
    hub.repositories["user/nli"] = repository = Repository()
    (base / "training.json").write_text(json.dumps({"model_sha256": weights_sha256(base)}))
    files = {file.name: file.read_bytes() for file in base.iterdir()}
    repository.commit("whole", files, "main")
    repository.commit("without", {name: files[name] for name in files if name != "training.json"}, "old")
    here = BaseModel.read(str(base))
    for revision, training in ((None, here.training), ("old", None)):
        load_model("user/nli", revision=revision)
        there = BaseModel.read("user/nli", revision)
        assert (there.name, there.sha256, there.weights) == ("user/nli", here.sha256, here.weights)
        assert there.training == training


def test_arguments_that_are_not_defaults():
    assert changed_arguments(DataOptions(), max_train_samples=None, revision=None) == {}
    options = DataOptions(text="parse", premise_column="a")
    assert changed_arguments(options, max_train_samples=20, mixing_weights=[2, 1], revision=None) == {
        "max_train_samples": 20,
        "mixing_weights": [2, 1],
        "text": "parse",
        "premise_column": "a",
    }
