"""How genes are distributed in groups: violins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellasso.pl.stacked_violin import draw_stacked
from cellasso.pl.violin import Violins, choose_dots, draw_violins, violins_of
from cellasso.stats.density import group_densities
from cellasso_app.panels.plots.asked import Drawn
from cellasso_app.panels.plots.drawn.groups import lay_out, named_short, page_colors, room_for
from cellasso_app.panels.plots.spans import Spans
from cellasso_app.panels.plots.summing import read_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellasso.core.progress import Progress
    from cellasso.pl.groups import Groups
    from cellasso.stats.density import Densities
    from cellasso_app.panels.plots.asked import Asked

MAX_PANELS = 12
"""Genes that have a panel of their own; more are better seen stacked."""

HEADER = ("group", "gene", "median", "lowest", "highest", "cells")


def stacked_violin(asked: Asked, progress: Progress) -> Drawn:
    """Draw a grid of violins of genes by groups, coloured by their medians."""
    groups, features, tree = lay_out(asked)
    found: dict[int, Densities] = {}
    for slot, column in read_each(asked.dataset, asked.genes, progress=progress):
        found[slot] = group_densities(column, groups.codes, len(groups), n_cells=groups.n_cells)
    densities = [_scaled(found[slot], asked.arranged.scale) for slot in range(len(features))]
    medians = np.stack([each.median for each in densities], axis=1)
    swapped, short = asked.arranged.swapped, named_short(groups)
    overlay = draw_stacked(
        short,
        features,
        densities,
        page_colors(asked, medians),
        tree=tree,
        swap_axes=swapped,
        titles=(None, "median"),
    )
    n_rows = len(features) if swapped else len(groups)
    room = room_for(short.labels if swapped else features.names)
    spans = Spans.columns(len(groups)) if swapped else Spans.rows(len(groups))
    heights = (24 * n_rows + room, 48 * n_rows + room)
    return Drawn([overlay], groups.labels, spans, heights, HEADER, _table(groups, features.names, densities))


def violin(asked: Asked, progress: Progress) -> Drawn:
    """Draw a panel of violins for each gene, with a sample of the cells as dots."""
    groups, features, _ = lay_out(asked)
    genes, short = asked.genes[:MAX_PANELS], named_short(groups)
    dots, room = choose_dots(groups), room_for(short.labels)
    found: dict[int, Violins] = {}
    for slot, column in read_each(asked.dataset, genes, progress=progress):
        found[slot] = violins_of(features.names[slot], column, short, dots)
    panels = [found[slot] for slot in range(len(genes))]
    n_left = len(asked.genes) - len(genes)
    return Drawn(
        [draw_violins(panel, labels=("", panel.name)) for panel in panels],
        groups.labels,
        Spans.columns(len(groups)),
        (130 + room, 220 + room),
        HEADER,
        _table(groups, features.names, [panel.densities for panel in panels]),
        f"The first {MAX_PANELS} of {len(asked.genes)} genes are shown; stacked violins show all." if n_left else "",
    )


def _scaled(densities: Densities, scale: str) -> Densities:
    """Return a gene's distributions, from 0 to 1 if genes are scaled."""
    if scale != "var":
        return densities
    low, high = np.nanmin(densities.low, initial=np.inf), np.nanmax(densities.high, initial=-np.inf)
    return densities.scaled(float(low), float(high))


def _table(groups: Groups, genes: Sequence[str], densities: Sequence[Densities]) -> list[tuple[object, ...]]:
    return [
        (group, gene, *(float(number[row]) for number in (each.median, each.low, each.high)), int(each.n_known[row]))
        for row, group in enumerate(groups.labels)
        for gene, each in zip(genes, densities, strict=False)
    ]
