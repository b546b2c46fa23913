"""Sphinx extension: a still image of each figure, for print and where no script runs.

A still is called after the digest of its figure, so that it is drawn once. Beside it stands its
first panel as a thumbnail. A figure with a name has that under its name, too, which the gallery
shows: ``_images/figures/fig-front.svg``.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from json import loads
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from ctl_helpers import figures
from ctl_helpers.site import gallery
from ctl_helpers.site.sphinx_figures import STILLS, PlotlyFigure

_SMALL = "-small"  # what a thumbnail's name ends in
_STAMP = "drawn-by"  # in the folder of stills, a digest of the code that drew them
_NOT_RUN = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300" viewBox="0 0 400 300">'
    '<text x="200" y="150" text-anchor="middle" font-family="sans-serif" font-size="24" '
    'fill="#555">not run yet</text></svg>'
)


def missing(folder: Path, wanted: Collection[str]) -> list[str]:
    """Which figures have no still yet; those of others, or drawn by other code, are taken away.

    Args:
        folder: of the stills, made where it is missing.
        wanted: the digests of a site's figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamp, now = folder / _STAMP, _code()
    current = stamp.is_file() and stamp.read_text(encoding="utf-8") == now
    for path in folder.iterdir():
        if not (current and path.stem.removesuffix(_SMALL) in wanted):
            path.unlink()
    stamp.write_text(now, encoding="utf-8")
    # The thumbnail is written last.
    return [digest for digest in wanted if not (folder / f"{digest}{_SMALL}.svg").is_file()]


def draw(folder: Path, texts: Mapping[str, str]) -> None:
    """Draw figures, side by side.

    Args:
        folder: of the stills.
        texts: digest → the figure's JSON.

    Raises:
        ValueError: a figure has something that :mod:`ctl_helpers.figures.static` does not draw.
    """
    if texts:
        with ProcessPoolExecutor() as pool:
            for digest, images in zip(texts, pool.map(_drawn, texts.values()), strict=True):
                for end, image in zip(("", _SMALL), images, strict=True):
                    (folder / f"{digest}{end}.svg").write_text(image, encoding="utf-8")


def _code() -> str:
    sources = sorted(Path(*figures.__path__).glob("static*.py"))
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _drawn(text: str) -> tuple[str, str]:
    from ctl_helpers.figures import static  # seaborn takes seconds to import

    figure = loads(text)
    return static.svg(figure), static.thumbnail(figure)


def _note(app: Sphinx, page: nodes.document) -> None:
    """Keep with a page which figures it has, and which images its figures with names show."""
    pictures = (PlotlyFigure, nodes.image)
    named = {
        name: picture["digest"] if isinstance(picture, PlotlyFigure) else picture["uri"]
        for figure in page.findall(nodes.figure)
        for picture in list(figure.findall(lambda node: isinstance(node, pictures)))[:1]
        for name in figure["ids"]
    }
    digests = [figure["digest"] for figure in page.findall(PlotlyFigure)]
    app.env.metadata[app.env.docname] |= {"figures": digests, "named_figures": named}


def _add(app: Sphinx, exception: Exception | None) -> None:
    """Draw what is missing, and give stills and drawings the names that the gallery shows."""
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir, "_images", STILLS)
    pages = app.env.metadata
    places = {digest: page for page in pages for digest in pages[page].get("figures", ())}
    left = missing(folder, places)
    texts: dict[str, str] = {}
    for page in {places[digest] for digest in left}:
        drawn = app.env.get_doctree(page).findall(PlotlyFigure)
        texts |= {node["digest"]: node["figure"] for node in drawn}
    draw(folder, {digest: texts[digest] for digest in left})
    images: dict[str, str] = {}
    for facts in pages.values():
        images |= facts.get("named_figures", {})
    for name in gallery.load().figures:
        target = folder / f"{name}.svg"
        if name not in images:
            target.write_text(_NOT_RUN, encoding="utf-8")
        elif images[name] in places:
            shutil.copyfile(folder / f"{images[name]}{_SMALL}.svg", target)
        else:
            shutil.copyfile(Path(app.srcdir, images[name]), target)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("doctree-read", _note, priority=900)  # after images have their addresses (500)
    app.connect("build-finished", _add)
    return {"env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
