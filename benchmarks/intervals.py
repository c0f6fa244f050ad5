"""Do 95 % intervals hold the truth 95 % of the time?

python -m benchmarks.intervals [--trials 400] [--queries 500]

Simulates runs whose truth is known. Every query has a difficulty of its own, drawn anew in each
trial, and is found in a cell with a chance that follows from it and from the cell's severity; the
truth is the expectation over all queries that there could be. Prints, for R@1 clean, R@1_cor, RCE
and the R@1_cor that two such models differ by, how often our interval (queries resampled, all cells
at once) holds the truth, how often a binomial one does that takes every answer of every cell as
independent (Wilson's, as scipy has it), and how wide both are.
"""

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmarks.corruptions import processor
from cvgl_bench.answers import Answers
from cvgl_bench.pairing import compare
from cvgl_bench.statistics import Interval, Sample, intervals
from cvgl_bench.suite import Suite, load_suite
from cvgl_bench.tables import as_markdown

_TRUTH_QUERIES = 2_000_000
OURS, NAIVE = "queries resampled", "every answer by itself"


@dataclass(frozen=True)
class Simulated:
    """A model: how its chance to find a query falls with difficulty and severity.

    Attributes:
        skill: of the model, in logits at no difficulty.
        loss: logits a severity.
    """

    skill: float
    loss: float

    def chance(self, difficulty: NDArray[np.float64], severity: int) -> NDArray[np.float64]:
        """The chance to find queries of these difficulties at a severity, 0 being clean."""
        logits = self.skill - difficulty - self.loss * severity
        chance: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
        return chance


ONE, OTHER = Simulated(2.5, 0.5), Simulated(2.3, 0.45)


def difficulties(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Of queries: most are alike, some are hopeless."""
    return rng.normal(0, 2, count)


def truths(suite: Suite) -> dict[str, float]:
    """What the numbers are over all queries that there could be."""
    difficulty = difficulties(np.random.default_rng(99), _TRUTH_QUERIES)
    corrupted = {
        model: float(np.mean([model.chance(difficulty, s).mean() for s in suite.severities]))
        for model in (ONE, OTHER)
    }
    clean = float(ONE.chance(difficulty, 0).mean())
    return {
        "r1_clean": clean,
        "r1_cor": corrupted[ONE],
        "rce": (clean - corrupted[ONE]) / clean,
        "difference": corrupted[ONE] - corrupted[OTHER],
    }


def simulated(suite: Suite, model: Simulated, difficulty: NDArray[np.float64], seed: int) -> Sample:
    """One run of a model on queries of these difficulties."""
    rng = np.random.default_rng(seed)
    cells = {
        cell: Answers(
            np.where(rng.random(len(difficulty)) < model.chance(difficulty, cell.severity), 1, 2)
        )
        for cell in suite.cells
    }
    return Sample(suite, "full", cells)


def naive(sample: Sample) -> dict[str, Interval]:
    """Binomial intervals that take the answers of a query in different cells as independent."""
    found = {}
    for name, wanted in (("r1_clean", 0), ("r1_cor", 1)):
        hits = [
            each.hits
            for cell, each in sample.cells.items()
            if bool(cell.severity) == bool(wanted) and cell.corruption != "codec_only"
        ]
        good, count = int(np.sum(hits)), int(np.size(hits))
        test = stats.binomtest(good, count).proportion_ci(method="wilson")
        found[name] = Interval(good / count, float(test.low), float(test.high))
    return found


def trial(suite: Suite, queries: int, number: int) -> dict[tuple[str, str], Interval]:
    """The intervals of one simulated pair of runs, by number and method."""
    difficulty = difficulties(np.random.default_rng([7, number]), queries)
    one = simulated(suite, ONE, difficulty, 2 * number)
    other = simulated(suite, OTHER, difficulty, 2 * number + 1)
    own = intervals(one)
    result = {(name, OURS): own[name] for name in ("r1_clean", "r1_cor", "rce")}
    result |= {(name, NAIVE): each for name, each in naive(one).items()}
    result["difference", OURS] = compare(one, other).overall["r1_cor"]
    return result


def main() -> None:
    """Run all trials and print how often the truth was held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--queries", type=int, default=500)
    options = parser.parse_args()
    suite = load_suite("cvtown-c")
    truth = truths(suite)
    held: dict[tuple[str, str], list[tuple[bool, float]]] = {}
    for number in range(options.trials):
        for key, each in trial(suite, options.queries, number).items():
            inside = each.low <= truth[key[0]] <= each.high
            held.setdefault(key, []).append((inside, each.high - each.low))
    rows = {
        f"{name}, {method}": {
            "truth, %": 100 * truth[name],
            "held, %": 100 * float(np.mean([inside for inside, _ in cases])),
            "mean width, points": 100 * float(np.mean([width for _, width in cases])),
        }
        for (name, method), cases in held.items()
    }
    print(f"{processor()}; {options.trials} trials of {options.queries} queries, {suite.label}\n")
    print(as_markdown(pd.DataFrame.from_dict(rows, orient="index").rename_axis("interval")))


if __name__ == "__main__":
    main()
