"""Publishing a model folder: one commit of exactly its files, read back and compared."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    Discussion,
    HfApi,
    get_token,
    hf_hub_download,
)
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import validate_repo_id

from hf_nli.card.card import write_card
from hf_nli.card.facts import EXAMPLES
from hf_nli.core.errors import InputError
from hf_nli.core.files import locked, sha256, write_json
from hf_nli.core.hub_ids import public_name
from hf_nli.core.report import Report
from hf_nli.hub.connection import WAITS, WHOLE, Connection
from hf_nli.inference.predictor import predict
from hf_nli.model.folder import CARD, CONFIG, CONVERSION, EVALUATIONS, MODEL, PUBLISHED, TOKENIZER
from hf_nli.model.load import load_model
from hf_nli.model.reports import FolderReports, read_reports
from hf_nli.model.source import ModelSource


@dataclass(frozen=True)
class PushReport(Report):
    """What was published.

    Attributes:
        repo_id: Where.
        revision: The commit.
        url: Its page, or that of the pull request.
        files: The files.
        changed: Whether there was something to commit.
    """

    repo_id: str
    revision: str
    url: str
    files: list[str]
    changed: bool


def push(
    model_name_or_path: str,
    repo_id: str,
    private: bool = False,
    revision: str | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
    license: str | None = None,
    waits: Sequence[float] = WAITS,
) -> PushReport:
    """Publishes a model folder on the Hub, in one commit, and reads it back.

    Reports that are about other weights than the folder's are left out. Files that were published before and aren't
    there any more are deleted in the same commit; others stay. Where nothing has changed, there is no commit.

    Args:
        model_name_or_path: A model folder, on disk.
        repo_id: Where to, `USER/NAME`.
        private: Whether to make a new repository private.
        revision: The branch; made, if it isn't there.
        commit_message: What the commit says.
        create_pr: Whether to open a pull request instead.
        license: The model's licence, for its card.
        waits: The seconds between tries where the Hub doesn't answer.

    Raises:
        InputError: If the folder isn't a model's or names code, the Hub refuses, or what is read back differs.
    """
    folder, hub = Path(model_name_or_path), Connection(repo_id, waits)
    if not ModelSource(str(model_name_or_path)).is_here:
        raise InputError(f"{model_name_or_path}: no such folder; only a model folder on disk can be pushed")
    _refuse_code(folder)
    check(repo_id, waits)
    message = commit_message or f"Push {folder.resolve().name} with hf_nli"
    with tempfile.TemporaryDirectory() as staging:
        with locked(folder):
            reports = read_reports(folder)
            write_card(folder, repo_id, license, reports)  # which loads the model, or says why it can't
            files = _stage(folder, Path(staging), reports)
        api = HfApi()
        with hub.explained():
            before = _repository(api, hub, private, revision if not create_pr else None)
            commit, url = _commit(api, hub, files, message, revision, create_pr)
            _read_back(hub, commit, files, folder)
    return PushReport(repo_id, commit, url, sorted(files), commit != before)


def check(repo_id: str, waits: Sequence[float] = WAITS) -> None:
    """Finds out what can be found out before there is anything to publish.

    Args:
        repo_id: Where to.
        waits: The seconds between tries where the Hub doesn't answer.

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
    hub = Connection(repo_id, waits)
    with hub.explained():
        user = hub.retry(HfApi().whoami)
    if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise InputError("the token can only read; make one that may write at https://huggingface.co/settings/tokens")


def _refuse_code(folder: Path) -> None:
    """Refuses to publish what would tell others to run code that isn't published."""
    for name in (CONFIG, "tokenizer_config.json"):
        if "auto_map" in (ModelSource(str(folder)).read_object(name) or {}):
            raise InputError(
                f"{folder}: {name} names code of its own (auto_map), which isn't published; take that out"
            )


