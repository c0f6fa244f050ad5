"""Ranking where a query has several true references, shares one, or others show its place too.

`ranking.rank_all` knows one true reference a query. Here the best of them counts: its rank is one
more than the number of wrong references that are at least as similar. Where a query has several,
the ranks of all are needed for average precision, and are counted in float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.products import exact_lines
from cvgl_bench.ranking import MEMORY, TIE_TOLERANCE, Embeddings, Ranking, Ranks, rank_all
from cvgl_bench.scores import average_precision

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Relations:
    """What references are to queries.

    Attributes:
        true: of each query, the rows of its true references, at least one.
        semi_positive: of each query, the rows of those that show its place, too; None for data sets
            that know no such thing.
    """

    true: tuple[Rows, ...]
    semi_positive: tuple[Rows, ...] | None = None

    @classmethod
    def of(
        cls, true: Sequence[Sequence[int]], semi_positive: Sequence[Sequence[int]] | None = None
    ) -> "Relations":
        """Make them of plain rows."""
        others = None if semi_positive is None else tuple(map(_rows, semi_positive))
        return cls(tuple(map(_rows, true)), others)

    def refuse_unfit(self, queries: int, references: int) -> None:
        """Refuse relations that are not those of so many queries and references.

        Raises:
            ValueError: there are more or fewer queries, one has no true reference or a reference
                twice, or a row lies outside the references.
        """
        for rows in (self.true, self.semi_positive):
            if rows is None:
                continue
            if len(rows) != queries:
                raise ValueError(f"{len(rows)} queries have relations, not {queries}")
            for each in rows:
                if each.size and not (each.min() >= 0 and each.max() < references):
                    raise ValueError(f"a true reference lies outside the {references} references")
                if len(np.unique(each)) < len(each):
                    raise ValueError("a query has a true reference twice")
        if not all(each.size for each in self.true):
            raise ValueError("a query has no true reference")


@dataclass(frozen=True)
class Related:
    """What was found for each query.

    Attributes:
        ranking: rank of the best true reference, and the references that came first.
        true: (Q,), the row of that true reference; None where each query has one of its own.
        precision: (Q,), average precision over all true references; None with semi-positives, whose
            data sets have one true reference a query and no such metric.
        shows_place: (Q,), whether what came first is true or semi-positive; None without those.
    """

    ranking: Ranking
    true: Rows | None = None
    precision: NDArray[np.float64] | None = None
    shows_place: NDArray[np.bool_] | None = None


def rank_related(
    queries: Embeddings,
    references: Embeddings,
    relations: Relations,
    *,
    memory: int = MEMORY,
    device: str | None = None,
) -> Related:
    """Rank each query's best true reference among all references.

    Ties count against the model: a wrong reference that is as similar as the best true one, within
    the tolerance of `rank_all`, comes before it. A tie between two true references is none.

    Args:
        queries: (Q, D), unit length.
        references: (R, D), likewise.
        relations: which are true.
        memory: bytes, see `rank_all`.
        device: likewise.

    Raises:
        ValueError: as `rank_all` and `Relations.refuse_unfit`.
    """
    relations.refuse_unfit(len(queries), len(references))
    best = _best(queries, references, relations.true)
    ranking = rank_all(queries, references, best, memory=memory, device=device)
    several = [row for row, true in enumerate(relations.true) if len(true) > 1]
    all_ranks = {
        row: _count(line, relations.true[row], ranking, best, row)
        for row, line in exact_lines(queries, references, several, memory)
    }
    semi, precision, shown = relations.semi_positive, None, None
    if semi is None:
        precision = _precision(ranking.ranks, all_ranks)
    else:
        accepted = (np.append(*both) for both in zip(relations.true, semi, strict=True))
        found = ranking.found
        shown = np.array([found[row] in rows for row, rows in enumerate(accepted)], np.bool_)
    return Related(ranking, best, precision, shown)


def _rows(rows: Sequence[int]) -> Rows:
    return np.asarray(rows, dtype=np.int64)


def _best(queries: Embeddings, references: Embeddings, true: Sequence[Rows]) -> Rows:
    """The row of each query's most similar true reference, the first of equal ones."""
    best = np.empty(len(true), np.int64)
    for row, rows in enumerate(true):
        best[row] = rows[0]
        if len(rows) > 1:
            found = references[rows].astype(np.float64) @ queries[row].astype(np.float64)
            best[row] = rows[found.argmax()]
    return best


def _count(line: NDArray[np.float64], true: Rows, ranking: Ranking, best: Rows, row: int) -> Ranks:
    """The ranks of all of a query's true references; mends what `rank_all` took for one of one.

    The line is changed.
    """
    own = np.sort(line[true])[::-1]
    wrong = line
    wrong[true] = -np.inf
    # Only those before the last true reference have to be put in order.
    ordered = np.sort(wrong[wrong >= own[-1] - TIE_TOLERANCE])
    nearer = len(ordered) - np.searchsorted(ordered, own - TIE_TOLERANCE, side="left")
    ranks: Ranks = np.arange(1, len(true) + 1) + nearer
    ranking.ranks[row] = ranks[0]
    first = ranking.first[row]
    if ranks[0] > 1 and first[0] in true:
        instead = int(wrong.argmax())
        ranking.first[row] = np.append(instead, first[first != instead])[: len(first)]
    # Of true references that are tied, the rank is of the one that came first.
    listed = [one for one in ranking.first[row].tolist() if one in true]
    best[row] = listed[0] if listed else best[row]
    return ranks


def _precision(ranks: Ranks, all_ranks: dict[int, Ranks]) -> NDArray[np.float64]:
    """Average precision of each query; of one true reference, that of its rank."""
    different, places = np.unique(ranks, return_inverse=True)
    found: NDArray[np.float64] = np.array([average_precision([int(each)]) for each in different])[
        places
    ]
    for row, own in all_ranks.items():
        found[row] = average_precision(own.tolist())
    return found
