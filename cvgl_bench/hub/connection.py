"""The line to the Hub, and what its failures mean, a sentence each."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from cvgl_bench.errors import CvglBenchError
from cvgl_bench.version import __version__


class HubError(CvglBenchError):
    """The Hub, or what was found there, is not what was asked for."""


class File(Protocol):
    """A file of a repository: its path."""

    rfilename: str


class Info(Protocol):
    """A revision of a repository: its commit and its files."""

    sha: str | None
    siblings: Sequence[File] | None


class Commit(Protocol):
    """A commit that was made, and where a browser shows it."""

    oid: str
    commit_url: str


class Api(Protocol):
    """What is used of `huggingface_hub.HfApi`; its reference says what each does."""

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> object:
        """Make a repository."""

    def repo_info(self, repo_id: str, *, repo_type: str, revision: str | None) -> Info:
        """Say of which commit a revision is, and which files it has."""

    def create_commit(
        self,
        repo_id: str,
        operations: Iterable[object],
        *,
        commit_message: str,
        repo_type: str,
        revision: str | None,
        parent_commit: str | None,
    ) -> Commit:
        """Add and delete files in one step."""

    def hf_hub_download(
        self,
        repo_id: str,
        filename: str,
        *,
        repo_type: str,
        revision: str | None,
        local_dir: str | Path,
    ) -> str:
        """Write a file below a folder, and return its path."""


def connect() -> Api:
    """The Hub, as the user's login and environment have it.

    Raises:
        HubError: huggingface-hub is not installed.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError as error:
        raise HubError(
            "push and pull need huggingface-hub: pip install 'cvgl-bench[hub]'"
        ) from error
    if not sys.stderr.isatty():
        # They go back to the start of a line, which a log has once.
        disable_progress_bars()
    api: Any = HfApi(library_name="cvgl-bench", library_version=__version__)
    return cast("Api", api)


@contextmanager
def worded(repo: object, path: Path | None = None) -> Iterator[None]:
    """Turn what the Hub and the way to it raise into sentences.

    Args:
        repo: what was asked for.
        path: the folder that is written to, if one is.

    Raises:
        HubError: in place of an exception of huggingface-hub's, or of its HTTP library.
    """
    from huggingface_hub import errors

    # The HTTP library is another one in each major version; what it raises has this base.
    of_http = cast("type[Exception]", errors.HfHubHTTPError.__bases__[0])
    try:
        yield
    except errors.GatedRepoError as error:
        raise HubError(
            f"{repo} is gated: ask for access on its page at huggingface.co, then log in with "
            "`hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(f"{repo} has no such revision.") from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            f"there is no repository {repo}, or your token may not see it: check the name, or log "
            "in with `hf auth login`."
        ) from error
    except errors.LocalTokenNotFoundError as error:
        raise HubError(
            "there is no Hugging Face token: log in with `hf auth login`, or set HF_TOKEN."
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise HubError(f"{repo} is out of reach: HF_HUB_OFFLINE is set.") from error
    except errors.LocalEntryNotFoundError as error:
        raise HubError(_unreachable(repo, error.__cause__ or error)) from error
    except errors.HfHubHTTPError as error:
        raise HubError(_answered(repo, error)) from error
    except errors.HFValidationError as error:
        raise HubError(f"{repo} is no name that the Hub takes: {_short(error)}") from error
    except (of_http, ConnectionError, TimeoutError) as error:
        raise HubError(_unreachable(repo, error)) from error
    except OSError as error:
        # Of files here; libraries of HTTP also derive from it.
        if error.strerror is None:
            raise HubError(_unreachable(repo, error)) from error
        raise HubError(f"{error.filename or path or 'the disk'}: {error.strerror}.") from error


def _answered(repo: object, error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return (
            f"your token may not do this with {repo} (the Hub answered {status}): log in with "
            "`hf auth login` and a token that may write there."
        )
    if status in (409, 412):
        return f"{repo} has changed in the meantime (the Hub answered {status}): run it again."
    return f"the Hub answered {status} for {repo}: {_short(error)}"


def _unreachable(repo: object, error: BaseException) -> str:
    return f"the Hub cannot be reached for {repo} ({_short(error)}): is there a network here?"


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
