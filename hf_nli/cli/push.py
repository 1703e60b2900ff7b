"""`hf-nli push`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hf_nli.cli.checks import check_model
from hf_nli.cli.command import Command

if TYPE_CHECKING:
    from hf_nli.hub.push import PushReport


@dataclass(frozen=True, kw_only=True)
class PushArguments:
    """Flags of `hf-nli push`."""

    model_name_or_path: str = field(metadata={"help": "Model folder to publish."})
    repo_id: str = field(metadata={"help": "Where to: USER/NAME."})
    private: bool = field(default=False, metadata={"help": "Whether to make a new repository private."})
    revision: str | None = field(default=None, metadata={"help": "Branch; made, if it isn't there."})
    commit_message: str | None = field(default=None, metadata={"help": "What the commit says."})
    create_pr: bool = field(default=False, metadata={"help": "Whether to open a pull request instead."})
    license: str | None = field(
        default=None, metadata={"help": "License of the weights, for the card: mit, apache-2.0, …"}
    )


def check(arguments: PushArguments) -> None:
    """Refuses input that is missing."""
    check_model(arguments.model_name_or_path)


def execute(arguments: PushArguments) -> None:
    """Publishes, and prints where."""
    from hf_nli.hub.push import push

    report = push(
        model_name_or_path=arguments.model_name_or_path,
        repo_id=arguments.repo_id,
        private=arguments.private,
        revision=arguments.revision,
        commit_message=arguments.commit_message,
        create_pr=arguments.create_pr,
        license=arguments.license,
    )
    print(published(report))


def published(report: PushReport) -> str:
    """Says what a push did.

    Args:
        report: What `hub.push.push` gives.
    """
    if not report.changed:
        return f"Nothing new: {report.repo_id} has all of it already, read back and compared."
    return (
        f"Published {len(report.files)} files as {report.url},\n"
        f"  read back and compared: AutoModelForSequenceClassification.from_pretrained({report.repo_id!r})"
    )


COMMAND = Command("push", "publish a model folder on the Hub", (PushArguments,), execute, ("hf_nli.hub.push",), check)