def _stage(folder: Path, staging: Path, reports: FolderReports) -> dict[str, Path]:
    """Copies what is to be published, without anything that isn't public, and gives it by its name."""
    names = {path.name for pattern in (*MODEL, *TOKENIZER, CARD) for path in folder.glob(pattern)}
    for name in sorted(names | reports.files):
        shutil.copyfile(folder / name, staging / name)
    if reports.conversion:
        paths = {name: reports.conversion[name] for name in ("source", "text_sample") if name in reports.conversion}
        public = {name: public_name(path) for name, path in paths.items()}
        write_json(staging / CONVERSION, reports.conversion | public)
    if reports.evaluations:  # without those of other weights
        write_json(staging / EVALUATIONS, [each.as_dict() for each in reports.evaluations])
    files = {path.name: path for path in sorted(staging.iterdir())}
    token = (get_token() or "").encode()
    for name, path in files.items():
        if path.suffix != ".safetensors" and token and token in path.read_bytes():
            raise InputError(f"{folder / name} holds your token; take it out")
    return files


def _repository(api: HfApi, hub: Connection, private: bool, revision: str | None) -> str | None:
    """Makes sure that the repository is there, and the branch; gives its last commit."""
    repo_id = hub.repo_id
    try:
        info = hub.retry(lambda: api.model_info(repo_id))
        if private and not info.private:
            raise InputError(
                f"{repo_id} exists and is public; make it private in its settings, or leave out --private"
            )
    except RepositoryNotFoundError:
        hub.retry(lambda: api.create_repo(repo_id, private=private, exist_ok=True))
        info = hub.retry(lambda: api.model_info(repo_id))
    if revision is None:
        return info.sha
    try:
        return hub.retry(lambda: api.model_info(repo_id, revision=revision)).sha
    except RevisionNotFoundError:
        hub.retry(lambda: api.create_branch(repo_id, branch=revision, exist_ok=True))
        return hub.retry(lambda: api.model_info(repo_id, revision=revision)).sha


def _commit(
    api: HfApi, hub: Connection, files: dict[str, Path], message: str, revision: str | None, create_pr: bool
) -> tuple[str, str]:
    """Commits, and gives the commit and its page.

    If an answer is lost, a new try sees whether the commit, or the pull request, is there already.
    """
    repo_id = hub.repo_id
    known = {each.num for each in _pull_requests(api, repo_id, message)} if create_pr else set()

    def commit() -> tuple[str, str]:
        for each in _pull_requests(api, repo_id, message) if create_pr else ():
            if each.num not in known:
                return str(api.model_info(repo_id, revision=f"refs/pr/{each.num}").sha), each.url
        there = api.list_repo_files(repo_id, revision=revision)
        stale = [name for name in there if name not in files and any(map(Path(name).match, PUBLISHED))]
        operations: list[CommitOperationAdd | CommitOperationDelete] = []
        operations += [CommitOperationAdd(name, path) for name, path in files.items()]
        operations += [CommitOperationDelete(name) for name in stale if "/" not in name]
        try:
            info = api.create_commit(
                repo_id, operations, commit_message=message, revision=revision, create_pr=create_pr
            )
        except RuntimeError as error:  # of an upload, after huggingface_hub's own tries
            raise InputError(f"{repo_id}: an upload to the Hub broke off ({error}); {WHOLE}") from error
        return info.oid, info.pr_url or info.commit_url

    return hub.retry(commit)


def _pull_requests(api: HfApi, repo_id: str, title: str) -> list[Discussion]:
    found = api.get_repo_discussions(repo_id, discussion_type="pull_request", discussion_status="open")
    return [each for each in found if each.title == title]


def _read_back(hub: Connection, commit: str, files: dict[str, Path], folder: Path) -> None:
    """Compares each file, and what the model says, with what is in the folder."""
    repo_id = hub.repo_id
    with tempfile.TemporaryDirectory() as cache:

        def read(name: str) -> str:
            return hub.retry(lambda: hf_hub_download(repo_id, name, revision=commit, cache_dir=cache))

        for name, path in files.items():
            if sha256(read(name)) != sha256(path):
                raise InputError(f"{repo_id}: {name} read back differs from what was pushed; push again")
        theirs, ours = load_model(repo_id, revision=commit, cache_dir=cache), load_model(str(folder))
        scores = [[row["scores"] for row in predict(*each, EXAMPLES)] for each in (theirs, ours)]
    if scores[0] != scores[1]:
        raise InputError(f"{repo_id}: the model read back gives other results than {folder}; push again")
