"""d2l's tokens from any English text: a vocabulary list becomes a stock fast tokenizer.

d2l reads the words of the Stanford parses that SNLI ships: Penn Treebank tokens, lowercased. People have raw
sentences. Both give the same tokens here, in three steps that tokenizer.json holds and no code of ours runs:
`REWRITES` change what the treebank spells differently, `TOKENS` cut the text, the vocabulary gives the ids.

No pattern scans further than the next word or mark before it may fail, so time stays linear on any text.
"""

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hf_nli.errors import InputError

SPECIAL_TOKENS = ("<unk>", "<pad>", "<mask>", "<cls>", "<sep>")

SPACE = r"\s\x1c-\x1f"  # where Python's str.split() splits
LETTER = rf"[[^{SPACE}\p{{P}}\p{{S}}]_]"  # what words are made of: letters, digits, accents, invisible characters
END = rf"(?!{LETTER})"

CLITIC = rf"'(?:[smd]|re|ve|ll){END}"  # dog 's, we 've
ELISION = rf"'(?:(?:n'?|em|til|cause|\d\ds?){END}|t(?=(?:is|was)?{END}))"  # slip 'n' slide, the '60s, 't is

ABBREVIATIONS = (
    r"mr|mrs|ms|dr|prof|gen|col|lt|sgt|capt|sen|gov|rev|jr|sr|ph\.d|"  # people
    r"st|mt|ft|rd|rt|ave|blvd|inc|corp|co|ltd|bros|dept|vs|etc|"  # places, firms, the rest
    r"jan|feb|apr|aug|sept|oct|nov|dec"  # not mar, sat, sun: more often words
)
ABBREVIATED = rf"(?<=\b(?:[a-z]\.[a-z]|{ABBREVIATIONS})\.)"  # right after the full stop of u.s. or dr.

# A space after `<`, so that no sentence holds "<sep>". The bare names stay as they are: `tokenizers` rewrites its
# special tokens in the same way before it looks for them.
MARKUP = (rf"(?!\A)<|(?!(?:{'|'.join(SPECIAL_TOKENS)})\z)<", "< ")

# What the treebank writes in other characters; the text is in lower case by now.
REWRITES = (
    ("’", "'"),
    ("‘", "`"),
    ("“", "``"),
    ("”", "''"),
    (rf"(?<={LETTER})n't{END}", " n't"),  # can't -> ca n't
    (r'(?<![^\s(\[{`])"(?!\s*\z)', "``"),  # opens a quotation: after a space or bracket, with more to come
    ('"', "''"),  # any other closes it
    (rf"(?<![^\s(\[{{`])(?!{CLITIC}|{ELISION})'(?={LETTER})", "`"),  # 'free car washes' -> ` free car washes '
    (r"\(", " -lrb- "),
    (r"\)", " -rrb- "),
    (r"\[", " -lsb- "),
    (r"\]", " -rsb- "),
    (r"\{", " -lcb- "),
    (r"\}", " -rcb- "),
    (r"--+|[–—―]", "--"),
    ("…", "..."),
    (r"\.{3,}", "..."),
    # The full stop of an abbreviation doesn't end the sentence, Stanford adds one that does: in the u.s. -> u.s. .
    (rf"\.(?=(?:[\s']|-r[rsc]b-)*+\z){ABBREVIATED}", ". ."),
)

# Holds a word together: blue-striped, u.s.-led, he/she, r&b, base.a, 10,000, 53:11, o'clock.
JOINT = rf"(?:\.?-|[./&]|(?<=\d)[,:](?=\d)|(?!{CLITIC})')(?=\w)"

# Every kind of token; the first that fits is cut off.
TOKENS = (
    r"-[lr][rsc]b-",
    r"--",
    r"\.\.+",
    r"``",
    r"''",
    CLITIC,
    ELISION,
    rf"can(?=not{END})|(?:gon|wan)(?=na{END})|got(?=ta{END})|(?:gim|lem)(?=me{END})",  # can not, gon na
    rf"[a-z]\.(?=\s++{LETTER})",  # an initial: j. smith, but: the letter d .
    r"no\.(?=\s?\d)",  # no. 7, but: she says no .
    rf"{LETTER}++(?:{JOINT}{LETTER}++)*+(?:\.{END}(?!\.\.){ABBREVIATED})?",  # a word, dr. with its full stop
    rf"[^{SPACE}][\p{{M}}\u200d]*+",  # any other mark, alone but for accents and emoji joiners
)


def build_tokenizer(tokens: list[str], max_length: int) -> PreTrainedTokenizerFast:
    """Makes the tokenizer that gives d2l's ids, from raw sentences and from d2l's own tokens alike.

    A pair becomes `<cls> premise <sep> hypothesis <sep>` with segments 0 and 1, as in d2l's section "Natural Language
    Inference: Fine-Tuning BERT". The text follows the Penn Treebank tokenization conventions as the parses in SNLI
    apply them, lowercased; text that is tokenized already stays as it is. `save_pretrained` and `AutoTokenizer` keep
    all of it.

    A special token that somebody types is ordinary text. That holds for a saved tokenizer.json in the `tokenizers`
    library as well, unless it is the whole text.

    Args:
        tokens: The vocabulary, index = id (d2l's vocab.json). Of equal entries the last one's id is used, as in d2l;
            the others keep their rows, under names that no text reaches: `len(tokenizer) == len(tokens)`.
        max_length: The most tokens the model takes, special tokens included (`model_max_length`).

    Returns:
        A tokenizer that gives `input_ids`, `token_type_ids` and `attention_mask`, each of shape (tokens,) for a pair
        and (pairs, longest) for a padded batch.

    Raises:
        InputError: The vocabulary isn't a list of strings, is empty or lacks special tokens.

    Example:
        >>> tokenizer = build_tokenizer(["<unk>", "<pad>", "<mask>", "<cls>", "<sep>", "it", "'s", "."], 128)
        >>> tokenizer("It's.", "it").input_ids
        [3, 5, 6, 7, 4, 5, 4]
    """
    check_vocabulary(tokens)
    ids = {token: index for index, token in enumerate(tokens)}
    for index, token in enumerate(tokens):
        if ids[token] != index:
            ids.setdefault(f"{token} {index}", index)

    backend = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(MARKUP[0]), MARKUP[1]),
            normalizers.Lowercase(),
            *(normalizers.Replace(Regex(pattern), text) for pattern, text in REWRITES),
        ]
    )
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("|".join(TOKENS)), behavior="removed", invert=True)
    backend.post_processor = processors.TemplateProcessing(
        single="<cls>:0 $A:0 <sep>:0",
        pair="<cls>:0 $A:0 <sep>:0 $B:1 <sep>:1",
        special_tokens=[(token, ids[token]) for token in ("<cls>", "<sep>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        # normalized: looked for in the rewritten text, where they don't occur
        **{f"{token[1:-1]}_token": AddedToken(token, special=True, normalized=True) for token in SPECIAL_TOKENS},
        split_special_tokens=True,
        model_max_length=max_length,
        padding_side="right",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],  # else Transformers 5 drops the segments
    )


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
