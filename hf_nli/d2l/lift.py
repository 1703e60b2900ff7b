"""The lift: d2l's BERT as a stock `BertForSequenceClassification` that computes the same function.

d2l's BERT has no LayerNorm on its embeddings; stock BERT has one, and at equal width it destroys each token's mean and
scale. A few spare dimensions make it harmless. With H = d2l's width, W = the stock width, m(x) = the mean of x over H:

1. *Embeddings.* The tables hold x - m(x), so they sum to zero, and a pair of carriers +-carry * m(x), carry < 1. Spare
   dimensions hold constants +c, -c, whose squares add up to W * scale^2; the segments' table has them, as each token
   is of a segment, and tokens that are added later need none of their own. The embedding LayerNorm then subtracts 0
   and divides by `scale`, a power of two that its weight multiplies back.
2. *First block.* Query, key and value read x as (x - m(x)) plus m(x) from the carriers. The residual path needs no
   mean: the next LayerNorm removes it anyway.
3. *First LayerNorm of a block.* Attention's output is centred (again, LayerNorm would remove its mean), so the mean
   over W is d2l's, and the variance is H/W times d2l's: weight sqrt(H/W) * gamma and eps * H/W repair that.
4. *Second LayerNorm.* The feed-forward output is centred too, and two extra hidden units pass m(x) through the ReLU
   to take it off the residual. What LayerNorm gives, gamma * n + beta, has a mean again, and the next block's
   residual needs it on every spare dimension. Spare dimensions therefore carry +-carry * m(gamma * z), small enough
   not to disturb the variance, and their LayerNorm weight scales them back.

Everything is exact in real arithmetic but for the carriers' share of the variances, and the token's own share of the
variance that the embedding LayerNorm divides by; both are small beside float32's rounding in all but the narrowest
nets. The constants are exact in bfloat16 and float16.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from transformers import BertConfig

from hf_nli.core.labels import ID2LABEL, LABEL2ID, LABELS
from hf_nli.d2l.checkpoint import Checkpoint

LAYER_NORM_EPS = 1e-5  # torch.nn.LayerNorm's default, which d2l uses
FLOAT16_MAX = 65504


def stock_shape(num_hiddens: int, num_heads: int) -> tuple[int, int, list[int]]:
    """Finds the narrowest stock shape that holds d2l's heads, the constants and the carriers.

    Every even W has W/2 = a^2 + b^2 + c^2 + d^2 (Lagrange's four-square theorem), so pairs of integers +-a, +-b, ...
    give a variance that is exactly 1.

    Args:
        num_hiddens: d2l's width H.
        num_heads: d2l's number of heads, a divisor of H.

    Returns:
        The hidden size W, the number of attention heads, and the integers a, b, ... (at most four).
    """
    smallest_head = math.ceil(num_hiddens / num_heads / 8) * 8
    for width in itertools.count(num_hiddens + 8 - num_hiddens % 8, step=8):
        constants = _fewest_squares(width // 2)
        if width - num_hiddens < 2 * len(constants) + 2:
            continue
        for head_size in range(smallest_head, width // num_heads + 1, 8):
            if width % head_size == 0:
                return width, width // head_size, constants
    raise AssertionError("unreachable: a multiple of every head size comes along")


def _fewest_squares(total: int) -> list[int]:
    for count in range(1, 5):
        for numbers in itertools.combinations_with_replacement(range(math.isqrt(total), 0, -1), count):
            if sum(number * number for number in numbers) == total:
                return list(numbers)
    raise AssertionError("unreachable: Lagrange's four-square theorem")


def lift(checkpoint: Checkpoint) -> tuple[BertConfig, dict[str, Tensor]]:
    """Computes the stock configuration and float32 state dict that equal a d2l checkpoint.

    The weights are computed in float64 and rounded once.

    Args:
        checkpoint: A d2l checkpoint with a classification head `output`, rows in the order of `labels.LABELS`.

    Returns:
        The configuration and a state dict for `BertForSequenceClassification`. The first H dimensions of the pooled
        output are d2l's, the others are zero.
    """
    sizes = checkpoint.sizes
    width, heads, constants = stock_shape(sizes.num_hiddens, sizes.num_heads)
    config = BertConfig(
        vocab_size=sizes.vocab_size,
        hidden_size=width,
        num_hidden_layers=sizes.num_blks,
        num_attention_heads=heads,
        # Four extra units (see 4. above); a multiple of 8 keeps half-precision matrix products on the fast path.
        intermediate_size=math.ceil((sizes.ffn_num_hiddens + 4) / 8) * 8,
        hidden_act="relu",
        max_position_embeddings=sizes.max_len,
        type_vocab_size=2,
        layer_norm_eps=LAYER_NORM_EPS * sizes.num_hiddens / width,
        classifier_dropout=0.0,
        pad_token_id=checkpoint.pad_token_id,
        id2label=ID2LABEL,
        label2id=LABEL2ID,
        architectures=["BertForSequenceClassification"],
    )
    state = _embeddings(checkpoint, width, constants)
    for block in range(sizes.num_blks):
        state |= _attention(checkpoint, block, config, carriers=sizes.num_hiddens + 2 * len(constants))
        state |= _feed_forward(checkpoint, block, config)
    state["bert.pooler.dense.weight"] = _padded(checkpoint.tensors["hidden.0.weight"], width, width)
    state["bert.pooler.dense.bias"] = _padded(checkpoint.tensors["hidden.0.bias"], width)
    state["classifier.weight"] = _padded(checkpoint.tensors["output.weight"], len(LABELS), width)
    state["classifier.bias"] = checkpoint.tensors["output.bias"]
    return config, {name: tensor.to(torch.float32).contiguous() for name, tensor in state.items()}


def _padded(tensor: Tensor, *shape: int) -> Tensor:
    """The tensor in the leading corner of zeros of the given shape."""
    padded = tensor.new_zeros(shape)
    padded[tuple(slice(size) for size in tensor.shape)] = tensor
    return padded


def _carry(num_hiddens: int) -> float:
    """How small means are carried, a power of two near sqrt(H) / 64.

    Smaller disturbs the variances less, but makes fine-tuning steps along the carried means larger by 1 / carry.
    Means themselves shrink with sqrt(H), so wider nets can carry them larger.
    """
    return 2.0 ** round(math.log2(math.sqrt(num_hiddens) / 64))


def _embeddings(checkpoint: Checkpoint, width: int, constants: list[int]) -> dict[str, Tensor]:
    hiddens = checkpoint.sizes.num_hiddens
    scale = 2.0 ** math.floor(math.log2(FLOAT16_MAX / max(constants)))
    pairs = torch.tensor([sign * scale * constant for constant in constants for sign in (1, -1)])
    carriers, carry = hiddens + len(pairs), _carry(hiddens)

    def table(name: str) -> Tensor:
        rows = checkpoint.tensors[name].reshape(-1, hiddens)
        mean = rows.mean(-1, dtype=torch.float64)
        lifted = rows.new_zeros(len(rows), width)
        lifted[:, :hiddens] = rows - mean[:, None]
        lifted[:, carriers] = carry * mean
        lifted[:, carriers + 1] = -carry * mean
        return lifted

    segments = table("encoder.segment_embedding.weight")
    segments[:, hiddens:carriers] = pairs
    weight = torch.full((width,), scale)
    weight[hiddens:carriers] = 0
    prefix = "bert.embeddings."
    return {
        prefix + "word_embeddings.weight": table("encoder.token_embedding.weight"),
        prefix + "position_embeddings.weight": table("encoder.pos_embedding"),
        prefix + "token_type_embeddings.weight": segments,
        prefix + "LayerNorm.weight": weight,
        prefix + "LayerNorm.bias": torch.zeros(width),
    }


def _attention(checkpoint: Checkpoint, block: int, config: BertConfig, carriers: int) -> dict[str, Tensor]:
    sizes, width = checkpoint.sizes, config.hidden_size
    hiddens, head = sizes.num_hiddens, sizes.num_hiddens // sizes.num_heads
    stock_head = width // config.num_attention_heads
    # Each d2l head fills the first rows of its own stock head.
    slots = torch.arange(hiddens) // head * stock_head + torch.arange(hiddens) % head
    source = f"encoder.blks.{block}.attention.W_"
    target = f"bert.encoder.layer.{block}.attention."
    state = {}
    for letter, name in (("q", "query"), ("k", "key"), ("v", "value")):
        weight, bias = (checkpoint.tensors[f"{source}{letter}.{part}"].double() for part in ("weight", "bias"))
        columns = _padded(weight, hiddens, width)
        if block == 0:
            total = weight.sum(1)
            columns[:, :hiddens] -= total[:, None] / hiddens
            columns[:, carriers] = total / (2 * _carry(hiddens))
            columns[:, carriers + 1] = -total / (2 * _carry(hiddens))
        # Stock attention divides by the square root of its own, larger head size.
        factor = math.sqrt(stock_head / head) if name == "query" else 1.0
        state[f"{target}self.{name}.weight"] = weight.new_zeros(width, width).index_copy(0, slots, factor * columns)
        state[f"{target}self.{name}.bias"] = bias.new_zeros(width).index_copy(0, slots, factor * bias)
    weight, bias = (checkpoint.tensors[f"{source}o.{part}"].double() for part in ("weight", "bias"))
    rows = _padded(weight - weight.mean(0), width, hiddens)
    state[f"{target}output.dense.weight"] = weight.new_zeros(width, width).index_copy(1, slots, rows)
    state[f"{target}output.dense.bias"] = _padded(bias - bias.mean(), width)
    gamma, beta = _norm(checkpoint, block, "addnorm1")
    state[f"{target}output.LayerNorm.weight"] = _padded(math.sqrt(hiddens / width) * gamma, width)
    state[f"{target}output.LayerNorm.bias"] = _padded(beta, width)
    return state


def _feed_forward(checkpoint: Checkpoint, block: int, config: BertConfig) -> dict[str, Tensor]:
    hiddens, units = checkpoint.sizes.num_hiddens, checkpoint.sizes.ffn_num_hiddens
    width, intermediate = config.hidden_size, config.intermediate_size
    names = ("dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias")
    w1, b1, w2, b2 = (checkpoint.tensors[f"encoder.blks.{block}.ffn.{name}"].double() for name in names)
    gamma, beta = _norm(checkpoint, block, "addnorm2")
    w2, b2 = w2 - w2.mean(0), b2 - b2.mean()

    # Hidden units relu(f), relu(-f) for each form of x that must pass the ReLU: m(x) and m(gamma * (x - m(x))).
    forms = torch.stack([torch.ones_like(gamma), gamma - gamma.mean()]) / hiddens
    hidden = _padded(w1, intermediate, width)
    hidden[units : units + 4, :hiddens] = torch.stack([forms[0], -forms[0], forms[1], -forms[1]])

    output, output_bias = _padded(w2, width, intermediate), _padded(b2, width)
    output[:hiddens, units] = -1
    output[:hiddens, units + 1] = 1
    signs = torch.ones(width - hiddens, dtype=torch.float64)
    signs[1::2] = -1
    signs -= signs.mean()  # they add up to zero for an odd number of spare dimensions too
    carried = _padded(gamma @ w2 / hiddens, intermediate)
    carried[units + 2], carried[units + 3] = 1, -1
    carry = _carry(hiddens)
    output[hiddens:] = carry * signs[:, None] * carried
    output_bias[hiddens:] = carry * signs * (gamma @ b2 / hiddens)

    ratio = math.sqrt(hiddens / width)
    target = f"bert.encoder.layer.{block}."
    return {
        target + "intermediate.dense.weight": hidden,
        target + "intermediate.dense.bias": _padded(b1, intermediate),
        target + "output.dense.weight": output,
        target + "output.dense.bias": output_bias,
        target + "output.LayerNorm.weight": ratio * torch.cat([gamma, 1 / (carry * signs)]),
        target + "output.LayerNorm.bias": torch.cat([beta, beta.mean().expand(width - hiddens)]),
    }


def _norm(checkpoint: Checkpoint, block: int, name: str) -> tuple[Tensor, Tensor]:
    prefix = f"encoder.blks.{block}.{name}.ln."
    return checkpoint.tensors[prefix + "weight"].double(), checkpoint.tensors[prefix + "bias"].double()
