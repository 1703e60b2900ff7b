"""Pushing to a Hub: the real clients against a server on loopback, with its faults."""

import json
import shutil

import pytest
import torch
from folder_reports import evaluation, write_conversion, write_training
from helpers import d2l_model, write_checkpoint, write_tiny_model
from huggingface_hub import ModelCard
from model_hub import Repository
from sentence_transformers import CrossEncoder
from transformers import pipeline

from hf_nli.cli.run import main
from hf_nli.core.errors import InputError
from hf_nli.evaluation.record import add_evaluation
from hf_nli.hub.connection import Connection
from hf_nli.hub.push import PushReport, push
from hf_nli.model.load import load_model

REPO = "user/nli"
WAITS = (0.01, 0.01, 0.01)
COMMIT = r"POST /api/models/user/nli/commit/"


@pytest.fixture
def folder(tmp_path):
    """A model folder, and in it what is nobody's business."""
    folder = write_tiny_model(tmp_path / "model")
    write_conversion(folder)
    for name in ("training_args.bin", "optimizer.pt", "notes.txt"):
        (folder / name).write_text("private")
    (folder / "checkpoint-3").mkdir()
    (folder / "checkpoint-3/model.safetensors").write_text("private")
    return folder


def test_one_commit_of_exactly_the_model_s_files(folder, hub):
    report = push(str(folder), REPO)
    files = hub.files(REPO)
    assert set(files) == {
        ".gitattributes", "README.md", "config.json", "conversion_report.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    assert len(hub.repositories[REPO].commits) == 2 and report.changed
    for name, content in files.items():
        if name not in (".gitattributes", "conversion_report.json"):
            assert (folder / name).read_bytes() == content
        assert b"/home" not in content and b"hf_write" not in content and b"private" not in content
    assert f'"{REPO}"' in files["README.md"].decode()
    published = sorted(set(files) - {".gitattributes"})
    url = f"{hub.address}/{REPO}/commit/{report.revision}"
    assert report == PushReport(REPO, report.revision, url, published, changed=True)


def test_others_load_it(folder, hub, tmp_path):
    push(str(folder), REPO)
    classify = pipeline("text-classification", REPO, model_kwargs={"cache_dir": str(tmp_path / "cache")})
    assert classify({"text": "a man runs.", "text_pair": "is"})["label"] in ("entailment", "neutral", "contradiction")


def test_nothing_new_makes_no_commit(folder, hub):
    first = push(str(folder), REPO)
    second = push(str(folder), REPO)
    assert not second.changed and second.revision == first.revision
    assert len(hub.repositories[REPO].commits) == 2
    (folder / "conversion_report.json").unlink()  # and what is gone is deleted, with the card's new words, at once
    hub.repositories[REPO].commit("by somebody", hub.files(REPO) | {"own.txt": b"kept"}, "main")
    assert push(str(folder), REPO, commit_message="Without the report").changed
    assert "conversion_report.json" not in hub.files(REPO) and hub.files(REPO)["own.txt"] == b"kept"
    titles = [title for title, _ in hub.repositories[REPO].commits.values()]
    assert titles == ["initial commit", "Push model with hf_nli", "by somebody", "Without the report"]


def test_branches_and_pull_requests(folder, hub):
    push(str(folder), REPO, revision="next", private=True)
    assert hub.repositories[REPO].private and "config.json" in hub.files(REPO, "next")
    assert list(hub.files(REPO)) == [".gitattributes"]
    report = push(str(folder), REPO, create_pr=True)
    assert report.url.endswith("/discussions/1") and "config.json" in hub.files(REPO, "refs/pr/1")
    assert list(hub.files(REPO)) == [".gitattributes"]


@pytest.mark.parametrize(
    "request_", ["GET /api/whoami-v2", "POST /api/repos/create", "GET /api/models", COMMIT, "GET /user/nli/resolve"]
)
@pytest.mark.parametrize("what", [503, "drop", "lose"])
def test_passing_faults_are_waited_for(request_, what, folder, hub):
    hub.fault(request_, what)
    push(str(folder), REPO, waits=WAITS)
    assert len(hub.repositories[REPO].commits) == 2 and "config.json" in hub.files(REPO)


def test_a_lost_answer_to_a_pull_request_makes_no_second_one(folder, hub):
    push(str(folder), REPO)
    (folder / "conversion_report.json").unlink()
    hub.fault(COMMIT, "lose")
    assert push(str(folder), REPO, create_pr=True, waits=WAITS).url.endswith("/discussions/1")
    assert len(hub.repositories[REPO].pulls) == 1


@pytest.mark.parametrize(
    "token, options, fault, message",
    [
        (None, {}, None, "no token for the Hub; set HF_TOKEN"),
        ("hf_bad", {}, None, r"doesn't know the token \(401\)"),
        ("hf_read", {}, None, "the token can only read"),
        ("hf_fine", {}, None, r"may not write there \(403\)"),
        ("hf_write", {"repo_id": "other/nli"}, None, r"may not write there \(403\)"),
        ("hf_write", {"repo_id": "nli"}, None, "give the owner, too: USER/nli"),
        ("hf_write", {"repo_id": "user/nli--x"}, None, "not a possible name"),
        ("hf_write", {"private": True}, None, "exists and is public; make it private"),
        ("hf_write", {}, (COMMIT, 500), r"out of order \(500\); what was there before is whole"),
        ("hf_write", {}, (COMMIT, "drop"), "connection to the Hub broke off .*; what was there before is whole"),
        ("hf_write", {}, ("GET /user/nli/resolve", "drop"), "broke off"),
    ],
)
def test_refusals_are_one_line(token, options, fault, message, folder, hub, monkeypatch):
    push(str(write_tiny_model(folder.parent / "other", hidden_size=8)), REPO)
    before = hub.files(REPO)
    if fault:
        hub.fault(*fault, times=99)
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match=message) as error:
        push(str(folder), **{"repo_id": REPO, "waits": WAITS} | options)
    assert "\n" not in str(error.value) and "hf_" not in str(error.value).replace("hf_nli", "")
    if not fault or "commit" in fault[0]:
        assert hub.files(REPO) == before


