"""Fuzzes what reads other people's files: whatever the bytes, they are read, or refused by an `InputError` of a line.

    pip install '.[fuzz]'
    python scripts/fuzz.py pytorch corpus -max_total_time=300

The first argument is one of `TARGETS`, the others are libFuzzer's: a folder of inputs to begin with, to which those
that reach new code are added, and limits. What ends otherwise is shown with its traceback, and kept as crash-...
"""

import io
import json
import os
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import atheris

FOLDER = Path(tempfile.mkdtemp(prefix="hf_nli_fuzz_"))
os.environ |= {"HF_HOME": str(FOLDER / "home"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

import torch  # after the environment, which libraries read, and outside of what is watched for new code
from transformers import BertConfig

with atheris.instrument_imports(include=["hf_nli"]):
    from hf_nli.core.errors import InputError
    from hf_nli.core.labels import LABELS, TWO_WAY_LABELS, label_id, label_order, label_set
    from hf_nli.d2l.checkpoint import Sizes, read_checkpoint
    from hf_nli.d2l.mxnet import DamagedFile, read_arrays
    from hf_nli.d2l.vocabulary import read_tokens
    from hf_nli.data.load import load_nli
    from hf_nli.sample.checkpoint import initial_state
    from hf_nli.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

SIZES = Sizes(num_hiddens=4, ffn_num_hiddens=4, num_heads=1, num_blks=1, max_len=5, vocab_size=5)
TOKENIZER = build_tokenizer(list(SPECIAL_TOKENS), max_length=128)
ROW = {"premise": "A man sleeps.", "hypothesis": "A man is awake.", "label": "contradiction"}


def state_file(zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(initial_state(SIZES), file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


WHOLE = state_file(zipped=True)
with zipfile.ZipFile(io.BytesIO(WHOLE)) as archive:
    MEMBERS = {member.filename: archive.read(member) for member in archive.infolist()}


def checkpoint(content: bytes) -> None:
    (FOLDER / "vocab.json").write_text(json.dumps(SPECIAL_TOKENS))
    (FOLDER / "pretrained.params").write_bytes(content)
    read_checkpoint(str(FOLDER), num_heads=1)


def pickled(content: bytes) -> None:
    """The instructions in PyTorch's zip, with its numbers beside them."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in MEMBERS.items():
            archive.writestr(name, content if name.endswith("data.pkl") else data)
    checkpoint(file.getvalue())


def mxnet(content: bytes) -> None:
    try:
        read_arrays(bytearray(content))
    except DamagedFile as error:
        raise InputError(str(error)) from error


def vocabulary(content: bytes) -> None:
    file = FOLDER / "vocab.json"
    file.write_bytes(content)
    build_tokenizer(read_tokens(file), max_length=128)


def table(suffix: str) -> Callable[[bytes], None]:
    def read(content: bytes) -> None:
        file = FOLDER / f"pairs{suffix}"
        file.write_bytes(content)
        load_nli(str(file), label_names=["entailment", "neutral", "contradiction"])

    return read


def labels(content: bytes) -> None:
    names = content.decode(errors="replace").split("\n")
    for name in names:
        for known in (LABELS, TWO_WAY_LABELS, label_set(names)):
            found = label_id(name, known)
            assert found is None or found in range(len(known)), (name, found)
    label_order(BertConfig(id2label=dict(enumerate(names))))


def tokens(content: bytes) -> None:
    text = content.decode(errors="replace")
    encoded = TOKENIZER(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    covered = set()
    for start, end in encoded["offset_mapping"]:
        assert 0 <= start < end <= len(text), (text, start, end)
        covered |= set(range(start, end))
    assert not "".join(char for place, char in enumerate(text) if place not in covered).split(), text


# What reads the bytes, and files to begin with.
TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "pytorch": (checkpoint, [WHOLE, state_file(zipped=False)]),
    "pickle": (pickled, [next(data for name, data in MEMBERS.items() if name.endswith("data.pkl"))]),
    "mxnet": (mxnet, [struct.pack("<QQQIiiqiii4xQQc", 0x112, 0, 1, 0xF993FACA, 0, 1, 1, 1, 0, 0, 1, 1, b"a")]),
    "vocabulary": (vocabulary, [json.dumps(SPECIAL_TOKENS).encode(), json.dumps({"<unk>": 0, "a": 1}).encode()]),
    "jsonl": (table(".jsonl"), [json.dumps(ROW).encode() + b"\n"]),
    "json": (table(".json"), [json.dumps([ROW]).encode()]),
    "csv": (table(".csv"), ["\n".join(",".join(cells) for cells in (ROW, ROW.values())).encode()]),
    "tsv": (table(".tsv"), ["\n".join("\t".join(cells) for cells in (ROW, ROW.values())).encode()]),
    "labels": (labels, ["\n".join((*LABELS, *TWO_WAY_LABELS)).encode()]),
    "tokens": (tokens, ["He isn't “here” (yet) – in the U.S.…".encode()]),
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"the first argument is one of {', '.join(TARGETS)}")
    read, seeds = TARGETS[sys.argv.pop(1)]
    corpus = FOLDER / "seeds"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)

    def test(content: bytes) -> None:
        try:
            read(content)
        except InputError as error:
            assert str(error), "an error without a word"

    # libFuzzer adds to the first folder that is named, and reads the others
    folders = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    for folder in folders:
        Path(folder).mkdir(parents=True, exist_ok=True)
    atheris.Setup([*sys.argv, str(corpus)], test)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
