"""Publishing a model folder: one commit of exactly its files, read back and compared."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pooch
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    get_token,
    hf_hub_download,
    list_repo_files,
)
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import httpx, validate_repo_id

from hf_nli.card.card import EXAMPLES, write_card
from hf_nli.core.errors import InputError
from hf_nli.core.files import write_json
from hf_nli.core.hub_ids import public_name
from hf_nli.inference.predictor import predict
from hf_nli.model.folder import CONVERSION, PUBLISHED
from hf_nli.model.load import load_model

logger = logging.getLogger(__name__)

WAITS = (1, 2, 4, 8)  # seconds between tries
CONNECTION = (ConnectionError, TimeoutError, httpx.TransportError)
Answer = TypeVar("Answer")


def push(
    model_name_or_path: str,
    repo_id: str,
    private: bool = False,
    revision: str | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
) -> dict[str, Any]:
    """Publishes a model folder on the Hub, in one commit, and reads it back.

    Files that were published before and aren't there any more are deleted in the same commit; others stay. Where
    nothing has changed, there is no commit.

    Args:
        model_name_or_path: A model folder, on disk.
        repo_id: Where to, `USER/NAME`.
        private: Whether to make a new repository private.
        revision: The branch; made, if it isn't there.
        commit_message: What the commit says.
        create_pr: Whether to open a pull request instead.

    Returns:
        `repo_id`, `revision` (the commit), `url`, `files` and `changed`, whether there was something to commit.

    Raises:
        InputError: If the folder isn't a model's, the Hub refuses, or what is read back differs.
    """
    folder = Path(model_name_or_path)
    if not folder.is_dir():
        raise InputError(f"{model_name_or_path}: no such folder; only a model folder on disk can be pushed")
    check(repo_id)
    write_card(folder, repo_id)  # which loads the model, or says why it can't
    message = commit_message or f"Push {folder.resolve().name} with hf_nli"
    with tempfile.TemporaryDirectory() as staging, _explained(repo_id):
        files = _stage(folder, Path(staging))
        api = HfApi()
        before = _repository(api, repo_id, private, revision if not create_pr else None)
        commit, url = _commit(api, repo_id, files, message, revision, create_pr)
        _read_back(repo_id, commit, files, folder)
    return {"repo_id": repo_id, "revision": commit, "url": url, "files": sorted(files), "changed": commit != before}


def check(repo_id: str) -> None:
    """Finds out what can be found out before there is anything to publish.

    Args:
        repo_id: Where to.

    Raises:
        InputError: If the name is impossible, there is no token, or it is a bad one or one that only reads.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InputError(f"{repo_id}: not a possible name of a repository ({error})") from error
    if "/" not in repo_id:
        raise InputError(f"{repo_id}: give the owner, too: USER/{repo_id}")
    if get_token() is None:
        raise InputError("no token for the Hub; set HF_TOKEN, or run `hf auth login`")
    with _explained(repo_id):
        user = _retrying(HfApi().whoami)
    if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise InputError("the token can only read; make one that may write at https://huggingface.co/settings/tokens")


def _stage(folder: Path, staging: Path) -> dict[str, Path]:
    """Copies what is to be published, without anything that isn't public, and gives it by its name."""
    for path in sorted({path for pattern in PUBLISHED for path in folder.glob(pattern)}):
        shutil.copyfile(path, staging / path.name)
    if (report := staging / CONVERSION).exists():
        content = json.loads(report.read_text(encoding="utf-8"))
        places = {name: public_name(content[name]) for name in ("source", "text_sample") if name in content}
        write_json(report, content | places)
    files = {path.name: path for path in sorted(staging.iterdir())}
    token = get_token().encode()
    for name, path in files.items():
        if path.suffix != ".safetensors" and token in path.read_bytes():
            raise InputError(f"{folder / name} holds your token; take it out")
    return files


def _repository(api: HfApi, repo_id: str, private: bool, revision: str | None) -> str:
    """Makes sure that the repository is there, and the branch; gives its last commit."""
    try:
        info = _retrying(lambda: api.model_info(repo_id))
        if private and not info.private:
            raise InputError(
                f"{repo_id} exists and is public; make it private in its settings, or leave out --private"
            )
    except RepositoryNotFoundError:
        _retrying(lambda: api.create_repo(repo_id, private=private, exist_ok=True))
        info = _retrying(lambda: api.model_info(repo_id))
    if revision is None:
        return info.sha
    try:
        return _retrying(lambda: api.model_info(repo_id, revision=revision)).sha
    except RevisionNotFoundError:
        _retrying(lambda: api.create_branch(repo_id, branch=revision, exist_ok=True))
        return _retrying(lambda: api.model_info(repo_id, revision=revision)).sha


