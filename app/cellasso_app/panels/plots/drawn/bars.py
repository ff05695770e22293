"""Of what the groups are made: stacked bars of another column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellasso.pl.composition import draw_composition
from cellasso_app.panels.plots.asked import Drawn
from cellasso_app.panels.plots.drawn.groups import as_groups, lay_out, named_short, room_for
from cellasso_app.panels.plots.spans import Spans

if TYPE_CHECKING:
    from cellasso.core.progress import Progress
    from cellasso_app.panels.plots.asked import Asked


def composition(asked: Asked, _progress: Progress) -> Drawn:
    """Draw a bar for each group, whose pieces are the categories of another column."""
    if asked.pieces is None:
        raise TypeError("a composition is of another column")
    groups = lay_out(asked).groups
    short, horizontal = named_short(groups), not asked.arranged.swapped
    drawn = draw_composition(short, as_groups(asked.pieces), horizontal=horizontal, title="")
    full = dict(zip(short.labels, groups.labels, strict=True))
    names = tuple(full[label] for label in drawn.groups)
    n = len(drawn.groups)
    spans = Spans.rows(n) if horizontal else Spans.columns(n)
    rows = [
        (group, piece, float(drawn.shown[row, at]), int(drawn.counts[row, at]))
        for row, group in enumerate(names)
        for at, piece in enumerate(drawn.pieces)
    ]
    legend = 40 + 18 * -(-len(drawn.pieces) // 3)
    room = legend if horizontal else legend + room_for(drawn.groups)
    heights = (22 * n + room, 30 * n + room) if horizontal else (160 + room, 300 + room)
    bars = drawn.bars.opts(xlabel="", backend="bokeh")
    return Drawn([bars], names, spans, heights, (groups.name, asked.pieces.name, "share", "cells"), rows)
