"""What figures of Bokeh on the page look like: its font, and its inks on a light or a dark ground."""

from __future__ import annotations

from typing import NamedTuple

FONT = "-apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"  # the page's, as a canvas takes it

NO_OUTLINE = ".bk-Canvas { --highlight-color: transparent; }"
"""Bokeh draws a dotted frame around a plot that was clicked."""


class Ink(NamedTuple):
    """Colours of the marks around the cells, on a light or a dark page."""

    text: str
    line: str
    accent: str


INKS = {False: Ink("#5d6673", "#aab2bd", "#1f6feb"), True: Ink("#98a2b0", "#5a6472", "#6ea8fe")}
