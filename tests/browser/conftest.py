"""What drives a built site: Debian's chromium, a server, and axe-core.

Fixtures: `browser`, `look`, `served`, `serious_faults`, and `site`, a whole site of invented runs.
"""

import functools
import importlib.util
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from corruptions import CORRUPTIONS
from cvgl_bench.answers import Answers
from cvgl_bench.leaderboard import Board, add_runs
from cvgl_bench.ranks_file import RunAnswers
from cvgl_bench.record import DataCard, ModelCard, Provenance, make_record
from cvgl_bench.runs import Run
from cvgl_bench.site import build_site
from cvgl_bench.suite import Suite

NEEDED = ("selenium", "axe_playwright_python")
PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "published"
SKILLS = {"strong": 0.9, "strong-too": 0.88, "middling": 0.6, "weak": 0.3, "guessing": 0.0}


@pytest.fixture(scope="session")
def browser():
    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("chromium and chromedriver are not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def look(browser):
    """A function that sets the width of the screen, and light or dark; wide and light at first."""

    def look(width=1280, scheme="light"):
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    look()
    browser.get_log("browser")
    return look


@pytest.fixture(scope="session")
def served():
    """A function that serves a folder and returns its address."""
    servers = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    def serve(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def serious_faults(browser):
    """A function that has axe-core look at the page: rule and elements of every serious fault.

    Args of the function: only these rules; all if there are none.
    """
    package = importlib.util.find_spec("axe_playwright_python")
    script = (Path(package.origin).parent / "axe.min.js").read_text()

    def look(*rules):
        # It would fetch the stylesheets again, which the page's policy forbids.
        options = {"preload": False} | ({"runOnly": list(rules)} if rules else {})
        browser.execute_script(script)
        result = browser.execute_async_script(
            """const [options, done] = arguments;
            axe.run(document, options).then(done, (fault) => done(String(fault)));""",
            options,
        )
        return [
            (fault["id"], [node["html"][:200] for node in fault["nodes"]])
            for fault in result["violations"]
            if fault["impact"] in ("serious", "critical")
        ]

    return look


def _suite(**changes):
    fields = {
        "name": "small-c",
        "version": 1,
        "title": "Few cells",
        "dataset": "cvusa",
        "split": "val",
        "pairs": 60,
        "form": "grid",
        "profile": "standard",
        "codec": "pillow",
        "seed": 5,
        "jpeg_quality": 75,
        "views": ["full", "fov90"],
        "severities": [1, 3, 5],
        "corruptions": ["fog", "contrast", "pixelate", "jpeg_compression"],
        "mce_reference": "middling",
    }
    return Suite.model_validate(fields | changes)


def _run(suite, name, skill):
    rng = np.random.default_rng(len(name))
    queries = suite.pairs
    # The same queries are the hard ones for every model, as they are in truth.
    hard = np.random.default_rng(3).random(queries)
    cells = {}
    for cell in suite.cells:
        found = hard + rng.normal(0, 0.1, queries) < skill * (1 - 0.12 * cell.severity)
        ranks = np.where(found, 1, rng.integers(2, queries, queries))
        cells[cell] = Answers(ranks, margins=rng.random(queries).astype(np.float32))
    provenance = Provenance(
        suite=suite,
        fingerprint=suite.fingerprint,
        model=ModelCard(name=name, preprocessing="to 128 x 512"),
        data=DataCard(queries=queries, references=queries, gallery_sha256="a" * 64),
        environment={"ground_ms_per_image": f"{1 + len(name)}.5", "torch": "2.0"},
        date="2026-01-31",
    )
    answers = RunAnswers(provenance, tuple(map(str, range(queries))), cells)
    return Run(make_record(provenance, cells), answers)


@pytest.fixture(scope="session")
def boards_folder(tmp_path_factory):
    """A leaderboards folder of three suites of invented runs, and the published numbers."""
    folder = tmp_path_factory.mktemp("boards") / "leaderboards"
    mixed = _suite(name="small-c-all", form="mixed", views=["full"])
    fields = _suite(name="small-fov", severities=[], corruptions=[])
    runs = [
        _run(each, name, skill) for each in (_suite(), fields) for name, skill in SKILLS.items()
    ]
    add_runs(folder, [*runs, _run(mixed, "strong", 0.9), _run(mixed, "weak", 0.3)])
    shutil.copytree(PUBLISHED, folder / "published")
    return folder


@pytest.fixture(scope="session")
def wide_board():
    """A leaderboard with all corruptions and severities, 82 cells."""
    wide = _suite(
        name="wide-c", views=["full"], severities=[1, 2, 3, 4, 5], corruptions=[*CORRUPTIONS]
    )
    return Board(wide, {name: _run(wide, name, skill) for name, skill in SKILLS.items()})


@pytest.fixture(scope="session")
def site(boards_folder, tmp_path_factory):
    """The folder of a whole site."""
    folder = tmp_path_factory.mktemp("built") / "site"
    build_site(boards_folder, folder, pictures=None)
    return folder
