"""Pulling: a commit's files, each checked, put in place when all of them are right."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cvgl_bench.errors import CvglBenchError, DataError
from cvgl_bench.executors import Progress, no_progress
from cvgl_bench.files import read, sha256_of_file, write_atomically
from cvgl_bench.hub.connection import Api, HubError, worded
from cvgl_bench.hub.page import LARGEST_PAGE, PAGE, Page, Repo, read_page
from cvgl_bench.hub.parcel import (
    RUNS,
    SET,
    WEIGHTS,
    files_of_run,
    files_of_set,
    read_about,
    refuse_other_weights,
)
from cvgl_bench.manifest import SET_PAGE, read_set
from cvgl_bench.record import Record
from cvgl_bench.runs import read_run
from cvgl_bench.scoring import RECORD
from cvgl_bench.site.pictures import MAY_BE_SHOWN
from cvgl_bench.version import __version__

PULLED: Final = "pulled.json"
_UNFINISHED: Final = ".pulling"
_COMMIT: Final = re.compile("[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True)
class Pulled:
    """What came of it.

    Attributes:
        repo: from where, at the commit that the revision was.
        folder: where to.
        files: paths in the folder.
    """

    repo: Repo
    folder: Path
    files: tuple[str, ...]


def pull(repo: Repo, out: Path, api: Api, progress: Progress = no_progress) -> Pulled:
    """Pull what `push` put into a repository.

    The revision is looked up once; everything is taken from that commit, which `pulled.json` names,
    written last. A pull that was killed goes on where it was.

    Args:
        repo: from where.
        out: a folder that is new, empty, or of a pull of the same commit.
        api: the Hub.
        progress: told 1 for each file that is there and right.

    Raises:
        HubError: the Hub cannot be reached or does not let it happen, or what is there is not what
            push puts there.
        CvglBenchError: a record does not follow from its ranks, or a set is not whole.
    """
    _refuse_used(out, repo)
    with worded(repo, out):
        info = api.repo_info(repo.id, repo_type=repo.kind, revision=repo.revision)
    commit = str(info.sha)
    if not _COMMIT.fullmatch(commit):
        raise HubError(f"the Hub names no commit for {repo}, but '{commit[:80]}'.")
    pinned = Repo(repo.kind, repo.id, commit)
    if PAGE not in {file.rfilename for file in info.siblings or ()}:
        raise HubError(f"{pinned} holds no {PAGE}: cvgl-bench has not pushed it.")
    _refuse_other_commit(out, pinned)
    scratch = out / _UNFINISHED / commit
    page = _fetch_page(pinned, scratch, api)
    if (out / PULLED).is_file() and all(_is_right(out / path, page, path) for path in page.files):
        progress(len(page.files))
    else:
        _fetch_all(pinned, page, scratch, api, progress)
        _refuse_unfit(pinned, page, scratch)
        _put_in_place(pinned, repo, page, scratch, out)
    shutil.rmtree(out / _UNFINISHED, ignore_errors=True)
    return Pulled(pinned, out, tuple(page.files))


def _is_right(file: Path, page: Page, path: str) -> bool:
    entry = page.files[path]
    if not file.is_file() or file.stat().st_size != entry.bytes:
        return False
    return sha256_of_file(file) == entry.sha256


def _fetch_all(pinned: Repo, page: Page, scratch: Path, api: Api, progress: Progress) -> None:
    for path in page.files:
        found = _fetch(pinned, path, scratch, api)
        if not _is_right(found, page, path):
            found.unlink()
            raise HubError(
                f"{path} of {pinned} is not the file that {PAGE} names: its SHA-256 is another. "
                "Run the same command again; if that does not help, its owner has to push it anew."
            )
        progress(1)


def _refuse_used(out: Path, repo: Repo) -> None:
    if out.exists() and not out.is_dir():
        raise HubError(f"{out} is a file: name a folder for {repo}.")
    foreign = [path.name for path in out.iterdir()] if out.is_dir() else []
    if foreign and not {PULLED, _UNFINISHED} & {*foreign}:
        raise HubError(f"{out} holds other files ({foreign[0]}): name a new folder for {repo}.")


def _refuse_other_commit(out: Path, pinned: Repo) -> None:
    path = out / PULLED
    if not path.is_file():
        return
    try:
        told = json.loads(read(path))
        there = f"{told['repo']}@{told['commit']}"
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not what pull writes: name a new folder.") from error
    if there != str(pinned):
        raise HubError(f"{out} holds {there}, not {pinned}: name a new folder.")


def _fetch_page(pinned: Repo, scratch: Path, api: Api) -> Page:
    path = _fetch(pinned, PAGE, scratch, api)
    if path.stat().st_size > LARGEST_PAGE:
        raise HubError(f"{PAGE} of {pinned} is too large for a page.")
    page = read_page(read(path), pinned)
    if page.kind != pinned.kind:
        raise HubError(f"{PAGE} of {pinned} is of a {page.kind}, not of a {pinned.kind}.")
    return page


def _fetch(pinned: Repo, name: str, scratch: Path, api: Api) -> Path:
    """Have a file below the scratch folder; one that is there whole is not fetched again."""
    with worded(pinned, scratch):
        api.hf_hub_download(
            pinned.id,
            name,
            repo_type=pinned.kind,
            revision=pinned.revision,
            local_dir=scratch,
        )
    path = scratch / name
    if not path.is_file() or path.is_symlink():
        raise HubError(f"{pinned} gave no file {name}.")
    return path


def _refuse_unfit(pinned: Repo, page: Page, scratch: Path) -> None:
    """Refuse what push does not write, runs whose numbers do not follow, and weights of others."""
    try:
        known = {WEIGHTS} & page.files.keys()
        records: list[Record] = []
        for path in page.files:
            if path.startswith(f"{RUNS}/") and path.endswith(f"/{RECORD}"):
                record = read_run(scratch / path).record
                records.append(record)
                known |= set(files_of_run(record))
        if WEIGHTS in page.files:
            read_about(scratch / WEIGHTS)
            refuse_other_weights(records, page.files[WEIGHTS].sha256, scratch / WEIGHTS)
        if f"{SET}/{SET_PAGE}" in page.files:
            found = read_set(scratch / SET)[0]
            known |= set(files_of_set(found))
            _refuse_lent(pinned, found.dataset)
        if differing := sorted(known ^ page.files.keys()):
            raise HubError(
                f"{pinned} has other files than push writes, or lacks some: {differing[0]}."
            )
    except CvglBenchError:
        # It will not be another one when it is fetched again.
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _refuse_lent(pinned: Repo, dataset: str) -> None:
    if dataset not in MAY_BE_SHOWN:
        raise HubError(
            f"{pinned} holds pictures made of {dataset}, which may not be passed on: make the set "
            "yourself with `cvgl-bench generate`."
        )


def _put_in_place(pinned: Repo, asked: Repo, page: Page, scratch: Path, out: Path) -> None:
    try:
        for path in page.files:
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (scratch / path).replace(out / path)
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror}.") from error
    told: Mapping[str, object] = {
        "repo": str(Repo(pinned.kind, pinned.id)),
        "revision": asked.revision or "main",
        "commit": pinned.revision,
        "cvgl_bench": __version__,
        "files": {path: entry.model_dump() for path, entry in page.files.items()},
    }
    write_atomically(out / PULLED, (json.dumps(told, indent=1, sort_keys=True) + "\n").encode())
