"""Each query's drawn heading, as a set keeps it: `headings.csv`, in the set's order of queries."""

import csv
import io

from cvgl_bench.datasets import Dataset
from cvgl_bench.suite import Suite
from cvgl_bench.views import draw_heading

HEADINGS = "headings.csv"


def headings_csv(suite: Suite, dataset: Dataset) -> bytes:
    """Write the drawn heading of each query, which every view uses that names none itself."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image_id", "heading_degrees"])
    for pair in dataset.pairs:
        writer.writerow([pair.id, draw_heading(suite.seed, dataset.name, pair.id)])
    return text.getvalue().encode()


def order_of(headings: bytes) -> list[str]:
    """Read the queries of what `headings_csv` wrote, in their order."""
    return [line["image_id"] for line in csv.DictReader(io.StringIO(headings.decode()))]
