"""Weights, runs and sets on the Hugging Face Hub: pushed whole, pulled at a commit, checked.

A repository that `push` filled holds what was pushed, a card (README.md) and `cvgl-bench.json`, the
page that names every file with its SHA-256. `pull` takes the page's files and no others.
"""

from cvgl_bench.hub.connection import Api, HubError, connect
from cvgl_bench.hub.page import Repo, parse_repo
from cvgl_bench.hub.parcel import Parcel, pack
from cvgl_bench.hub.pulling import Pulled, pull
from cvgl_bench.hub.pushing import Pushed, card_for, push

__all__ = [
    "Api",
    "HubError",
    "Parcel",
    "Pulled",
    "Pushed",
    "Repo",
    "card_for",
    "connect",
    "pack",
    "parse_repo",
    "pull",
    "push",
]
