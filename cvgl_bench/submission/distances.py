"""How far the found tiles lie from the queries: the same in every cell and in every run."""

from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cvgl_bench.errors import RecordError
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.submission.verdict import shown

METRES_APART: Final = 0.01


class Distances(NamedTuple):
    """What a run says about distances, for each query and tile that it says something of.

    Attributes:
        ids: of the queries and tiles.
        pairs: (N,), ascending; the query's place times the number of ids, plus the tile's.
        metres: (N,).
    """

    ids: tuple[str, ...]
    pairs: NDArray[np.int64]
    metres: NDArray[np.float64]

    def __bool__(self) -> bool:
        return bool(len(self.pairs))


def distances_of(answers: RunAnswers) -> Distances:
    """Collect a run's distances; none where it does not say which tiles were found, or how far.

    The first distance of a pair counts: `agreement.refuse_moving_tiles` refuses others.
    """
    places = pd.Index(answers.ids)
    size = len(answers.ids)
    pairs, metres = [np.empty(0, np.int64)], [np.empty(0)]
    for each in answers.cells.values():
        if each.found is not None and each.metres is not None:
            tiles = places.get_indexer(pd.Index(each.found))
            known = tiles >= 0
            pairs.append((np.arange(size) * size + tiles)[known])
            metres.append(each.metres[known])
    unique, first = np.unique(np.concatenate(pairs), return_index=True)
    return Distances(answers.ids, unique, np.concatenate(metres)[first])


def refuse_other_distances(own: Distances, theirs: Distances, entry: str) -> None:
    """Refuse distances that another run of the same queries and tiles contradicts.

    Args:
        own: of the run.
        theirs: of a run that is there.
        entry: its name.

    Raises:
        RecordError: they differ by more than a centimetre; the sentence names query and tile.
    """
    _, here, there = np.intersect1d(own.pairs, theirs.pairs, True, return_indices=True)
    wrong = np.flatnonzero(np.abs(own.metres[here] - theirs.metres[there]) > METRES_APART)
    if not wrong.size:
        return
    at = wrong[0]
    query, tile = divmod(int(own.pairs[here[at]]), len(own.ids))
    raise RecordError(
        f"from the query {shown(own.ids[query], 80)} to the tile {shown(own.ids[tile], 80)} it is "
        f"{own.metres[here[at]]:.6g} m, and {theirs.metres[there[at]]:.6g} m in the run of {entry}."
    )
