"""A report's tables of what its models cost."""

import pandas as pd

from cvgl_bench import latex
from cvgl_bench.cost import MEASURES, Cost
from cvgl_bench.report import Report, marks
from cvgl_bench.report_tables import TextTable, table_page

_WHERE = "measured on"


def cost_files(report: Report) -> dict[str, bytes]:
    """The table of costs as CSV, Markdown and LaTeX, by name; nothing if no record says any."""
    if not any(run.record.cost for run in report.runs):
        return {}
    table = cost_table(report)
    return {
        "cost.csv": cost_frame(report).to_csv().encode(),
        "cost.md": table_page(table).encode(),
        "cost.tex": latex.tables_file(report, [table]).encode(),
    }


def cost_frame(report: Report) -> pd.DataFrame:
    """A row a model: what it costs, unrounded, and where that was measured."""
    rows = []
    for run in report.runs:
        cost = run.record.cost
        row: dict[str, object] = {"model": run.name}
        row |= {each.key: None if cost is None else each.of(cost) for each in MEASURES}
        row["batch_size"] = None if cost is None else cost.batch_size
        row["machine"] = "" if cost is None else cost.machine
        rows.append(row)
    numbers = {each.key: "float64" for each in MEASURES}
    return pd.DataFrame(rows).astype({**numbers, "batch_size": "Int64"}).set_index("model")


def cost_table(report: Report) -> TextTable:
    """What each model costs; no number is marked as the best, for machines differ."""
    costs = {run.name + "*" * bool(marks(run)): run.record.cost for run in report.runs}
    texts = {each.title: [each.text(cost) or "-" for cost in costs.values()] for each in MEASURES}
    machines = ["-" if cost is None else _setting(cost) for cost in costs.values()]
    known = sorted({machine for machine in machines if machine != "-"})
    if len(known) == 1:
        where = f"measured on {known[0]}"
    else:
        where = "times compare on one machine only"
        texts[_WHERE] = machines
    index = pd.Index(list(costs), name="model")
    frame = pd.DataFrame(texts, index)
    return TextTable(
        "cost",
        "What the models cost: milliseconds for one ground picture alone, and ground pictures a "
        f"second and peak memory in batches; {where}.",
        frame,
        pd.DataFrame(False, index, frame.columns),
        {**{each.title: each.short for each in MEASURES}, _WHERE: _WHERE},
        (tuple(frame.columns[:3]), tuple(frame.columns[3:])),
        (),
    )


def _setting(cost: Cost) -> str:
    return f"{cost.machine}, batches of {cost.batch_size}"
