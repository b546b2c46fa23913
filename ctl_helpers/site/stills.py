"""Still images of the site's figures: one beside each, for print and where no script runs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from json import loads
from pathlib import Path

FOLDER = "_images/figures"

_FIGURE = re.compile(
    r'(<div class="plotly-figure"[^>]*></div>'
    r'<script type="application/json">(.*?)</script></div>)(<img class="figure-still"[^>]*>)?',
    re.DOTALL,
)
_NAMED = re.compile(r'<figure [^>]*\bid="(fig-[\w-]+)"[^>]*>(.*?)</figure>', re.DOTALL)
_THUMBNAIL = re.compile(rf'<img [^>]*\bsrc="[^"]*{FOLDER}/(fig-[\w-]+)\.svg"')
_SOURCE = re.compile(r'<img [^>]*\bsrc="([^"]+)"')

# Stands for a named figure that pages lead to, where its setting was not run.
_NOT_RUN = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300" viewBox="0 0 400 300">'
    '<text x="200" y="150" text-anchor="middle" font-family="sans-serif" font-size="24" '
    'fill="#555">not run yet</text></svg>'
)


def add(site: Path) -> None:
    """Put a still image beside each figure of the built pages, and draw those that are not there.

    An image is called after the digest of what it shows, so that a figure is drawn once. A figure
    with a name has its image under that name, too: ``_images/figures/fig-front.svg``, which says
    so where it was not run. Images that no page shows any more are taken away.

    Args:
        site: the folder of the built pages, which are changed.

    Raises:
        ValueError: a figure has something that :mod:`ctl_helpers.figures.static` does not draw.
    """
    folder = site / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, str] = {}
    named: dict[str, Path] = {}
    thumbnails: set[str] = set()
    for page in sorted(site.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        thumbnails |= set(_THUMBNAIL.findall(text))
        changed, found = beside(text, os.path.relpath(folder, page.parent))
        figures |= found
        for name, inside in _NAMED.findall(changed):
            if source := _SOURCE.search(inside):
                named[name] = (page.parent / source[1]).resolve()
        if changed != text:
            page.write_text(changed, encoding="utf-8")
    missing = {name: data for name, data in figures.items() if not (folder / name).is_file()}
    if missing:
        with ProcessPoolExecutor() as pool:
            for name, image in zip(missing, pool.map(_drawn, missing.values()), strict=True):
                (folder / name).write_text(image, encoding="utf-8")
    for old in folder.iterdir():
        if old.name not in figures:
            old.unlink()
    for name, image in named.items():
        shutil.copyfile(image, folder / f"{name}{image.suffix}")
    for name in thumbnails - set(named):
        (folder / f"{name}.svg").write_text(_NOT_RUN, encoding="utf-8")


def beside(page: str, folder: str) -> tuple[str, Mapping[str, str]]:
    """A page's HTML with an image after each figure, and image's name → the figure's JSON.

    Args:
        page: HTML of a page, with such images or without.
        folder: where images are, as seen from the page.
    """
    figures = {}

    def with_image(found: re.Match[str]) -> str:
        box, data = found[1], found[2]
        name = f"{_digest(data)}.svg"
        figures[name] = data
        # The box has the figure's text alternative.
        return f'{box}<img class="figure-still" loading="lazy" src="{folder}/{name}" alt="">'

    return _FIGURE.sub(with_image, page), figures


def _digest(data: str) -> str:
    """Of a figure and of what draws it."""
    source = Path(__file__).with_name("figures") / "static.py"
    return sha256(data.encode() + source.read_bytes()).hexdigest()[:16]


def _drawn(data: str) -> str:
    from ctl_helpers.figures import static  # seaborn takes seconds to import

    return static.svg(loads(data))
