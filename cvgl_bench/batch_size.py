"""How many pictures go through a model at once, and what happens where memory is too short."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cvgl_bench.errors import ModelError

# How torch's allocators word it where they raise a plain RuntimeError.
_NO_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
)


class OutOfMemoryError(Exception):
    """A batch did not fit; a smaller one may."""


class BatchSize:
    """How many pictures go through a model at once: fewer, once its memory was too short for them.

    Attributes:
        asked: what was asked for.
        now: what is tried now, at least 1.
    """

    def __init__(self, asked: int) -> None:
        if asked < 1:
            raise ModelError(f"a batch holds at least one image, not {asked}.")
        self.asked = self.now = asked

    def make_smaller(self, failed: int, image: tuple[int, ...], who: str, done: int) -> None:
        """Go on with half of the number that failed.

        Args:
            failed: how many did not fit.
            image: height and width of each.
            who: model and side, for the message.
            done: how many images it had embedded before.

        Raises:
            ModelError: it was one.
        """
        if failed == 1:
            raise ModelError(
                f"{who} ran out of memory at image {done}, alone in its batch ({image[1]} x "
                f"{image[0]} pixels). Use a machine or --device with more memory, or a smaller "
                "model."
            )
        self.now = max(1, failed // 2)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Word in one way what torch says in several, that the device or machine has no memory left.

    Raises:
        OutOfMemoryError: it is so.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemoryError from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device or the machine had no memory left."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)
