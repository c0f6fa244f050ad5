"""The card of a repository, README.md: written from records, checkpoints and sets alone."""

from typing import Any, Final

from cvgl_bench.hub.page import Repo
from cvgl_bench.hub.parcel import SET, WEIGHTS, Parcel
from cvgl_bench.manifest import SetPage
from cvgl_bench.record import Record
from cvgl_bench.submission.verdict import shown
from cvgl_bench.suite import MIXED, Cell
from cvgl_bench.summary import summarise
from cvgl_bench.tables import as_markdown, describe, model_table
from cvgl_bench.version import __version__

_TAGS: Final = ["cross-view-geo-localization", "robustness", "cvgl-bench"]
_METRICS: Final = {"r1_clean": "R@1 clean, %", "r1_cor": "R@1_cor, %", "rce": "RCE, %"}
_SIZES: Final = {10**3: "n<1K", 10**4: "1K<n<10K", 10**5: "10K<n<100K", 10**6: "100K<n<1M"}
_LONGEST_ABOUT: Final = 20_000
_FROST: Final = (
    "Pictures of the corruption frost hold pieces of five photographs of ice, which "
    "imagecorruptions distributes under Apache-2.0; nobody states who took them or under which "
    "terms."
)


def card(parcel: Parcel, repo: Repo, licence: str | None) -> str:
    """Write the card: the metadata that the Hub reads, then Markdown.

    Texts that somebody else may have written stand in code blocks, as printable ASCII.

    Args:
        parcel: what is pushed.
        repo: where to.
        licence: an identifier that the Hub knows, such as apache-2.0; None says nothing.
    """
    if parcel.set_page is not None:
        return _set_card(parcel.set_page, repo, licence)
    return _model_card(parcel, repo, licence)


def _model_card(parcel: Parcel, repo: Repo, licence: str | None) -> str:
    from huggingface_hub import ModelCardData

    name = repo.id.partition("/")[2]
    results = [result for record in parcel.records for result in _results(record)]
    metadata = ModelCardData(
        license=licence,
        library_name="cvgl-bench",
        tags=_TAGS,
        model_name=name if results else None,
        eval_results=results or None,
    )
    lines = _head(metadata, name, repo)
    if parcel.weights_sha256:
        lines += [
            "## Weights",
            "",
            f"`{WEIGHTS}`, SHA-256 `{parcel.weights_sha256}`.",
            *(
                _block(f"{shown(key)}: {shown(text, _LONGEST_ABOUT)}")
                for key, text in parcel.about.items()
            ),
            "",
        ]
    for record in parcel.records:
        lines += [
            f"## {record.model.name} on {record.suite.label}",
            "",
            as_markdown(model_table([record])),
            "",
            "In percent; ties count against the model.",
            _block("\n".join(shown(line) for line in describe(record).splitlines())),
            f"Ranks of every query: SHA-256 `{record.ranks_sha256}`.",
            "",
        ]
    return "\n".join(lines)


def _head(metadata: Any, name: str, repo: Repo) -> list[str]:  # noqa: ANN401
    return [
        "---",
        metadata.to_yaml(),
        "---",
        "",
        f"# {name}",
        "",
        f"Pushed by cvgl-bench {__version__}. This takes it and checks every file and number:",
        _block(f"cvgl-bench pull {repo} --out DIR"),
        "",
    ]


def _block(text: str) -> str:
    return f"\n```text\n{text}\n```\n"


def _results(record: Record) -> list[Any]:
    """The averages that the Hub shows beside others': only those that compare with others."""
    from huggingface_hub import EvalResult

    if record.not_comparable or record.degenerate or record.lacking:
        return []
    found = []
    for view in dict.fromkeys(score.view for score in record.cells):
        summary = summarise(record, view)
        for name, title in _METRICS.items():
            value = getattr(summary, name)
            if value is not None:
                found.append(
                    EvalResult(
                        task_type="image-feature-extraction",
                        task_name="Cross-view geo-localization",
                        dataset_type=record.suite.name,
                        dataset_name=f"{record.suite.label}, profile {record.suite.profile}",
                        dataset_config=view,
                        dataset_split=record.suite.split,
                        metric_type=name,
                        metric_name=title,
                        metric_value=round(100 * value, 2),
                    )
                )
    return found


def _set_card(page: SetPage, repo: Repo, licence: str | None) -> str:
    from huggingface_hub import DatasetCardData

    name = repo.id.partition("/")[2]
    size = next((text for most, text in _SIZES.items() if page.images < most), "1M<n<10M")
    metadata = DatasetCardData(
        license=licence,
        pretty_name=f"{page.suite} version {page.version}",
        task_categories=["image-feature-extraction"],
        size_categories=size,
        tags=_TAGS,
        configs=[
            {
                "config_name": _config(cell),
                "data_files": [
                    {"split": "test", "path": f"{SET}/parquet/{_config(cell)}/*.parquet"}
                ],
            }
            for cell in page.cells
        ],
    )
    partial = " It is partial: scores on it compare with no others." if page.partial else ""
    return "\n".join(
        [
            *_head(metadata, name, repo),
            f"Street panoramas of {page.dataset}, corrupted: {page.queries:,} queries in "
            f"{len(page.cells)} cells, {page.images:,} pictures. A row is a picture; a "
            f"configuration is a cell: view, corruption, severity.{partial}",
            _block(
                f"suite {page.suite} version {page.version}, profile {page.profile}, codec "
                f"{page.codec}\nfingerprint {page.fingerprint}\nmanifest {page.manifest_sha256}"
            ),
            "## Licence",
            "",
            "The panoramas are drawn by cvgl-bench from a seed; nobody else has rights in them.",
            *([_FROST] if {cell.corruption for cell in page.cells} & {"frost", MIXED} else []),
            "",
            "Sets made of CVUSA, CVACT or other collections of photographs may not be passed on, "
            "corrupted or not; cvgl-bench does not push them.",
            "",
        ]
    )


def _config(cell: Cell) -> str:
    return f"{cell.view}-{cell.corruption}-{cell.severity}"
