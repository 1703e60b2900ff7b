"""The built-in sample: the release's format, d2l's layout, and labels that the hypothesis alone doesn't tell."""

import json
import re
from collections import Counter

import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from hf_nli.d2l.checkpoint import key_shapes, read_checkpoint
from hf_nli.data.load import NLIData
from hf_nli.sample.sample import write_sample
from hf_nli.text.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sample") / "sample")


@pytest.fixture(scope="module")
def rows(sample):
    """The genuine columns of each split, from the .jsonl files."""
    files = {split: sample.corpus / f"snli_1.0_{split}.jsonl" for split in ("train", "dev", "test")}
    return {split: [json.loads(line) for line in file.read_text().splitlines()] for split, file in files.items()}


def d2l_read_snli(file):
    """d2l's `read_snli` (section "The SNLI Dataset"), with the file as its argument."""

    def extract_text(s):
        s = re.sub("\\(", "", s)
        s = re.sub("\\)", "", s)
        s = re.sub("\\s{2,}", " ", s)
        return s.strip()

    label_set = {"entailment": 0, "contradiction": 1, "neutral": 2}
    with open(file) as f:
        rows = [row.split("\t") for row in f.readlines()[1:]]
    premises = [extract_text(row[1]) for row in rows if row[0] in label_set]
    hypotheses = [extract_text(row[2]) for row in rows if row[0] in label_set]
    return premises, hypotheses, [label_set[row[0]] for row in rows if row[0] in label_set]


def test_same_seed_same_files(sample, tmp_path):
    again = write_sample(tmp_path / "again")
    other = write_sample(tmp_path / "other", seed=1)
    files = [path.relative_to(sample.corpus.parent) for path in sample.corpus.parent.rglob("*") if path.is_file()]
    assert len(files) == 8
    for file in files:
        content = (sample.corpus.parent / file).read_bytes()
        assert content == (again.corpus.parent / file).read_bytes(), file
        assert content != (other.corpus.parent / file).read_bytes() or file.name == "vocab.json"


def test_columns_are_the_releases(sample, rows, shared):
    with open(shared / "data/snli/snli_1.0_dev.txt") as genuine, open(sample.corpus / "snli_1.0_dev.txt") as ours:
        assert genuine.readline() == ours.readline()
    with open(shared / "data/snli/snli_1.0_dev.jsonl") as genuine:
        assert list(json.loads(genuine.readline())) == list(rows["dev"][0])


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_d2l_reads_the_same_pairs_and_tokens(split, sample, rows):
    """From the parses d2l gets the tokens that our tokenizer makes of the sentences, all in the vocabulary."""
    vocabulary = json.loads((sample.checkpoint / "vocab.json").read_text())
    tokenizer = build_tokenizer(vocabulary, 64)
    premises, hypotheses, labels = d2l_read_snli(sample.corpus / f"snli_1.0_{split}.txt")
    gold = [row for row in rows[split] if row["gold_label"] != "-"]
    assert len(labels) == len(gold) > 500
    for row, premise, hypothesis in zip(gold, premises, hypotheses, strict=True):
        for sentence, tokens in ((row["sentence1"], premise), (row["sentence2"], hypothesis)):
            ids = tokenizer(sentence, add_special_tokens=False).input_ids
            assert tokenizer.convert_ids_to_tokens(ids) == tokens.lower().split()
            assert tokenizer.unk_token_id not in ids


def test_labels_are_balanced_and_some_undecided(sample):
    data = NLIData(str(sample.corpus))
    splits, dropped = data.read_all(), data.dropped
    assert list(splits) == ["train", "validation", "test"]
    for name, split in splits.items():
        counts = Counter(split["label"])
        assert max(counts.values()) <= 1.05 * min(counts.values())
        assert 0 < dropped[name] < 0.03 * len(split)


def words(rows):
    return {word for row in rows for side in "12" for word in re.findall(r"[\w']+", row[f"sentence{side}"].lower())}


def test_test_part_has_words_of_its_own(rows):
    held_out = words(rows["test"]) - words(rows["train"]) - words(rows["dev"])
    assert {"nurse", "pilot", "clown", "jazz"} <= held_out


def test_no_premise_of_one_split_is_in_another(rows):
    train, dev, test = ({row["sentence1"] for row in rows[split]} for split in ("train", "dev", "test"))
    assert not train & dev and not train & test and not dev & test


def test_the_hypothesis_alone_tells_little(rows):
    texts = {split: [row["sentence2"] for row in part] for split, part in rows.items()}
    labels = {split: [row["gold_label"] for row in part] for split, part in rows.items()}
    bag = CountVectorizer(ngram_range=(1, 3)).fit(texts["train"])
    model = LogisticRegression(max_iter=500).fit(bag.transform(texts["train"]), labels["train"])
    assert model.score(bag.transform(texts["dev"]), labels["dev"]) < 0.45


def test_hand_checked_pairs(rows):
    """The label follows from the premise for the first pairs; read them when the templates change."""
    for row in rows["train"][:300]:
        premise, hypothesis, label = row["sentence1"], row["sentence2"], row["gold_label"]
        for general, special in (("outdoors", "(in a park|on a beach)"), ("indoors", "(in a kitchen|in a library)")):
            if f"is {general}." in hypothesis and label != "-":
                place = re.search("in a park|on a beach|in a kitchen|in a library", premise, re.IGNORECASE)
                entailed = place and re.search(special, premise, re.IGNORECASE)
                assert label == ("entailment" if entailed else "contradiction" if place else "neutral")


def test_checkpoint_is_d2ls(sample, d2l):
    state = torch.load(sample.checkpoint / "pretrained.params", weights_only=True)
    checkpoint = read_checkpoint(str(sample.checkpoint), sample.num_heads)
    net = d2l.BERTModel(dropout=0.2, **vars(checkpoint.sizes))
    net.load_state_dict(state)  # strict: d2l's names, each and no other
    assert {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()} == key_shapes(checkpoint.sizes)
    assert state["encoder.token_embedding.weight"].std().item() == pytest.approx(1, abs=0.05)
