"""d2l's tokens from any English text: a vocabulary list becomes a stock fast tokenizer.

The text is rewritten and cut by the rules of a text style (see `text_styles`) that tokenizer.json holds, the
vocabulary gives the ids, and no code of ours runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hf_nli.core.errors import InputError
from hf_nli.core.files import write_json
from hf_nli.text.rules import TEXT_STYLES

SPECIAL_TOKENS = ("<unk>", "<pad>", "<mask>", "<cls>", "<sep>")

# A space after `<`, so that no sentence holds "<sep>". The bare names stay as they are: `tokenizers` rewrites its
# special tokens in the same way before it looks for them.
MARKUP = (rf"(?!\A)<|(?!(?:{'|'.join(SPECIAL_TOKENS)})\z)<", "< ")


def build_tokenizer(tokens: list[str], max_length: int, text_style: str = "ptb") -> PreTrainedTokenizerFast:
    """Makes the tokenizer that gives d2l's ids, from raw sentences and from d2l's own tokens alike.

    A pair becomes `<cls> premise <sep> hypothesis <sep>` with segments 0 and 1, as in d2l's section "Natural Language
    Inference: Fine-Tuning BERT". The text is lowercased and, by default, follows the Penn Treebank tokenization
    conventions as the parses in SNLI apply them, which are d2l's tokens; text that is tokenized already stays as it
    is. `save_pretrained` and `AutoTokenizer` keep all of it. A special token that somebody types is ordinary text.

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
        split_special_tokens=True,
        model_max_length=max_length,
        padding_side="right",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],  # else Transformers 5 drops the segments
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Saves a tokenizer so that typed special tokens stay ordinary text in every library that reads tokenizer.json.

    `split_special_tokens` isn't in tokenizer.json. Where a tokenizer has it, that file shall not tell which tokens are
    special: tokenizer_config.json does, for Transformers, and the post-processor has their ids.

    Args:
        tokenizer: Any tokenizer.
        folder: The folder to write to, which exists.
    """
    tokenizer.save_pretrained(folder)
    if not tokenizer.split_special_tokens:
        return
    file, config_file = folder / "tokenizer.json", folder / "tokenizer_config.json"
    content, config = json.loads(file.read_text(encoding="utf-8")), json.loads(config_file.read_text(encoding="utf-8"))
    kept = []
    for added in content["added_tokens"]:
        named = f"{added['content'][1:-1]}_token"
        if added["content"] in SPECIAL_TOKENS and config.get(named) == added["content"]:
            config[named] = {"__type": "AddedToken", **{name: added[name] for name in added if name != "id"}}
        else:
            kept.append(added)
    write_json(config_file, config)
    write_json(file, content | {"added_tokens": kept})


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


def check_vocabulary(tokens: list[str]) -> None:
    """Raises `InputError` for what can't be a d2l vocabulary."""
    remedy = "give the list of strings in the vocab.json of a d2l BERT"
    if not isinstance(tokens, list):
        raise InputError(f"The vocabulary is of type {type(tokens).__name__}; {remedy}.")
    for index, token in enumerate(tokens):
        if not isinstance(token, str):
            raise InputError(f"Entry {index} of the vocabulary is of type {type(token).__name__}; {remedy}.")
    if not tokens:
        raise InputError(f"The vocabulary is empty; {remedy}.")
    missing = [token for token in SPECIAL_TOKENS if token not in tokens]
    if missing:
        raise InputError(f"The vocabulary of {len(tokens)} tokens lacks {', '.join(missing)}; {remedy}.")
