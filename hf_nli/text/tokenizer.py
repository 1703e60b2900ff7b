"""d2l's tokens from any English text: a vocabulary list becomes a stock fast tokenizer.

The text is rewritten and cut by the rules of a text style (see `rules`) that tokenizer.json holds, the
vocabulary gives the ids, and no code of ours runs.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hf_nli.core.errors import InputError
from hf_nli.core.files import write_json
from hf_nli.text.rules import TEXT_STYLES

SPECIAL_TOKENS = ("<unk>", "<pad>", "<mask>", "<cls>", "<sep>")

# A space after the `<` of a special token's name, so that no sentence holds "<sep>". A name that is the whole text
# stays: `tokenizers` rewrites the special tokens in the same way before it looks for them.
MARKUP = (
    rf"(?!\A(?:{'|'.join(SPECIAL_TOKENS)})\z)<(?=(?i:{'|'.join(token[1:] for token in SPECIAL_TOKENS)}))",
    "< ",
)

# What a saved tokenizer must encode as before: typed special tokens, marks, an unknown word, no words.
SAMPLES = (["A man isn't <sep> (in) \u201cUnterägeri\u201d\u2026", "", "<CLS> u.s."], ["It's 10,000.", "dog", " "])


def build_tokenizer(tokens: list[str], max_length: int, text_style: str = "ptb") -> PreTrainedTokenizerFast:
    """Makes the tokenizer that gives d2l's ids, from raw sentences and from d2l's own tokens alike.

    A pair becomes `<cls> premise <sep> hypothesis <sep>` with segments 0 and 1, as in d2l's section "Natural Language
    Inference: Fine-Tuning BERT". The text is lowercased and, by default, follows the Penn Treebank tokenization
    conventions as the parses in SNLI apply them, which are d2l's tokens; text that is tokenized already stays as it
    is. `save_tokenizer` and `AutoTokenizer` keep all of it. A special token that somebody types is ordinary text,
    unless it is all of the text; tokens that are added later (`add_special_tokens`, `add_tokens`) are found in texts.

    Args:
        tokens: The vocabulary, index = id (d2l's vocab.json). Of equal entries the last one's id is used, as in d2l;
            the others keep their rows, under names that no text reaches: `len(tokenizer) == len(tokens)`.
        max_length: The most tokens the model takes, special tokens included (`model_max_length`).
        text_style: One of `TEXT_STYLES`. "ptb" has d2l's tokens; "wikitext" has the forms of the text that d2l
            pretrains on, which a vocabulary knows better, for a model that is yet to be fine-tuned.

    Returns:
        A tokenizer that gives `input_ids`, `token_type_ids` and `attention_mask`, each of shape (tokens,) for a pair
        and (pairs, longest) for a padded batch.

    Raises:
        InputError: The vocabulary isn't a list of strings, is empty or lacks special tokens; or the text style is
            unknown.

    Example:
        >>> tokenizer = build_tokenizer(["<unk>", "<pad>", "<mask>", "<cls>", "<sep>", "it", "'s", "."], 128)
        >>> tokenizer("It's.", "it").input_ids
        [3, 5, 6, 7, 4, 5, 4]
    """
    check_vocabulary(tokens)
    if text_style not in TEXT_STYLES:
        raise InputError(f"no text style {text_style!r}; choose {' or '.join(TEXT_STYLES)}")
    style = TEXT_STYLES[text_style]
    ids = {token: index for index, token in enumerate(tokens)}
    for index, token in enumerate(tokens):
        if ids[token] != index:
            ids.setdefault(f"{token} {index}", index)

    backend = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(MARKUP[0]), MARKUP[1]),
            normalizers.Lowercase(),
            *(normalizers.Replace(Regex(pattern), text) for pattern, text in style.rewrites),
        ]
    )
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("|".join(style.tokens)), behavior="removed", invert=True)
    backend.post_processor = processors.TemplateProcessing(
        single="<cls>:0 $A:0 <sep>:0",
        pair="<cls>:0 $A:0 <sep>:0 $B:1 <sep>:1",
        special_tokens=[(token, ids[token]) for token in ("<cls>", "<sep>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        text_style=text_style,  # noted in tokenizer_config.json
        # normalized: looked for in the rewritten text, where they don't occur
        **{f"{token[1:-1]}_token": AddedToken(token, special=True, normalized=True) for token in SPECIAL_TOKENS},
        clean_up_tokenization_spaces=False,  # which older releases would do
        model_max_length=max_length,
        padding_side="right",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],  # else Transformers 5 drops the segments
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Saves a tokenizer so that Transformers 4 and 5 and `tokenizers` alone load it, with equal ids.

    Every writer of a model folder uses this: `save_pretrained` of Transformers 5 writes names that Transformers 4
    doesn't know.

    Args:
        tokenizer: Any fast tokenizer.
        folder: The folder to write to, which exists.

    Raises:
        RuntimeError: If what was written doesn't encode as the tokenizer does.
    """
    tokenizer.save_pretrained(folder)
    file, config_file = folder / "tokenizer.json", folder / "tokenizer_config.json"
    content, config = json.loads(file.read_text(encoding="utf-8")), json.loads(config_file.read_text(encoding="utf-8"))
    # What the last call asked for, where the tokenizer was loaded from, and code are not part of it.
    content |= {"truncation": None, "padding": None}
    others = ("backend", "is_local", "local_files_only", "auto_map")
    config = {key: value for key, value in config.items() if key not in others}
    if config["tokenizer_class"] == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config["model_input_names"] = tokenizer.model_input_names  # whose default differs
    if isinstance(config.get("extra_special_tokens"), list):
        config["additional_special_tokens"] = config.pop("extra_special_tokens")
    if tokenizer.init_kwargs.get("text_style") in TEXT_STYLES:
        _hide_special_tokens(content, config)
    write_json(file, content)
    write_json(config_file, config)
    if _encoded(AutoTokenizer.from_pretrained(folder, trust_remote_code=False)) != _encoded(tokenizer):
        raise RuntimeError(f"{folder}: the tokenizer as saved doesn't give the ids that it gave before")


def _hide_special_tokens(content: dict[str, Any], config: dict[str, Any]) -> None:
    """Takes our special tokens out of tokenizer.json: whoever reads that file alone finds none in a text.

    tokenizer_config.json names them for Transformers, and the post-processor has their ids.
    """
    kept = []
    for token in content["added_tokens"]:
        if token["content"] in SPECIAL_TOKENS:
            attributes = {name: value for name, value in token.items() if name != "id"}
            config[f"{token['content'][1:-1]}_token"] = {"__type": "AddedToken", **attributes}
        else:
            kept.append(token)
    content["added_tokens"] = kept


def _encoded(tokenizer: PreTrainedTokenizerBase) -> tuple[Any, ...]:
    tokenizer = copy.deepcopy(tokenizer)  # encoding sets truncation and padding, which are the caller's
    return dict(tokenizer(*SAMPLES)), tokenizer.model_max_length, tokenizer.padding_side, tokenizer.pad_token_id


def token_counts(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Counts the tokens of each text, and those of them that the vocabulary lacks; special tokens don't count.

    Args:
        tokenizer: Any fast tokenizer.
        texts: The texts; they are read as they are needed.
    """
    texts = iter(texts)
    while batch := list(islice(texts, 1000)):
        for ids in tokenizer(batch, add_special_tokens=False, verbose=False).input_ids:
            yield len(ids), ids.count(tokenizer.unk_token_id)


def count_unknown(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> tuple[int, int]:
    """Counts the tokens of all texts that the vocabulary lacks, and all tokens.

    Args:
        tokenizer: Any fast tokenizer.
        texts: The texts; they are read as they are needed.
    """
    unknown, total = 0, 0
    for tokens, lacking in token_counts(tokenizer, texts):
        unknown, total = unknown + lacking, total + tokens
    return unknown, total


def check_vocabulary(tokens: object, name: str = "the vocabulary") -> None:
    """Raises `InputError` for what can't be a d2l vocabulary.

    Args:
        tokens: What should be the list of tokens.
        name: Its file, for people.
    """
    remedy = "give the list of strings in the vocab.json of a d2l BERT"
    if not isinstance(tokens, list):
        raise InputError(f"{name} is of type {type(tokens).__name__}; {remedy}")
    for index, token in enumerate(tokens):
        if not isinstance(token, str):
            raise InputError(f"Entry {index} of {name} is of type {type(token).__name__}; {remedy}")
        if not token.isascii() and re.search("[\ud800-\udfff]", token):
            raise InputError(f"Entry {index} of {name} ({token!r}) holds half of a surrogate pair; {remedy}")
    if not tokens:
        raise InputError(f"{name} is empty; {remedy}")
    missing = [token for token in SPECIAL_TOKENS if token not in tokens]
    if missing:
        raise InputError(f"{name}, of {len(tokens)} tokens, lacks {', '.join(missing)}; {remedy}")
