"""Writes model folders as each of the project's writers does, and what a program that loads them must compute.

python tests/compat/write_folders.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
)

from hf_nli.core.labels import ID2LABEL, LABEL2ID
from hf_nli.d2l.convert import convert
from hf_nli.data.load import load_nli
from hf_nli.model.load import load_model
from hf_nli.sample.sample import write_sample
from hf_nli.settings.recipe import Recipe
from hf_nli.text.tokenizer import save_tokenizer
from hf_nli.training.train import train
from hf_nli.training.trainer import NLITrainingArguments, make_trainer

LONG = "A student in a red hat is playing a guitar. " * 30
PAIRS = [
    ("A student in a red hat is playing a guitar.", "The person is wearing something red."),
    ("A student isn't sad.", "The student's friend can't play."),
    ("A student <sep> is <cls> <PAD> sad <mask>", "<unk> the <sep><sep>"),
    ("“É” 😍 你好 (in) [a] — park… 10,000", "in the U.S."),
    (" ", "."),
    ("guitar", "\u2003"),
    ("A <doc> student", "<doc>"),
    (LONG, "The person is sad."),
    ("The person is sad.", LONG),
    (LONG, LONG),
]
RECIPE = Recipe(max_train_steps=40, per_device_train_batch_size=32, learning_rate=1e-3, mixed_precision="no")


def write_folders(folder: Path) -> None:
    """Writes the folders, each with an expected.json."""
    sample = write_sample(folder / "sample")
    convert(str(sample.checkpoint), folder / "converted", num_heads=sample.num_heads)
    train(str(folder / "converted"), str(sample.corpus), folder / "trained", RECIPE)
    write_with_trainer(folder / "trainer", folder / "converted", sample.corpus)
    write_with_added_token(folder / "added", folder / "trained")
    write_other_bert(folder / "other_bert")
    for name in ("converted", "trained", "trainer", "added", "other_bert"):
        write_expected(folder / name)


def write_with_trainer(folder: Path, model: Path, corpus: Path) -> None:
    """What Trainer's own save leaves."""
    splits = load_nli(str(corpus))
    settings = NLITrainingArguments.from_recipe(RECIPE, folder, save_strategy="no", load_best_model_at_end=False)
    trainer = make_trainer(str(model), splits["train"], splits["validation"], settings)
    trainer.train()
    trainer.save_model(str(folder))


def write_with_added_token(folder: Path, model: Path) -> None:
    """A model that got a token of the user's."""
    net, tokenizer = load_model(str(model))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<doc>"]})
    torch.manual_seed(0)
    net.resize_token_embeddings(len(tokenizer))
    net.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)


def write_other_bert(folder: Path) -> None:
    """A cased BERT, as users fine-tune them."""
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] A a The the student red hat is in play ##s ##ing guitar ##s . É".split()
    tokenizer = BertTokenizer({word: index for index, word in enumerate(dict.fromkeys(words))}, do_lower_case=False)
    tokenizer.model_max_length = 64
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    labels = {"id2label": ID2LABEL, "label2id": LABEL2ID, "initializer_range": 0.2}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes, **labels)
    BertForSequenceClassification(config).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)


@torch.inference_mode()
def write_expected(folder: Path) -> None:
    """Writes what this environment computes: token ids and logits of each pair, truncated."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32").eval()
    inputs = tokenizer(*map(list, zip(*PAIRS, strict=True)), truncation=True)
    logits = [model(**tokenizer(*pair, truncation=True, return_tensors="pt")).logits[0].tolist() for pair in PAIRS]
    expected = {"pairs": PAIRS, "inputs": dict(inputs), "logits": logits, "max_length": tokenizer.model_max_length}
    expected["labels"] = [model.config.id2label[index] for index in range(model.config.num_labels)]
    (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")


if __name__ == "__main__":
    write_folders(Path(sys.argv[1]))
