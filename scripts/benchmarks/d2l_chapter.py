"""d2l 1.0.3's own code, and what its chapter on fine-tuning BERT defines but its package leaves out.

    pip install --no-deps d2l==1.0.3

The definitions are the book's (https://d2l.ai, section "Natural Language Inference: Fine-Tuning BERT"), whose code is
under the MIT-0 license. Measurements and tests compare with them.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch

# What d2l imports for pictures and notebooks.
_STUBS = ("torchvision", "torchvision.transforms", "PIL", "IPython", "IPython.display", "matplotlib")
_STUBS += ("matplotlib.pyplot", "matplotlib_inline", "matplotlib_inline.backend_inline")


def import_d2l(version_folder: Path | None = None) -> ModuleType:
    """Imports `d2l.torch`, with stubs for those packages that are not imported already.

    Args:
        version_folder: Where another version was installed to (`pip install --target`), which is imported beside it.
    """
    added = [name for name in _STUBS if name not in sys.modules]
    sys.modules.update({name: mock.MagicMock() for name in added})
    try:
        if not version_folder:
            return importlib.import_module("d2l.torch")
        spec = importlib.util.spec_from_file_location(f"d2l_{version_folder.name}", version_folder / "d2l/torch.py")
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        for name in added:
            del sys.modules[name]


d2l = import_d2l()


def vocabulary(tokens: list[str]) -> d2l.Vocab:
    """Makes a vocabulary as d2l's `load_pretrained_model` does from vocab.json."""
    vocab = d2l.Vocab()
    vocab.idx_to_token = tokens
    vocab.token_to_idx = {token: idx for idx, token in enumerate(vocab.idx_to_token)}
    return vocab


class SNLIBERTDataset(torch.utils.data.Dataset):
    """The data set of the chapter: tokenized text to padded ids, segments and valid lengths, by four processes."""

    def __init__(self, dataset, max_len, vocab=None):
        all_premise_hypothesis_tokens = [
            [p_tokens, h_tokens]
            for p_tokens, h_tokens in zip(
                *[d2l.tokenize([s.lower() for s in sentences]) for sentences in dataset[:2]], strict=True
            )
        ]
        self.labels = torch.tensor(dataset[2])
        self.vocab = vocab
        self.max_len = max_len
        (self.all_token_ids, self.all_segments, self.valid_lens) = self._preprocess(all_premise_hypothesis_tokens)

    def _preprocess(self, all_premise_hypothesis_tokens):
        with multiprocessing.Pool(4) as pool:
            out = pool.map(self._mp_worker, all_premise_hypothesis_tokens)
        all_token_ids = [token_ids for token_ids, segments, valid_len in out]
        all_segments = [segments for token_ids, segments, valid_len in out]
        valid_lens = [valid_len for token_ids, segments, valid_len in out]
        return (
            torch.tensor(all_token_ids, dtype=torch.long),
            torch.tensor(all_segments, dtype=torch.long),
            torch.tensor(valid_lens),
        )

    def _mp_worker(self, premise_hypothesis_tokens):
        p_tokens, h_tokens = premise_hypothesis_tokens
        self._truncate_pair_of_tokens(p_tokens, h_tokens)
        tokens, segments = d2l.get_tokens_and_segments(p_tokens, h_tokens)
        token_ids = self.vocab[tokens] + [self.vocab["<pad>"]] * (self.max_len - len(tokens))
        segments = segments + [0] * (self.max_len - len(segments))
        valid_len = len(tokens)
        return token_ids, segments, valid_len

    def _truncate_pair_of_tokens(self, p_tokens, h_tokens):
        # Reserve slots for '<CLS>', '<SEP>', and '<SEP>' tokens for the BERT input
        while len(p_tokens) + len(h_tokens) > self.max_len - 3:
            if len(p_tokens) > len(h_tokens):
                p_tokens.pop()
            else:
                h_tokens.pop()


class BERTClassifier(torch.nn.Module):
    """The net of the chapter."""

    def __init__(self, bert):
        super().__init__()
        self.encoder = bert.encoder
        self.hidden = bert.hidden
        self.output = torch.nn.LazyLinear(3)

    def forward(self, inputs):
        tokens_X, segments_X, valid_lens_x = inputs
        encoded_X = self.encoder(tokens_X, segments_X, valid_lens_x)
        return self.output(self.hidden(encoded_X[:, 0, :]))
