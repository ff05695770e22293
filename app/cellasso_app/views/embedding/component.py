"""What a view is made of beside its figure: the bar above it, the cells under it, the line below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import param

from cellasso_app.ui.component import Component, script
from cellasso_app.ui.messages import Flag, Items, Number, OneOf, Text, Whole

if TYPE_CHECKING:
    from cellasso_app.ui.messages import Hears, Says

DRAWN = ("number", "labels", "colors", "hidden")
"""What comes with a picture, and with dots: which answer it is, names in it, and its table of colours."""

FOUR = Items(Number(), 4, 4)

DRAWING = OneOf(
    {
        "size": Number(),
        "order": Text(),
        "crowds": Text(),
        "labelled": Flag(),
        "downward": Flag(),
        "hover": Items(Text()),
        "color_map": Text(),
        "clip": Number(),
        "shading": Text(),
        "reverse": Flag(),
        "centre": Flag(),
        "underlay": Text(),
        "tissue": Text(),
    },
    may_be_none=frozenset({"size"}),
)


class PlotBar(Component):
    """Above the embedding: which embedding, coloured by what, and the tools of the hand."""

    _esm = script(__file__, "plot_bar.js")
    says: ClassVar[Says] = {
        "embedding": {"value": Text()},
        "dims": {"x": Whole(), "y": Whole()},
        "pair": {"x": Text(), "y": Text()},
        "drawing": {"choice": DRAWING},
        "operation": {"operation": Text()},
        "fit": {},
        "zoom": {"factor": Number()},
        "figure": {"format": Text(), "dpi": Whole()},
        "add": {},
        "remove": {},
        "cancel": {},
    }

    figure = param.String(doc="Name of the Bokeh figure, with which those of its tools begin.")
    embeddings = param.List()
    embedding = param.String()
    dims_offered = param.List(doc="`{value, label}` of each dimension of the embedding that can be drawn.")
    dims = param.List(doc="Which two are drawn.")
    pair = param.List(doc="What is drawn instead of an embedding along x and y; empty when one is.")
    several = param.Boolean(doc="Whether other views stand beside this one.")
    active = param.Boolean(True, doc="Whether the choices are for this view.")
    full = param.Boolean(doc="Whether no further view has room.")
    numbers = param.List(doc="Columns that an axis can be.")
    drawing = param.Dict(default={}, doc="How cells are drawn, and can be drawn.")
    color = param.String(doc="What colours the cells.")
    color_source = param.String(doc="Which matrix a gene is from, as the screen says it.")
    busy = param.Boolean()
    fraction = param.Number(default=0.0)


class CellsLayer(Component):
    """The cells themselves, under the figure, as the server sends them, and which one is under the pointer."""

    _esm = script(__file__, "cells_layer.js")
    says: ClassVar[Says] = {
        "ready": {"pixel_ratio": Number()},
        "touched": {},
        "moved": {"view": FOUR, "number": Whole()},
        "point": {"at": FOUR, "number": Whole()},
        "polygon": {"polygon": Items(Items(Number(), 2, 2))},
        "too_long": {"corners": Whole()},
        "clear": {},
    }

    hears: ClassVar[Hears] = {
        "picture": ("viewport", "width", "height", "mixed", "bytes", *DRAWN),
        "dots": ("area", "n", "some", "radius", "bytes", *DRAWN),
        "colors": ("colors", "hidden"),
        "clear": ("number",),
        "view": ("view", "number"),
        "tip": ("number", "name?", "rows?", "x?", "y?"),
        "ground": ("viewport", "width", "height", "color", "bytes"),
        "no_ground": (),
        "tissue": ("extent", "mime", "bytes"),
        "no_tissue": (),
        "file": ("name", "bytes"),
    }

    figure = param.String(doc="Name of the Bokeh figure above it.")
    column = param.String(doc="What colours the cells, as the legend names it.")
    scale = param.Dict(
        default={}, doc="Of a colour bar `colors` from low to high and `ticks`, (place, text); or empty."
    )


class StatusLine(Component):
    """Under the embedding: what is shown and how exact it is."""

    _esm = script(__file__, "status_line.js")

    text = param.String()
    warning = param.String()
    said = param.String(doc="Why the last step of selecting changed nothing.")
