"""What a d2l checkpoint is on disk, and how to read one: named float32 tensors and the token list."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pooch
import torch
from torch import Tensor

from hf_nli.core.errors import InputError, listed
from hf_nli.d2l.download import PUBLISHED, Framework
from hf_nli.d2l.formats import load_tensors
from hf_nli.d2l.pytorch import TOKEN_EMBEDDING
from hf_nli.d2l.source import find_checkpoint
from hf_nli.d2l.vocabulary import read_tokens
from hf_nli.settings.ranges import SHORTEST_PAIR

MAX_SCORES = 2**28  # of attention in a row of full length, of which the proof needs several tensors in float64


@dataclass(frozen=True)
class Sizes:
    """d2l's names for the shape of its `BERTModel`."""

    num_hiddens: int
    ffn_num_hiddens: int
    num_heads: int
    num_blks: int
    max_len: int
    vocab_size: int


@dataclass(frozen=True)
class Checkpoint:
    """A d2l BERT: float32 tensors by d2l's names (those that carry over), tokens by id, and where they came from.

    Attributes:
        tensors: The tensors.
        tokens: The tokens.
        sizes: The net's sizes.
        not_carried_over: Which keys of the file are left out.
        source: The source as it was given.
        sha1: The SHA-1 of its file.
        framework: What wrote it.
        entry: The key of the file that the state dict was under, if the file is a training checkpoint.
    """

    tensors: Mapping[str, Tensor]
    tokens: list[str]
    sizes: Sizes
    not_carried_over: list[str]
    source: str
    sha1: str
    framework: Framework
    entry: str | None = None

    @property
    def pad_token_id(self) -> int:
        """The id of `<pad>`; of duplicates the last one, as in d2l's `Vocab`."""
        return {token: index for index, token in enumerate(self.tokens)}["<pad>"]


def read_checkpoint(
    source: str,
    num_heads: int | None = None,
    vocab: str | Path | None = None,
    revision: str | None = None,
    framework: Framework | None = None,
) -> Checkpoint:
    """Reads a d2l checkpoint, accounting for every one of its keys.

    Args:
        source: `bert.small` or `bert.base` (downloaded and cached), a folder, a zip file or a repository on the Hub
            with pretrained.params and vocab.json, or a .params file, written by PyTorch or by MXNet. The state dict
            of a `BERTClassifier` is read with its head, a state dict in a training checkpoint if one alone fits.
        num_heads: Attention heads, which the tensors don't tell. Known for the published names.
        vocab: The vocabulary file, if it isn't the vocab.json beside the parameters.
        revision: The branch, tag or commit of a repository on the Hub.
        framework: Which of a published name's files to take, by default PyTorch's; files tell their own.

    Returns:
        The checkpoint. Tensors of its pretraining heads (`mlm.*`, `nsp.*`) are named but not kept.

    Raises:
        InputError: If a file is missing, damaged or not a d2l checkpoint, if a key is unknown, missing or of the wrong
            shape, or if the number of heads is not known.
    """
    published = PUBLISHED.get(source)
    if published:
        if num_heads not in (None, published.num_heads):
            raise InputError(f"{source} has {published.num_heads} heads, not {num_heads}: leave out --num_heads")
        num_heads = published.num_heads
    path, parameters, vocabulary = find_checkpoint(source, vocab, revision, framework)
    if num_heads is None:
        raise InputError(f"{source}: the number of attention heads can't be read off the weights; give --num_heads N")
    loaded = load_tensors(parameters, source)
    tensors, found = loaded.tensors, loaded.framework
    sha1 = pooch.file_hash(str(path if path.is_file() else parameters), alg="sha1")
    for name, known in PUBLISHED.items():
        if num_heads != known.num_heads and any(sha1 == file_sha1 for _, file_sha1 in known.files.values()):
            raise InputError(
                f"{source} is d2l's {name}, which has {known.num_heads} heads, not {num_heads}; give --num_heads "
                f"{known.num_heads} (`reproduce`: --checkpoint {name})"
            )
    if framework not in (None, found):
        raise InputError(f"{source}: {parameters.name} was written by {found}; leave out --framework {framework}")
    tokens = read_tokens(vocabulary)
    sizes = _sizes(tensors, num_heads, source)
    carried_over = _check_keys(tensors, sizes, source)
    if len(tokens) != sizes.vocab_size:
        raise InputError(f"{source}: {len(tokens)} tokens in the vocabulary, {sizes.vocab_size} rows of embeddings")
    return Checkpoint(
        tensors={name: tensors[name] for name in carried_over},
        tokens=tokens,
        sizes=sizes,
        not_carried_over=sorted(set(tensors) - set(carried_over)),
        source=source,
        sha1=sha1,
        framework=found,
        entry=loaded.entry,
    )