def _commit(
    api: HfApi, repo_id: str, files: dict[str, Path], message: str, revision: str | None, create_pr: bool
) -> tuple[str, str]:
    """Commits, and gives the commit and its page.

    If an answer is lost, a new try sees whether the commit, or the pull request, is there already.
    """
    known = {each.num for each in _pull_requests(api, repo_id, message)} if create_pr else set()

    def commit() -> tuple[str, str]:
        for each in _pull_requests(api, repo_id, message) if create_pr else ():
            if each.num not in known:
                return api.model_info(repo_id, revision=f"refs/pr/{each.num}").sha, each.url
        there = list_repo_files(repo_id, revision=revision)
        stale = [name for name in there if name not in files and any(map(Path(name).match, PUBLISHED))]
        operations = [CommitOperationAdd(name, path) for name, path in files.items()]
        operations += [CommitOperationDelete(name) for name in stale if "/" not in name]
        info = api.create_commit(repo_id, operations, commit_message=message, revision=revision, create_pr=create_pr)
        return info.oid, info.pr_url or info.commit_url

    return _retrying(commit)


def _pull_requests(api: HfApi, repo_id: str, title: str) -> list[Any]:
    found = api.get_repo_discussions(repo_id, discussion_type="pull_request", discussion_status="open")
    return [each for each in found if each.title == title]


def _read_back(repo_id: str, commit: str, files: dict[str, Path], folder: Path) -> None:
    """Compares each file, and what the model says, with what is in the folder."""
    with tempfile.TemporaryDirectory() as cache:
        for name, path in files.items():
            where = {"revision": commit, "cache_dir": cache}
            read = _retrying(lambda name=name, where=where: hf_hub_download(repo_id, name, **where))
            if pooch.file_hash(read, alg="sha256") != pooch.file_hash(str(path), alg="sha256"):
                raise InputError(f"{repo_id}: {name} read back differs from what was pushed; push again")
        theirs, ours = load_model(repo_id, revision=commit, cache_dir=cache), load_model(str(folder))
        scores = [[row["scores"] for row in predict(*each, EXAMPLES)] for each in (theirs, ours)]
    if scores[0] != scores[1]:
        raise InputError(f"{repo_id}: the model read back gives other results than {folder}; push again")


def _retrying(call: Callable[[], Answer]) -> Answer:
    """Calls again after server errors and lost connections: only for what may be done twice."""
    for wait in WAITS:
        try:
            return call()
        except CONNECTION as error:
            reason = type(error).__name__
        except HfHubHTTPError as error:
            if error.response.status_code < 500 and error.response.status_code != 429:
                raise
            reason = str(error.response.status_code)
        logger.info("The Hub didn't answer as it should (%s); again in %d s", reason, wait)
        time.sleep(wait)
    return call()


@contextmanager
def _explained(repo_id: str) -> Any:
    """Says in one line what the Hub refused, and what to do."""
    whole = "what was there before is whole; push again"
    try:
        yield
    except CONNECTION as error:
        name = type(error).__name__
        raise InputError(f"{repo_id}: the connection to the Hub broke off ({name}); {whole}") from error
    except RuntimeError as error:  # of an upload, after huggingface_hub's own tries
        raise InputError(f"{repo_id}: an upload to the Hub broke off ({error}); {whole}") from error
    except HfHubHTTPError as error:
        code = error.response.status_code
        if code == 401:
            reason = "the Hub doesn't know the token (401); set HF_TOKEN, or run `hf auth login`, with a valid one"
        elif code == 403:
            reason = "the token may not write there (403); use your own name or your organization's, and a write token"
        elif code >= 500 or code == 429:
            reason = f"the Hub is out of order ({code}); {whole}, later"
        else:
            reason = f"the Hub refused ({code}): {(error.server_message or str(error)).strip().splitlines()[0]}"
        raise InputError(f"{repo_id}: {reason}") from error
