"""How English text becomes words: the rules of each text style, as regular expressions of the `tokenizers` library.

Every style works on lower case in two steps: `rewrites` change what it spells differently, `tokens` cut the text. No
pattern scans further than the next word or mark before it may fail, so time stays linear on any text.
"""

from __future__ import annotations

from dataclasses import dataclass

SPACE = r"\s\x1c-\x1f"  # where Python's str.split() splits
LETTER = rf"[[^{SPACE}\p{{P}}\p{{S}}]_]"  # what words are made of: letters, digits, accents, invisible characters
END = rf"(?!{LETTER})"
NEGATION = rf"n't{END}"
CUT = rf"(?:{END}|(?<={LETTER})(?={NEGATION}))"  # where a word of the treebank ends: can't -> ca n't

BRACKETS = {"(": "lrb", ")": "rrb", "[": "lsb", "]": "rsb", "{": "lcb", "}": "rcb"}
CLITIC = rf"'(?:[smd]|re|ve|ll){CUT}"  # dog 's, we 've
ELISION = rf"'(?:(?:n'?|em|til|cause|\d\ds?){CUT}|t(?=(?:is|was)?{CUT}))"  # slip 'n' slide, the '60s, 't is

ABBREVIATIONS = (
    r"mr|mrs|ms|dr|prof|gen|col|lt|sgt|capt|sen|gov|rev|jr|sr|ph\.d|"  # people
    r"st|mt|ft|rd|rt|ave|blvd|inc|corp|co|ltd|bros|dept|vs|etc|"  # places, firms, the rest
    r"jan|feb|apr|aug|sept|oct|nov|dec"  # not mar, sat, sun: more often words
)
ABBREVIATED = rf"(?<=\b(?:[a-z]\.[a-z]|{ABBREVIATIONS})\.)"  # right after the full stop of u.s. or dr.
FULL_STOP = rf"(?:\.{END}(?!\.\.){ABBREVIATED})?"  # dr. with its full stop
INITIAL = rf"[a-z]\.(?=\s++{LETTER})"  # j. smith, but: the letter d .
NUMBER = r"no\.(?=\s?\d)"  # no. 7, but: she says no .
JOINED = r"[\p{M}\u200d]"  # accents and emoji joiners
MARK = rf"[^{SPACE}]{JOINED}*+"  # any other mark, alone but for these

# Holds a word of the treebank together: blue-striped, u.s.-led, he/she, r&b, base.a, 10,000, 53:11, o'clock.
JOINT = rf"(?:\.?-|[./&]|(?<=\d)[,:](?=\d)|(?!{CLITIC})')(?=\w)"
PART = rf"{LETTER}(?:(?!{NEGATION}){LETTER})*+"  # of such a word

# A row of them becomes two or three, of which the first and the last stay: a token's offsets then cover the row.
DASHES = (r"(?<=-)-+(?=-)", "")
DOTS = (r"(?<=\.\.)\.+(?=\.)", "")


@dataclass(frozen=True)
class TextStyle:
    """The rules of a style.

    Attributes:
        rewrites: Patterns and what replaces them, in order.
        tokens: Patterns of every kind of token; the first that fits is cut off.
    """

    rewrites: tuple[tuple[str, str], ...]
    tokens: tuple[str, ...]


# The words of the Stanford parses that SNLI ships and d2l reads: Penn Treebank tokens.
PTB = TextStyle(
    rewrites=(
        ("’", "'"),
        ("‘", "`"),
        # Double ones begin with a space, so that no single one before them becomes a part of them: 'x'" -> x ' ''
        ("“", " ``"),
        ("”", " ''"),
        (r'(?<![^\s(\[{`])"(?!\s*\z)', " ``"),  # opens a quotation: after a space or bracket, with more to come
        ('"', " ''"),  # any other closes it
        # 'free car washes' -> ` free car washes '
        (rf"(?<![^\s(\[{{`])(?!{CLITIC}|{ELISION})'(?!{JOINED})(?={LETTER})", "`"),
        *((rf"\{bracket}", f" -{name}- ") for bracket, name in BRACKETS.items()),
        DASHES,
        ("[–—―]", "--"),
        ("…", "..."),
        DOTS,
        # The full stop of an abbreviation doesn't end the sentence, Stanford adds one that does: u.s. -> u.s. .
        (rf"\.(?=(?:[\s']|-r[rsc]b-)*+\z){ABBREVIATED}", ". ."),
    ),
    tokens=(
        r"-[lr][rsc]b-",
        r"--",
        r"\.\.+",
        r"``",
        r"''",
        CLITIC,
        ELISION,
        rf"can(?=not{CUT})|(?:gon|wan)(?=na{CUT})|got(?=ta{CUT})|(?:gim|lem)(?=me{CUT})",  # can not, gon na
        INITIAL,
        NUMBER,
        rf"{PART}(?:{JOINT}{PART})*+{FULL_STOP}",
        MARK,
    ),
)

# The words of WikiText, which d2l pretrains on: a @-@ b, 1 @,@ 000, don 't, "quoted". Reads the treebank's words too.
# Where it has one character for several (– for --, ( for -lrb-), a token's offsets cover the last of them.
WIKITEXT = TextStyle(
    rewrites=(
        ("[’‘]", "'"),
        ("``|''|[“”]", '"'),
        ("`", "'"),
        *((f"-{name}-", bracket) for bracket, name in BRACKETS.items()),
        (rf"(?<={LETTER})\s++(?={NEGATION})", ""),  # do n't -> don't, which is cut into don 't
        (rf"(?<={LETTER})-(?={LETTER})", " @-@ "),
        (r"(?<=\d),(?=\d)", " @,@ "),
        (r"(?<=\d)\.(?=\d)", " @.@ "),
        (r"--+|―", "–"),
        ("…", "..."),
        DOTS,
    ),
    tokens=(
        r"@[-,.]@",
        r"\.\.+",
        rf"(?<={LETTER})'{LETTER}++",  # don't -> don 't, o'neil -> o 'neil
        rf"'(?:[smdt]|re|ve|ll){END}",  # the same when they are apart already
        INITIAL,
        NUMBER,
        rf"{LETTER}++(?:\.-?(?=\w){LETTER}++)*+{FULL_STOP}",  # base.a, u.s.-led, dr. with its full stop
        MARK,
    ),
)

TEXT_STYLES = {"ptb": PTB, "wikitext": WIKITEXT}