def _sizes(tensors: Mapping[str, Tensor], num_heads: int, source: str) -> Sizes:
    def shape(name: str, dimensions: int) -> torch.Size:
        if name not in tensors:
            raise InputError(f"{source}: {name} is missing; this is not a d2l BERT")
        if tensors[name].dim() != dimensions:
            raise InputError(
                f"{source}: {name} has shape {tuple(tensors[name].shape)}; expected {dimensions} dimensions"
            )
        if not tensors[name].numel():
            raise InputError(f"{source}: {name} has shape {tuple(tensors[name].shape)}, so it holds no values")
        return tensors[name].shape

    vocab_size, num_hiddens = shape(TOKEN_EMBEDDING, 2)
    if num_heads < 1 or num_hiddens % num_heads:
        raise InputError(
            f"{source}: a width of {num_hiddens} can't be divided among {num_heads} heads; give the right --num_heads "
            "(`reproduce`: the right --checkpoint)"
        )
    max_len = shape("encoder.pos_embedding", 3)[1]
    if max_len < SHORTEST_PAIR:
        raise InputError(f"{source}: {max_len} positions (encoder.pos_embedding); pairs need at least {SHORTEST_PAIR}")
    if num_heads * max_len**2 > MAX_SCORES:
        raise InputError(f"{source}: {max_len} positions (encoder.pos_embedding) are too many to prove a conversion")
    return Sizes(
        num_hiddens=num_hiddens,
        ffn_num_hiddens=shape("encoder.blks.0.ffn.dense1.weight", 2)[0],
        num_heads=num_heads,
        num_blks=len({match[1] for name in tensors if (match := re.match(r"encoder\.blks\.(\d+)\.", name))}),
        max_len=max_len,
        vocab_size=vocab_size,
    )


def _check_keys(tensors: Mapping[str, Tensor], sizes: Sizes, source: str) -> list[str]:
    """The strict two-way check: every key is known and of the right shape, and none is missing."""
    heads = [head for head in ("mlm", "nsp", "output") if any(name.startswith(f"{head}.") for name in tensors)]
    expected = key_shapes(sizes, heads)
    for problem, names in (
        ("unknown", tensors.keys() - expected.keys()),
        ("missing", expected.keys() - tensors.keys()),
    ):
        if names:
            raise InputError(f"{source}: {problem} keys for a d2l BERT: {listed(sorted(names))}")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise InputError(f"{source}: {name} has shape {tuple(tensors[name].shape)}, expected {shape}")
    carried_over = [name for name in expected if not name.startswith(("mlm.", "nsp."))]
    for name in carried_over:
        if not tensors[name].isfinite().all():
            raise InputError(f"{source}: {name} holds values that are not finite")
    return carried_over


def key_shapes(sizes: Sizes, heads: Collection[str] = ("mlm", "nsp")) -> dict[str, tuple[int, ...]]:
    """Lists the keys of d2l's state dicts (`BERTModel` of section "BERT", d2l 1.0) with their shapes.

    Args:
        sizes: The net's sizes.
        heads: Which heads it has: "mlm" and "nsp" after pretraining, "output" after fine-tuning.
    """
    hiddens, units, vocab = sizes.num_hiddens, sizes.ffn_num_hiddens, sizes.vocab_size
    shapes: dict[str, tuple[int, ...]] = {
        TOKEN_EMBEDDING: (vocab, hiddens),
        "encoder.segment_embedding.weight": (2, hiddens),
        "encoder.pos_embedding": (1, sizes.max_len, hiddens),
    }
    block: dict[str, tuple[int, ...]] = {f"attention.W_{letter}": (hiddens, hiddens) for letter in "qkvo"}
    block |= {"ffn.dense1": (units, hiddens), "ffn.dense2": (hiddens, units)}
    block |= {"addnorm1.ln": (hiddens,), "addnorm2.ln": (hiddens,)}
    layers = {
        f"encoder.blks.{index}.{name}": shape for index in range(sizes.num_blks) for name, shape in block.items()
    }
    layers["hidden.0"] = (hiddens, hiddens)
    if "mlm" in heads:
        layers |= {"mlm.mlp.0": (hiddens, hiddens), "mlm.mlp.2": (hiddens,), "mlm.mlp.3": (vocab, hiddens)}
    if "nsp" in heads:
        layers["nsp.output"] = (2, hiddens)
    if "output" in heads:
        layers["output"] = (3, hiddens)
    for name, shape in layers.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes
