"""What the documentation site needs beyond its pages: links that leave `docs/`, and formulas.

A page of `docs/` links to other files of the repository as on any host of it, by
`../CONTRIBUTING.md`. Texts of the repository that `PAGES` names become pages of the site; any other
file that a page links to is copied into the site, under `files/`. So the site is whole without the
repository, and no link is written twice.

Fenced blocks of the language `math` hold LaTeX; they become MathML when the site is built, so that
no script renders them.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from xml.etree import ElementTree

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[1]
DOCS = "docs"
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "leaderboards/README.md": "leaderboards.md",
    "leaderboards/published/README.md": "published.md",
}
"""A text of the repository, and the page of the site that shows it; the README has its own."""

_SHOWN = {source: page for source, page in PAGES.items() if source != "README.md"}
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give headings the anchors that hosts of repositories give them, and formulas their form."""
    config.mdx_configs["toc"] = {"permalink": True, "slugify": slugify(case="lower")}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [
        {"name": "math", "class": "math", "format": formula}
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the repository's texts, and the files that texts link to."""
    for source, page in _SHOWN.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    wanted: set[str] = set()
    for file in list(files.documentation_pages()):
        text = _FENCE.sub("", file.content_string)
        wanted.update(
            target
            for link in _LINK.finditer(text)
            if (target := _in_repository(link[2], _source_of(file.src_uri))) is not None
            and _page_of(target) is None
            and not target.startswith(f"{DOCS}/")
        )
    for target in sorted(wanted):
        if (ROOT / target).is_file():
            path = str(ROOT / target)
            files.append(File.generated(config, f"files/{target}", abs_src_path=path))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to what shows or holds their target in the site."""
    del config
    source = _source_of(page.file.src_uri)

    def pointed(link: re.Match[str]) -> str:
        target = _in_repository(link[2], source)
        if target is None:
            return link[0]
        inside = _page_of(target) or f"files/{target}"
        if target.startswith(f"{DOCS}/"):
            # What of these is missing, mkdocs names itself.
            inside = target.removeprefix(f"{DOCS}/")
        elif files.get_file_from_path(inside) is None:
            raise PluginError(f"{source} links to {target}, which the site does not have.")
        start = str(PurePosixPath(page.file.src_uri).parent)
        return f"{link[1]}{relpath(inside, start)}{link[3] or ''}{link[4]}"

    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_LINK.sub(pointed, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(pointed, markdown[end:])])


def formula(source: str, *_: object, **__: object) -> str:
    """A block of LaTeX as MathML; lines that end in two backslashes are formulas of their own."""
    lines = [line.strip() for line in re.split(r"\\\\\s*$", source, flags=re.MULTILINE)]
    shown = [convert(line, display="block") for line in lines if line]
    for each in shown:
        ElementTree.fromstring(each)
    return f'<div class="formula">{"".join(shown)}</div>'


def _source_of(page: str) -> str:
    """Where in the repository a page of the site comes from."""
    for source, shown in _SHOWN.items():
        if shown == page:
            return source
    return f"{DOCS}/{page}"


def _page_of(target: str) -> str | None:
    """The page that shows a text of the repository outside `docs/`, or a folder of one."""
    return PAGES.get(target) or PAGES.get(f"{target}/README.md")


def _in_repository(link: str, source: str) -> str | None:
    """A relative link's target, from the repository's root; None for links to elsewhere."""
    if _SCHEME.match(link) or link.startswith("/"):
        return None
    target = normpath(f"{PurePosixPath(source).parent}/{link}")
    return None if target.startswith("../") else target