def test_an_upload_that_breaks_off_leaves_the_earlier_commit(folder, hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    hub.fault("PUT /upload", "drop", times=99)
    with pytest.raises(InputError, match="an upload to the Hub broke off .*what was there before is whole"):
        push(str(folder), REPO, waits=WAITS)
    assert list(hub.files(REPO)) == [".gitattributes"]


def test_an_error_of_another_library_is_no_broken_upload():
    """As that of a GPU while the model is read back."""
    with pytest.raises(RuntimeError, match="CUDA"), Connection(REPO).explained():
        raise RuntimeError("CUDA error")


def test_what_is_read_back_has_to_be_the_same(folder, hub):
    hub.fault("/user/nli/resolve/[0-9a-f]+/README.md", "damage", times=2)  # HEAD and GET
    with pytest.raises(InputError, match="README.md read back differs"):
        push(str(folder), REPO, waits=WAITS)


def test_reports_of_other_weights_are_not_published(folder, hub, caplog):
    """Those that were published before are deleted there."""
    write_training(folder)
    add_evaluation(folder, evaluation(folder))
    (picture,) = folder.glob("confusion_matrix-*.png")
    reports = {"training.json", "all_results.json", "train_log.jsonl", "training_curves.png", "evaluations.json"}
    reports |= {"conversion_report.json", picture.name}
    assert reports <= set(push(str(folder), REPO).files)
    other = write_tiny_model(folder.parent / "other", initializer_range=0.5)
    shutil.copyfile(other / "model.safetensors", folder / "model.safetensors")
    caplog.clear()
    report = push(str(folder), REPO)
    assert not reports & set(report.files) and not reports & set(hub.files(REPO))
    card = hub.files(REPO)["README.md"].decode()
    assert "## Training" not in card and "model-index" not in card
    for name in reports - {picture.name}:
        assert sum(name in line.getMessage() and "left out" in line.getMessage() for line in caplog.records) == 1
    add_evaluation(folder, evaluation(folder, split="validation"))
    assert "evaluations.json" in push(str(folder), REPO).files


def test_of_the_evaluations_only_those_of_the_weights_are_published(folder, hub):
    add_evaluation(folder, evaluation(folder))
    (record,) = json.loads((folder / "evaluations.json").read_text())
    stale = record | {"model_sha256": "0" * 64, "split": "train"}
    (folder / "evaluations.json").write_text(json.dumps([stale, record]))
    push(str(folder), REPO)
    assert json.loads(hub.files(REPO)["evaluations.json"]) == [record]


def test_the_licence_is_what_was_said(folder, hub):
    assert "license" not in hub_card(folder, hub)
    assert hub_card(folder, hub, "--license", "apache-2.0")["license"] == "apache-2.0"
    assert hub_card(folder, hub)["license"] == "apache-2.0"  # the folder's card has it


def hub_card(folder, hub, *flags):
    assert main(["push", "--model_name_or_path", str(folder), "--repo_id", REPO, *flags]) == 0
    return ModelCard(hub.files(REPO)["README.md"].decode()).data.to_dict()


def test_tokens_are_never_published(folder, hub):
    (folder / "README.md").write_text("My token is hf_write.")
    with pytest.raises(InputError, match="README.md holds your token"):
        push(str(folder), REPO)
    assert not hub.repositories.get(REPO) or list(hub.files(REPO)) == [".gitattributes"]


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_is_never_published(name, folder, hub):
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | {"auto_map": {"AutoConfig": "mine.Config"}}))
    with pytest.raises(InputError, match=f": {name} names code"):
        push(str(folder), REPO)
    assert REPO not in hub.repositories


