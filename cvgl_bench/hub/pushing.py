"""Pushing: everything in one commit, on top of what the repository was when it was looked at."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cvgl_bench.files import read, sha256
from cvgl_bench.hub.cards import card
from cvgl_bench.hub.connection import Api, HubError, worded
from cvgl_bench.hub.page import CARD, PAGE, Entry, Page, Repo, read_page
from cvgl_bench.hub.parcel import Parcel
from cvgl_bench.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd


@dataclass(frozen=True)
class Pushed:
    """What came of it.

    Attributes:
        repo: where, at the commit.
        url: of the commit, for a browser.
        files: paths in the repository, page and card among them if they were written.
        removed: paths that an earlier push had written and this one does not have.
        kept_card: whether somebody has edited the card, which was left as it is.
    """

    repo: Repo
    url: str
    files: tuple[str, ...]
    removed: tuple[str, ...]
    kept_card: bool


def card_for(parcel: Parcel, repo: Repo, licence: str | None = None) -> str:
    """The card that `push` would write.

    Raises:
        HubError: the repository is of another kind.
    """
    if repo.kind != parcel.kind:
        right = Repo(parcel.kind, repo.id)
        raise HubError(f"a {parcel.kind} goes to a repository of its kind: {right}, not {repo}.")
    return card(parcel, Repo(repo.kind, repo.id), licence)


@dataclass(frozen=True)
class _There:
    """What a repository holds: its commit, its page if it has one, and whether its card is ours."""

    commit: str | None
    page: Page | None
    has_own_card: bool


def push(
    parcel: Parcel, repo: Repo, api: Api, *, private: bool = False, licence: str | None = None
) -> Pushed:
    """Push a parcel; the repository is made if it is not there.

    Files of an earlier push that the parcel does not have are removed, in the same commit; files
    that somebody else put there are left alone, and so is a card that was edited.

    Args:
        parcel: what `pack` put together.
        repo: where to; its revision is the branch.
        api: the Hub.
        private: make a repository that others do not see; one that is there stays as it is.
        licence: for the card, such as apache-2.0.

    Raises:
        HubError: the Hub cannot be reached or does not let it happen, or the repository is of
            another kind.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    text = card_for(parcel, repo, licence).encode()
    with worded(repo):
        additions = {path: CommitOperationAdd(path, file) for path, file in parcel.files.items()}
        # What is not there to be read shall be found before a repository is made.
        api.create_repo(repo.id, repo_type=repo.kind, private=private, exist_ok=True)
        there = _look(repo, api)
        page = _page_of(parcel, additions, text)
        additions[PAGE] = CommitOperationAdd(PAGE, page.text)
        if not there.has_own_card:
            additions[CARD] = CommitOperationAdd(CARD, text)
        removed = sorted(there.page.files.keys() - page.files.keys()) if there.page else []
        done = api.create_commit(
            repo.id,
            [*additions.values(), *(CommitOperationDelete(path) for path in removed)],
            commit_message=f"cvgl-bench {__version__}: {len(parcel.files)} files",
            repo_type=repo.kind,
            revision=repo.revision,
            parent_commit=there.commit,
        )
    return Pushed(
        Repo(repo.kind, repo.id, done.oid),
        done.commit_url,
        tuple(additions),
        tuple(removed),
        there.has_own_card,
    )


def _page_of(parcel: Parcel, additions: dict[str, CommitOperationAdd], text: bytes) -> Page:
    # The hashes are those of what is sent, not of what the files are a moment later.
    files = {
        path: Entry(sha256=added.upload_info.sha256.hex(), bytes=added.upload_info.size)
        for path, added in additions.items()
    }
    return Page(kind=parcel.kind, cvgl_bench=__version__, card_sha256=sha256(text), files=files)


def _look(repo: Repo, api: Api) -> _There:
    info = api.repo_info(repo.id, repo_type=repo.kind, revision=repo.revision)
    names = {file.rfilename for file in info.siblings or ()}
    with tempfile.TemporaryDirectory() as folder:

        def fetched(name: str) -> bytes:
            path = api.hf_hub_download(
                repo.id, name, repo_type=repo.kind, revision=info.sha, local_dir=folder
            )
            return read(Path(path))

        page = read_page(fetched(PAGE), repo) if PAGE in names else None
        if CARD not in names:
            return _There(info.sha, page, has_own_card=False)
        ours = page is not None and sha256(fetched(CARD)) == page.card_sha256
        return _There(info.sha, page, has_own_card=not ours)
