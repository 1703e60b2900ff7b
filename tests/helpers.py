"""What the tests build: d2l nets and checkpoints, and tiny models that take milliseconds."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from hf_nli.core.labels import ID2LABEL, LABEL2ID
from hf_nli.text.tokenizer import build_tokenizer, save_tokenizer

SPECIAL_TOKENS = ["<cls>", "<mask>", "<pad>", "<sep>", "<unk>"]
WORDS = ["a", "the", "man", "woman", "dog", "cat", "runs", "sleeps", "eats", "not", "is", "outside", ".", ","]


def tiny_tokenizer(words: list[str] = WORDS, max_length: int = 32) -> PreTrainedTokenizerFast:
    """A tokenizer of these words."""
    return build_tokenizer([*SPECIAL_TOKENS, *words], max_length)


def cut(tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    """The tokens of a text, whether or not the vocabulary has them."""
    backend = tokenizer.backend_tokenizer
    return [token for token, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))]


def write_tiny_model(folder: Path, **config: object) -> Path:
    """A stock model folder with random weights; `config` overrides what is small and ours."""
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "initializer_range": 0.2,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
        "pad_token_id": tokenizer.pad_token_id,
        "id2label": ID2LABEL,
        "label2id": LABEL2ID,
    }
    BertForSequenceClassification(BertConfig(**settings | config)).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


def launcher(processes: int = 2) -> list[str]:
    """The flags by which Python runs a script, or -m and a module, in several processes."""
    return ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]


SUBJECTS, VERBS = ["a man", "the woman", "a dog", "the cat"], ["runs", "sleeps", "eats"]


def write_pairs(path: Path, repeat: int = 4) -> str:
    """Pairs that a tiny model learns in a few steps: the hypothesis alone tells the label."""
    rows = []
    for subject in SUBJECTS:
        for verb in VERBS:
            premise = f"{subject} {verb}."
            rows.append({"premise": premise, "hypothesis": "is", "label": "entailment"})
            rows.append({"premise": premise, "hypothesis": "not .", "label": "contradiction"})
            rows.append({"premise": premise, "hypothesis": "outside", "label": "neutral"})
    rows.append({"premise": "a", "hypothesis": "a", "label": "-"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows * repeat))
    return str(path)


def d2l_model(d2l: ModuleType, seed: int = 0, **sizes: int) -> torch.nn.Module:
    """d2l's `BERTModel` in eval mode, with norms and biases moved away from where they start."""
    torch.manual_seed(seed)
    net = d2l.BERTModel(dropout=0.2, **sizes).eval()
    ids = torch.zeros(1, 4, dtype=torch.long)
    net(ids, ids, torch.tensor([4]), torch.tensor([[1]]))  # its layers are lazy
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("ln.weight"):
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return net


def write_checkpoint(folder: Path, state: dict[str, torch.Tensor], tokens: list[str] | None = None) -> Path:
    """Writes a checkpoint as d2l lays it out; without tokens, with as many made-up ones as it needs."""
    rows = len(state["encoder.token_embedding.weight"])
    tokens = tokens or SPECIAL_TOKENS + [f"word{index}" for index in range(rows - len(SPECIAL_TOKENS))]
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "pretrained.params")
    (folder / "vocab.json").write_text(json.dumps(tokens))
    return folder
