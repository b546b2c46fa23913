"""Numbers of figures and theorems, and the way from page to page."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ctl_helpers.site import numbering, reading_order


@pytest.mark.parametrize(
    ("page", "label"),
    [
        ("book/4_1", "4.1-"),
        ("book/4_1_resnets", "4.1-resnets-"),
        ("book/theory", "theory-"),
        ("book/index", ""),
        ("book/runs/4_1/digits-mlp-seed-0", ""),
    ],
)
def test_a_figures_number_has_its_page_before_it(page: str, label: str) -> None:
    assert numbering.figure_label(page) == label


def test_numbers_do_not_depend_on_other_pages() -> None:
    of_pages = {
        "book/3": {"figure": {"fig-a": (7,), "fig-b": (8,)}, "theorem": {"theorem-3-3": (2,)}},
        "book/theory": {"lemma": {"lemma-B-2-theory": (1,)}, "exercise": {"ex-1": (5,)}},
    }
    numbering._number(None, SimpleNamespace(toc_fignumbers=of_pages))
    assert of_pages == {
        "book/3": {
            "figure": {"fig-a": ("3-1",), "fig-b": ("3-2",)},
            "theorem": {"theorem-3-3": ("3", "3")},
        },
        "book/theory": {"lemma": {"lemma-B-2-theory": ("B", "2")}, "exercise": {"ex-1": (5,)}},
    }


def test_pages_of_runs_are_not_on_the_way() -> None:
    chain = ["book/index", "book/3", "book/4_1"]
    assert reading_order.neighbours("book/index", chain) == (None, "book/3")
    assert reading_order.neighbours("book/3", chain) == ("book/index", "book/4_1")
    assert reading_order.neighbours("book/4_1", chain) == ("book/3", None)
    assert reading_order.neighbours("book/runs/3/digits-mlp-seed-0", chain) == (None, None)
