"""The random numbers of `corruptions.chance`, the same bits, for many keys at once.

A number is a hash of a picture's key and a position, so it does not matter what else is in a batch.
Keys, 8 bytes a picture, are drawn on the host; everything else happens on the device.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from corruptions.chance import draw_key, normal_quantiles
from corruptions.gpu.tables import place

_LOW = 0xFFFFFFFF


def _signed(word: int) -> int:
    """A 64-bit word as torch's int64 holds it."""
    return word - (1 << 64) if word >> 63 else word


_STEP, _FIRST, _SECOND = (
    _signed(word) for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def draw_keys(rngs: Sequence[np.random.Generator], device: torch.device) -> Tensor:
    """A key from each generator, (B,), int64 with the bits of `chance.draw_key`'s."""
    keys = np.array([draw_key(rng) for rng in rngs], dtype=np.uint64)
    return place(keys.view(np.int64), device)


def _right(words: Tensor, bits: int) -> Tensor:
    """Shift right and fill up with zeros."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)


def _pair_words(keys: Tensor, pairs: Tensor) -> Tensor:
    """64 bits of every pair of positions, for every key: (B, *pairs.shape), int64."""
    word = keys.view(-1, *[1] * pairs.ndim) + (pairs + 1) * _STEP
    word = (word ^ _right(word, 30)) * _FIRST
    word = (word ^ _right(word, 27)) * _SECOND
    return word ^ _right(word, 31)


def words(keys: Tensor, count: int) -> Tensor:
    """The 32-bit words of positions 0..count - 1, (B, count), int64."""
    pairs = torch.arange((count + 1) // 2, device=keys.device)
    both = _pair_words(keys, pairs)
    return torch.stack([both & _LOW, _right(both, 32)], dim=-1).view(len(keys), -1)[:, :count]


def words_at(keys: Tensor, positions: Tensor) -> Tensor:
    """The 32-bit words of any positions, (B, *positions.shape), int64."""
    both = _pair_words(keys, positions >> 1)
    return torch.where((positions & 1).bool(), _right(both, 32), both & _LOW)


@lru_cache(maxsize=4)
def _quantiles_on(device: torch.device) -> Tensor:
    return place(normal_quantiles(), device)


def normals(keys: Tensor, height: int, width: int) -> Tensor:
    """Standard normal numbers, those of `chance.normals`: (B, height, width), float32."""
    drawn, quantiles = words(keys, height * width), _quantiles_on(keys.device)
    cell = drawn >> 16
    share = (drawn & 0xFFFF).to(torch.float32) * 2**-16
    del drawn
    below = quantiles[cell]
    return (below + share * (quantiles[cell + 1] - below)).view(-1, height, width)


def outcomes(entries: Tensor, drawn: Tensor, bits: int) -> Tensor:
    """What words draw from `chance.alias_tables` of 2 ** bits columns.

    Args:
        entries: of the words' columns (the word's top bits), int64.
        drawn: the words, same shape.
        bits: of a column's number.
    """
    own = drawn & ((1 << (32 - bits)) - 1)
    return torch.where(own < entries >> bits, drawn >> (32 - bits), entries & ((1 << bits) - 1))
