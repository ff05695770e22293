"""The page of one visitor: its frame at once, then the explorer of a file, or a sentence why there is none."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import panel as pn
import param

import cellasso_app.page.components  # noqa: F401 - a browser must know them before it gets the page
from cellasso_app.panels.opening.component import Notice, Opening
from cellasso_app.runtime.document_loop import when_live
from cellasso_app.runtime.jobs import UNEXPECTED, LatestJob
from cellasso_app.runtime.pools import pool
from cellasso_app.server.open_files import shortened
from cellasso_app.state.session import prefetch_metadata
from cellasso_app.ui.component import Component, script

if TYPE_CHECKING:
    from cellasso.dataset import Dataset
    from cellasso_app.server.open_files import Catalogue

logger = logging.getLogger(__name__)

PAGE_STYLE = Path(__file__).with_name("page.css").read_text()

STRETCHED: dict[str, Any] = {"sizing_mode": "stretch_both", "margin": 0}

WHOLE: dict[str, Any] = {**STRETCHED, "styles": {"height": "100vh", "width": "100vw"}}
"""What is all of a served page."""


class Tab(Component):
    """What the served page has beside the explorer: keys wherever they are pressed, its theme, the tab's title."""

    _esm = script(__file__, "page.js")

    title = param.String(doc="Panel's pages leave the tab's title as it was when the page came.")


def page(catalogue: Catalogue, export_dir: Path) -> pn.viewable.Viewable:
    """Return the page for one visitor: its frame at once, filled when the file is open, or with a sentence why not."""
    pn.config.raw_css = [PAGE_STYLE]
    asked = pn.state.session_args.get("file", [b""])[0].decode(errors="replace")  # Tornado has undone the quoting
    _set_title("cellasso")
    if asked and asked not in catalogue.names:
        return Notice(text=f"No file is called {shortened(asked)!r} here.", files=catalogue.names, **WHOLE)
    tab = Tab(width=0, height=0, margin=0, styles={"position": "absolute"})
    opening = Opening(name="opening", file=asked or next(iter(catalogue.names), ""), **STRETCHED)
    frame = pn.Column(opening, tab, **WHOLE)
    # the event loop reads nothing, not even a file's structure: on a slow disk all sessions would stand still
    opened = pool().submit(_open, catalogue, asked or None)

    def fill(found: tuple[str, Dataset]) -> None:
        from cellasso_app.page.explorer import Explorer  # noqa: PLC0415 - imported by _open already

        name, dataset = found
        explorer = Explorer(dataset, export_dir=export_dir, files=catalogue.names, file=name, height="100vh")
        frame[:] = [explorer, tab]
        tab.title = f"{dataset.file_path.name} · {dataset.n_obs:,} cells · cellasso"
        _set_title(tab.title)
        trying = LatestJob(explorer.tell_of, lambda _: None)
        trying.submit(lambda _: catalogue.problems())

    def say(sentence: str) -> None:
        others = [name for name in catalogue.names if name != asked]
        frame[:] = [Notice(text=sentence, files=others if asked else [], **STRETCHED), tab]

    waiting = LatestJob(fill, say)
    when_live(lambda: waiting.submit(lambda _: opened.result()))
    return frame


def page_or_notice(catalogue: Catalogue, export_dir: Path) -> pn.viewable.Viewable:
    """Return a page, or one sentence: Panel would show the traceback, with all its paths."""
    try:
        return page(catalogue, export_dir)
    except Exception:
        logger.exception("A page could not be built")
        return Notice(text=UNEXPECTED, **WHOLE)


def _open(catalogue: Catalogue, name: str | None) -> tuple[str, Dataset]:
    """Return an open file of which all that a page lists has been looked up, and its name."""
    import cellasso_app.page.explorer  # noqa: F401, PLC0415 - takes a second, here beside the event loop

    name, dataset = catalogue.find(name)
    prefetch_metadata(dataset)
    return name, dataset


def _set_title(title: str) -> None:
    if pn.state.curdoc is not None:
        pn.state.curdoc.title = title
