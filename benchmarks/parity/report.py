"""How true are the corruptions? To the released files, and to imagecorruptions 1.1.2.

    make parity        or, with both environments there: python -m benchmarks.parity.report

Prints a row a corruption and severity. Released files: profile `published`, codec IJG libjpeg 9d.
imagecorruptions: profile `standard`, a panorama and odd-sized parts of it. What chance does not
touch, or what gets the other side's draws, is compared value by value: byte-identical, or within
how many grey levels and on which share of the values. The rest is compared as laws, over many
draws: Kolmogorov-Smirnov distance of the residuals (and how many times what chance leaves between
two samples of one law), and the worst of some thirty features of spread, correlation and spectrum,
in standard errors (z). Ends with status 1 if a cell is not near enough.
"""

import argparse
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from benchmarks.parity.library import PYTHON, Oracle
from benchmarks.parity.residuals import GROUPS, Bytes
from benchmarks.parity.samples import QUERY, Samples, samples_folder
from benchmarks.parity.synthetic import synthetic
from benchmarks.parity.verdicts import Verdict
from corruptions import FAMILIES, PILLOW

Verdicts = dict[tuple[str, int], Verdict]


def gather(cells: Iterable[tuple[str, int, Verdict]], what: str) -> Verdicts:
    """Verdicts by cell; says on stderr how far it is."""
    found: Verdicts = {}
    for name, severity, verdict in cells:
        found[name, severity] = verdict
        if severity == 5:
            print(f"{what}: {name}", file=sys.stderr, flush=True)
    return found


def why_no_samples(folder: Path | None) -> str | None:
    """A sentence on what is missing for the released files, or None."""
    if folder is None:
        return "The released files are skipped: no published-samples/CVUSA-C in $CVGL_BENCH_DATA."
    if find_spec("jpeglib") is None:
        return 'The released files are skipped: pip install "cvgl-bench[published]" for jpeglib.'
    return None


def panorama(folder: Path | None) -> tuple[Bytes, str]:
    """The picture for imagecorruptions, and what it is."""
    if folder is None:
        return synthetic(224, 1232), "a synthetic panorama"
    return PILLOW.decode((folder / "clean" / QUERY).read_bytes()), f"CVUSA panorama {QUERY[:7]}"


def row(name: str, severity: int, columns: list[Verdicts]) -> str:
    """A cell's line of the table; what is not near enough is marked."""
    verdicts = [column.get((name, severity), Verdict("-", good=True)) for column in columns]
    texts = [verdict.text if verdict.good else f"**{verdict.text}**" for verdict in verdicts]
    return f"| {name} | {severity} | {' | '.join(texts)} |"


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--draws", type=int, default=20, help="of a law; default: %(default)s")
    options = parser.parse_args()
    if options.draws < 2 * GROUPS:
        parser.error(f"--draws must be at least {2 * GROUPS}.")
    if not PYTHON.exists():
        parser.error(f"there is no {PYTHON}: make parity makes the environment.")
    folder = samples_folder()
    picture, what = panorama(folder)
    missing = why_no_samples(folder)
    released: Verdicts = {}
    with Oracle(picture, options.draws) as oracle:
        if folder and not missing:
            released = gather(Samples(folder).verdicts(options.draws), "released files")
        library = gather(oracle.verdicts(), "imagecorruptions")

    print(f"imagecorruptions: {what}, laws over {options.draws} draws. Bold is not near enough.\n")
    print("| corruption | severity | released files, profile published | imagecorruptions |")
    print("|---|---:|---|---|")
    for name in (name for names in FAMILIES.values() for name in names):
        for severity in range(1, 6):
            print(row(name, severity, [released, library]))
    for label, verdicts in (("Released files", released), ("imagecorruptions", library)):
        if verdicts:
            same = sum(verdict.text.startswith("byte-identical") for verdict in verdicts.values())
            bad = sum(not verdict.good for verdict in verdicts.values())
            print(
                f"\n{label}: {same} of {len(verdicts)} cells byte-identical, {bad} not near enough."
            )
    if missing:
        print(f"\n{missing}")
    bad_cells = [verdict for verdict in (*released.values(), *library.values()) if not verdict.good]
    sys.exit(1 if bad_cells else 0)


if __name__ == "__main__":
    main()
