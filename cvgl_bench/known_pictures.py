"""Which pictures a suite's runs are of, where this version knows it.

CVTown is drawn by the package, so its queries and tiles are the same everywhere. CVUSA and CVACT
are not the package's: of those the first run on a leaderboard says which pictures all are of.
"""

from typing import Final

from cvgl_bench.errors import RecordError
from cvgl_bench.record import Record

_CVTOWN_VAL: Final = (
    "1878dcf98a448fece674e4c2cadde1ee0abb75b04ed5d9cda6f1ffe3256e31ed",
    "3665ba9e2dfb6c956e7fbaca3c20250c036ca0068f1c58945ab9515f13210c56",
)
# By <suite>-<version>: the hash of the queries' ids, and that of the gallery.
KNOWN: Final = {"cvtown-c-5": _CVTOWN_VAL, "cvtown-fov-1": _CVTOWN_VAL}


def is_known(record: Record) -> bool:
    """Whether this version knows the pictures of a record's suite."""
    return record.suite.label in KNOWN


def refuse_unknown_pictures(record: Record) -> None:
    """Refuse a run of other pictures than its suite's, where they are known.

    Raises:
        RecordError: the ids of its queries or its gallery have another hash.
    """
    known = KNOWN.get(record.suite.label)
    if known is None:
        return
    found = (record.data.ids_sha256, record.data.gallery_sha256)
    for what, here, there in zip(("queries", "gallery"), known, found, strict=True):
        if here != there:
            raise RecordError(
                f"the {what} of {record.model.name} have the hash {there[:12] or 'none'}; those of "
                f"{record.suite.label} have {here[:12]}. Make the data set with cvgl-bench town."
            )
