"""The vocabulary of a checkpoint, vocab.json: tokens in the order of their ids."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from hf_nli.core.errors import InputError, reason
from hf_nli.core.files import DAMAGED_ZIP
from hf_nli.d2l.formats import unpacked
from hf_nli.text.tokenizer import check_vocabulary


def read_tokens(vocabulary: Path | zipfile.Path) -> list[str]:
    """Reads a vocabulary.

    Args:
        vocabulary: A JSON file of a list of tokens, as d2l writes it, or of an object with each token's id.

    Returns:
        The tokens, index = id.

    Raises:
        InputError: If the file can't be read or isn't a d2l vocabulary, with each id from 0 on once.
    """
    try:
        content = vocabulary.read_bytes() if isinstance(vocabulary, Path) else unpacked(vocabulary).getvalue()
        tokens = json.loads(content.decode("utf-8-sig"))
    except (OSError, *DAMAGED_ZIP) as error:  # JSON's ValueError and RecursionError are among them
        raise InputError(f"{vocabulary}: not a readable JSON file ({reason(error)})") from error
    if isinstance(tokens, dict):
        tokens = _by_id(tokens, vocabulary)
    check_vocabulary(tokens, str(vocabulary))
    return tokens


def _by_id(ids: dict[str, Any], vocabulary: Path | zipfile.Path) -> list[str]:
    """The tokens of a vocabulary that gives each one's id, in the order of ids."""
    tokens = {index: token for token, index in ids.items() if type(index) is int}  # True is no id
    if sorted(tokens) != list(range(len(ids))):
        raise InputError(
            f"{vocabulary}: an object, but not of {len(ids)} tokens with the ids 0 to {len(ids) - 1}, each once; "
            "give d2l's list of tokens, or each token's id"
        )
    return [tokens[index] for index in range(len(ids))]
