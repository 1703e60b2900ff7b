"""The model card: what was measured, and nothing else, as README.md of a model folder."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from huggingface_hub import ModelCard, ModelCardData
from yaml import YAMLError

from hf_nli.card.commands import commands
from hf_nli.card.facts import OLDEST_TRANSFORMERS, CardFacts, read_facts
from hf_nli.card.metadata import PRECISIONS, Metadata, all_metadata, conditions, known_metadata
from hf_nli.core.errors import InputError
from hf_nli.core.files import staged
from hf_nli.core.hub_ids import public_name
from hf_nli.model.folder import CARD
from hf_nli.model.reports import FolderReports, read_reports

logger = logging.getLogger(__name__)

# Where they are in an installed package, and in a checkout.
TEMPLATES = [Path(__file__).parents[1] / "model_card", Path(__file__).parents[2] / "model_card"]
BEGIN, END = "<!-- begin: written by hf_nli, replaced at the next run -->", "<!-- end: written by hf_nli -->"
_MEMORY = re.compile(r"<!-- hf_nli: (\{.*\}) -->")


@dataclass(frozen=True)
class OldCard:
    """What a card has before it is written anew.

    Attributes:
        text: Its text, without metadata.
        metadata: Its metadata.
        repo_id: Where the model was pushed to.
        written: What of the metadata we wrote.
    """

    text: str = ""
    metadata: Metadata = field(default_factory=dict)
    repo_id: str | None = None
    written: Metadata = field(default_factory=dict)


def write_card(
    folder: str | Path,
    repo_id: str | None = None,
    license: str | None = None,
    reports: FolderReports | None = None,
) -> Path:
    """Writes or refreshes README.md from what the model folder holds; what isn't known is left out.

    Text outside of the generated part stays, and so do metadata that somebody else wrote.

    Args:
        folder: The model folder.
        repo_id: Where the model is on the Hub, for the examples; by default where it was pushed to before, or a name.
        license: The model's licence; by default what the card has, or training.json.
        reports: The folder's reports, if they have been read already.

    Returns:
        The file.

    Raises:
        InputError: If there is no model in the folder, or a README.md whose metadata can't be read.
    """
    folder = Path(folder)
    facts, old = read_facts(folder, reports or read_reports(folder)), _read(folder / CARD)
    known, repo_id = known_metadata(facts), repo_id or old.repo_id
    metadata = all_metadata(facts, known, old.metadata, old.written) | ({"license": license} if license else {})
    # What the card remembers of itself, for the next time.
    memory = json.dumps({"repo_id": repo_id, "metadata": known}).replace(">", r"\u003e")
    part = _render(facts, repo_id or f"USER/{facts.model.name}")
    part = f"{BEGIN}\n<!-- hf_nli: {memory} -->\n\n{part}\n\n{END}"
    if BEGIN in old.text and END in old.text:
        before, _, rest = old.text.partition(BEGIN)
        text = before.strip("\n") + ("\n\n" if before.strip() else "") + part + rest.partition(END)[2].rstrip("\n")
    else:
        text = f"{part}\n\n{old.text.strip()}".rstrip()
    with staged(folder) as temporary:
        header = ModelCardData(**metadata, ignore_metadata_errors=False).to_yaml()
        (temporary / CARD).write_text(f"---\n{header}\n---\n\n{text}\n", encoding="utf-8")
    return folder / CARD


def _read(path: Path) -> OldCard:
    if not path.exists():
        return OldCard()
    try:
        card = ModelCard.load(path, ignore_metadata_errors=True)
        found = _MEMORY.search(card.text)
        memory = json.loads(found.group(1)) if found else {}
    except (ValueError, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: its metadata can't be read ({reason}); mend or delete it") from error
    return OldCard(card.text, card.data.to_dict(), memory.get("repo_id"), memory.get("metadata", {}))


def _render(facts: CardFacts, repo_id: str) -> str:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined)
    environment.filters |= {"public": public_name, "conditions": conditions}
    environment.filters["precision"] = lambda name: PRECISIONS.get(name, name)
    made_with = facts.training.last if facts.training else facts.conversion
    return (
        environment.get_template("README.md.jinja")
        .render(
            facts=facts,
            repo_id=repo_id,
            commands=commands(facts),
            versions=", ".join(map(" ".join, made_with.versions.items())) if made_with else "",
            oldest_transformers=OLDEST_TRANSFORMERS,
        )
        .strip()
    )


@contextmanager
def card_matters_less() -> Iterator[None]:
    """Makes a warning of what keeps a card from being written: other results are there by then."""
    try:
        yield
    except InputError as error:
        logger.warning("The model's card stays as it is: %s", error)
