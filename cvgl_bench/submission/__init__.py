"""Submissions: a run in one file, which is believed in nothing and computed again from its ranks.

archive.py       one zip of record.json and ranks.parquet; what else a zip can be is refused
texts.py         the record's JSON and the free text in it
table.py         the ranks as Parquet without compression; checked before anything is decoded
rehearsal.py     reading them first in a process that may die of it
reading.py       that process
agreement.py     the suite's cells, and answers that do not contradict each other
distances.py     how far tiles lie from queries, in all runs
plausibility.py  could a model have done this?
board.py         does it fit the runs that are on the leaderboard?
checking.py      all of it in order, as a report
packing.py       a run's folder becomes such a file
"""

from cvgl_bench.submission.checking import open_submission, verify, verify_file
from cvgl_bench.submission.packing import Packed, pack_run
from cvgl_bench.submission.verdict import Check, Report

__all__ = ["Check", "Packed", "Report", "open_submission", "pack_run", "verify", "verify_file"]