def test_no_folder(hub, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        push("user/elsewhere", REPO)


def test_commands(folder, hub, pairs, tmp_path, capsys):
    """Train and push at once; the result is read from the Hub by revision."""
    flags = ["--dataset", pairs, "--validation_dataset", pairs, "--max_train_steps", "3", "--mixed_precision", "no"]
    train = ["train", "--model_name_or_path", str(folder), *flags, "--output_dir", str(tmp_path / "run")]
    assert main([*train, "--push_to_hub"]) == 2
    assert "--push_to_hub needs --hub_model_id USER/NAME" in capsys.readouterr().err
    assert main([*train, "--push_to_hub", "--hub_model_id", REPO, "--mixed_precision", "no"]) == 0
    assert f"{REPO}/commit/" in capsys.readouterr().out and "train_log.jsonl" in hub.files(REPO)
    assert main(["push", "--model_name_or_path", str(tmp_path / "run"), "--repo_id", REPO]) == 0
    assert capsys.readouterr().out.startswith(f"Nothing new: {REPO} has all of it already")
    pushed = hub.repositories[REPO].branches["main"]
    hub.repositories[REPO].commit("empty", {"README.md": b""}, "main")
    model = ["--model_name_or_path", REPO, "--revision", pushed]
    assert main(["predict", *model, "--premise", "a man runs", "--hypothesis", "is"]) == 0
    assert "label" in json.loads(capsys.readouterr().out)
    assert main(["evaluate", *model, "--dataset", pairs, "--output_dir", str(tmp_path / "scores")]) == 0
    train = ["train", *model, *flags, "--output_dir", str(tmp_path / "again")]
    assert main(train) == 0
    assert f"base_model: {REPO}" in (tmp_path / "again/README.md").read_text()
    output = capsys.readouterr()
    assert "hf_write" not in output.out + output.err
    assert main(["predict", *model[:2], "--premise", "a", "--hypothesis", "b"]) == 2
    assert main(["push", "--model_name_or_path", str(tmp_path / "nowhere"), "--repo_id", REPO]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("hf-nli push: error: ")


def test_checkpoints_on_the_hub_are_converted(d2l, hub, tmp_path, capsys):
    sizes = {"vocab_size": 20, "num_hiddens": 16, "ffn_num_hiddens": 24, "num_heads": 2, "num_blks": 1, "max_len": 24}
    checkpoint = write_checkpoint(tmp_path / "d2l", d2l_model(d2l, **sizes).state_dict())
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    hub.repositories["d2l/small"] = repository = Repository()
    wanted = repository.commit("first", files | {"notes.bin": b"0"}, "main")
    repository.commit("empty", {}, "main")
    flags = ["convert", "--source", "d2l/small", "--num_heads", "2", "--output_dir", str(tmp_path / "model")]
    assert main([*flags, "--revision", wanted]) == 0
    assert json.loads((tmp_path / "model/conversion_report.json").read_text())["source"] == "d2l/small"
    assert not any("notes" in request for request in hub.requests)
    assert main([*flags[:2], "d2l/nowhere", *flags[3:-1], str(tmp_path / "other")]) == 2
    assert "d2l/nowhere: no such file or folder here, nor on the Hub" in capsys.readouterr().err


def test_cross_encoders_read_our_folders(folder):
    """sentence-transformers' CrossEncoder."""
    pairs = [("a man runs.", "is"), ("the dog sleeps", "not .")]
    scores = CrossEncoder(str(folder), device="cpu").predict(pairs)
    model, tokenizer = load_model(str(folder))
    with torch.no_grad():
        logits = model(**tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="pt")).logits
    assert scores == pytest.approx(logits.numpy(), abs=1e-6)
