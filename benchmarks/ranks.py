"""How fast are all queries ranked, and in how much memory?

python -m benchmarks.ranks [--size 20000] [--full] [--dimensions 1024] [--noise 8]

Prints seconds and peak memory of the public scorers' method and of ours, with numpy and with torch,
on as many random queries as references. The public method is written here from its description: the
whole matrix of similarities in blocks that are put together by torch, then a loop over the queries,
one comparison with all references each, for R@1, 5, 10 and 1 %. `--full` ranks the 92,802 of
CVACT_test as well, by ours only: the public method's matrix would take 32 GiB, and as much again
while it is put together. Every row runs in a process of its own, which imports what it needs (that
is why imports stand in functions here); memory is its peak less what it held with the embeddings
read and torch or numpy loaded, so that it is what ranking takes (Linux). `--noise` is how much
longer than a reference the noise is that makes its query: at 8, a third or so comes first; at 30,
true references lie in the midst of the others, which is the worst case for a coarse first pass.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvgl_bench.ranking import Embeddings, rank_all

PUBLIC = "public method"
OURS = {"ours, numpy": None, "ours, torch": "cpu", "ours, GPU": "cuda"}
FULL = 92_802
_STEP = 1000


def drawn(count: int, dimensions: int, seed: int) -> Embeddings:
    """Random rows of unit length, made in blocks that leave no trace in the peak memory."""
    rng = np.random.default_rng(seed)
    rows = np.empty((count, dimensions), np.float32)
    for first in range(0, count, 2000):
        block = rng.standard_normal((min(2000, count - first), dimensions), np.float32)
        rows[first : first + 2000] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return rows


def public(queries: Embeddings, references: Embeddings) -> NDArray[np.int64]:
    """Ranks by the whole matrix and a loop over queries; ties count for the model there."""
    import torch

    ours, gallery = torch.from_numpy(queries), torch.from_numpy(references)
    blocks = [ours[i : i + _STEP] @ gallery.T for i in range(0, len(ours), _STEP)]
    similarity = torch.cat(blocks)
    ranks = []
    for query in range(len(ours)):
        higher = similarity[query] > similarity[query, query]
        ranks.append(int(higher.sum()) + 1)
    return np.array(ranks)


def ranked(row: str, queries: Embeddings, references: Embeddings) -> NDArray[np.int64]:
    """The ranks by one row's method."""
    if row == PUBLIC:
        return public(queries, references)
    return rank_all(queries, references, np.arange(len(queries)), device=OURS[row]).ranks


def measure(row: str, options: argparse.Namespace) -> dict[str, float]:
    """One row: seconds, MiB, and a mean of ranks that both methods must have alike."""
    size, dimensions = options.size, options.dimensions
    references = drawn(size, dimensions, 1)
    # Near enough to their references that ranks are spread from 1 on.
    queries = drawn(size, dimensions, 2)
    queries += references / options.noise
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    # What loading libraries and compiled code takes is no part of ranking.
    ranked(row, queries[:400], references[:400])
    # From here on, the peak is that of ranking.
    Path("/proc/self/clear_refs").write_text("5")
    before, start = _status("VmRSS"), time.perf_counter()
    ranks = ranked(row, queries, references)
    seconds = time.perf_counter() - start
    peak = _status("VmHWM")
    found = {"seconds": seconds, "MiB for ranking": peak - before, "MiB in all": peak}
    return found | {"mean rank": float(ranks.mean()), "R@1, %": 100 * float((ranks == 1).mean())}


def _status(name: str) -> float:
    """This process's memory in MiB, as Linux tells it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Measure every row in a process of its own and print the tables."""
    options = _options()
    if options.row:
        print(json.dumps(measure(options.row, options)))
        return
    import torch

    from benchmarks.corruptions import processor

    print(f"{processor()}, {options.dimensions} numbers each\n")
    ours = [row for row, device in OURS.items() if device != "cuda" or torch.cuda.is_available()]
    table = {row: _run(row, options.size, options) for row in (PUBLIC, *ours)}
    for figures in table.values():
        for name in ("seconds", "MiB for ranking"):
            figures[f"public / this, {name}"] = table[PUBLIC][name] / figures[name]
    print(_shown(table, options.size))
    if options.full:
        print(f"\n{_shown({row: _run(row, FULL, options) for row in ours}, FULL)}")


def _run(row: str, size: int, options: argparse.Namespace) -> dict[str, float]:
    words = [sys.executable, "-m", "benchmarks.ranks", "--row", row, "--size", str(size)]
    words += ["--dimensions", str(options.dimensions), "--noise", str(options.noise)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _shown(table: dict[str, dict[str, float]], size: int) -> str:
    import pandas as pd

    from cvgl_bench.tables import as_markdown

    frame = pd.DataFrame.from_dict(table, orient="index")
    return as_markdown(frame.rename_axis(f"{size:,} queries, {size:,} references"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--noise", type=float, default=8)
    parser.add_argument("--full", action="store_true", help="CVACT_test's size as well")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
