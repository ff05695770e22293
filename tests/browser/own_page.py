"""A Panel app of somebody else that has an explorer in it, below a heading and a field of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import panel as pn

import cellasso
from cellasso_app.page.explorer import Explorer

dataset = cellasso.open(Path(sys.argv[1]))


def page() -> pn.viewable.Viewable:
    """Return the app of one visitor."""
    explorer = Explorer(dataset, export_dir=Path(sys.argv[1]).parent)
    return pn.Column("## mine", pn.widgets.TextInput(name="Note", value=""), explorer)


if __name__ == "__main__":
    pn.serve(page, port=0, show=False)
