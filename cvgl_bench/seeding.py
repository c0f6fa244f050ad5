"""The seed of every output from what it is, never from order, process or shard."""

import hashlib
import json

import numpy as np


def identity_seed(*identity: str | int) -> int:
    """Hash an output's identity into a 256-bit seed.

    The parts are written as a JSON list before hashing, so that ("ab", "c") and ("a", "bc")
    differ, and so do 1 and "1".

    Args:
        identity: what names the output, such as suite seed, data set, image id, corruption,
            severity and view.
    """
    text = json.dumps(list(identity), ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest(), "big")


def generator(seed: int) -> np.random.Generator:
    """Make the generator (numpy's PCG64) that belongs to a seed of `identity_seed`."""
    return np.random.Generator(np.random.PCG64(seed))
