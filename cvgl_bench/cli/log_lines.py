"""Progress in a file that somebody reads later: whole lines, each with its time."""

from __future__ import annotations

import logging
from typing import TextIO

EVERY_SECONDS = 30
# What tqdm fills in: no bar, which is for a terminal alone.
FORMAT = (
    "{desc}: {n:,} of {total:,}{unit}, {percentage:.0f} %, {elapsed} gone, {remaining} to go, "
    "{rate_fmt}"
)
WITHOUT_TOTAL = "{desc}: {n:,}{unit}, {elapsed} gone, {rate_fmt}"


class LogLines:
    """Takes what tqdm draws, and logs each state that it shows as a line.

    tqdm goes back to the start of a terminal's line to draw anew. In a file that would be one line
    without an end, so carriage returns and blanks are left out, and what remains is a line.

    Args:
        stream: where the lines go, for as long as this is there.
    """

    def __init__(self, stream: TextIO) -> None:
        self._handler = logging.StreamHandler(stream)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%FT%T%z"))
        self._logger = logging.Logger(__name__)
        self._logger.addHandler(self._handler)

    def write(self, text: str) -> None:
        """Log what is to be seen in the text."""
        if line := text.replace("\r", "").strip():
            self._logger.info("%s", line)

    def flush(self) -> None:
        """Have the stream write what it holds."""
        self._handler.flush()
