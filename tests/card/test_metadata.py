"""The licence of a base model, from its card."""

import huggingface_hub.constants
import pytest
from model_hub import Repository

from hf_nli.card.metadata import base_license


@pytest.mark.parametrize(
    "card, licence",
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\nlanguage: en\n---\n# A model\n", None),
        ("# A model\n", None),
        ("---\nlicense:\n- mit\n- apache-2.0\n---\n", None),
        ("---\ntags: [\n---\n", None),
    ],
)
def test_a_base_model_s_card(card, licence, hub, tmp_path):
    repo_id = f"user/{abs(hash(card))}"  # which no other test has in the cache
    assert base_license(str(tmp_path)) is None and base_license(repo_id) is None
    (tmp_path / "README.md").write_text(card)
    assert base_license(str(tmp_path)) == licence
    hub.repositories[repo_id] = repository = Repository()
    repository.commit("first", {"README.md": card.encode()}, "main")
    assert base_license(repo_id) == licence


def test_where_the_hub_cannot_be_asked(hub, monkeypatch):
    hub.repositories["user/gated"] = repository = Repository()
    repository.commit("first", {"README.md": b"---\nlicense: mit\n---\n"}, "main")
    hub.fault("user/gated", 403, times=99)
    assert base_license("user/gated") is None
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    requests = len(hub.requests)
    assert base_license("user/gated") is None and len(hub.requests) == requests
