"""What may lie under the cells: the edges of a graph, the connections of groups, the picture of a tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from cellasso.core.errors import CellassoError
from cellasso.model.graph import graphs, has_paga
from cellasso.model.spatial import image_keys, libraries

if TYPE_CHECKING:
    from cellasso.dataset import Dataset
    from cellasso.store.base import Store
    from cellasso_app.state.axes import Axes


PLACES = frozenset({"spatial", "X_spatial"})
"""Embeddings that are places in the picture of a tissue."""

NO_TISSUE = "none"
"""What `Session.tissue` is where no picture is wanted."""


class Underlay(NamedTuple):
    """One of them.

    Attributes
    ----------
    kind
        `"graph"`, `"paga"` or `"tissue"`; `""` for nothing.
    modality
        Whose it is; `""`: the file itself.
    key
        Name of the graph in obsp; of a tissue its library and its image, with a slash between.
    """

    kind: str = ""
    modality: str = ""
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> Underlay:
        """Return what a text stands for that `str` made; nothing where it is none."""
        kind, *rest = text.split("/", 2)
        return cls(kind, *rest) if kind in {"graph", "paga", "tissue"} and len(rest) == 2 else cls()

    def __str__(self) -> str:
        return "/".join(self) if self.kind else ""

    @property
    def label(self) -> str:
        """What the page calls it."""
        of = f" of {self.modality}" if self.modality else ""
        if self.kind == "tissue":
            return self.key.replace("/", ": ")
        return f"Neighbours: {self.key}{of}" if self.kind == "graph" else f"PAGA{of}"


_found: WeakKeyDictionary[Store, tuple[Underlay, ...]] = WeakKeyDictionary()


def find_underlays(dataset: Dataset) -> None:
    """Look once for what can lie under the cells of a file; reads headers."""
    if dataset.handle in _found:
        return
    found: list[Underlay] = []
    for part in dataset.parts:
        name = dataset.name_of(part)
        try:
            found += [Underlay("graph", name, key) for key in graphs(part)]
            found += [Underlay("paga", name)] if has_paga(part) else []
            found += [Underlay("tissue", name, f"{of}/{key}") for of in libraries(part) for key in image_keys(part, of)]
        except CellassoError:  # reported when the cells are read
            continue
    _found[dataset.handle] = tuple(found)


def underlays(dataset: Dataset, axes: Axes) -> list[Underlay]:
    """Return which lines can lie under the cells on some axes: of the modality of an embedding, and of the file.

    Nothing before `find_underlays` has looked; reads nothing.
    """
    if axes.pair is not None or not axes.embedding:
        return []
    owner = dataset.name_of(dataset.owner(axes.embedding, own=dataset.obsm)[0])
    found = _found.get(dataset.handle, ())
    return [each for each in found if each.kind != "tissue" and each.modality in {owner, ""}]


def tissues(dataset: Dataset, axes: Axes) -> list[Underlay]:
    """Return which pictures of a tissue can lie under the cells on some axes: on places in it.

    Nothing before `find_underlays` has looked; reads nothing.
    """
    if axes.pair is not None or not axes.embedding or axes.dims != (0, 1):
        return []
    part, key = dataset.owner(axes.embedding, own=dataset.obsm)
    if key not in PLACES:
        return []
    name, found = dataset.name_of(part), _found.get(dataset.handle, ())
    return [each for each in found if each.kind == "tissue" and each.modality == name]


def tissue_under(chosen: str, dataset: Dataset, axes: Axes) -> Underlay | None:
    """Return the picture of a tissue that lies under the cells.

    Parameters
    ----------
    chosen
        An `Underlay` as text, or `NO_TISSUE`; `""`: the best picture, where all are of one library.
    """
    offered = tissues(dataset, axes)
    if chosen:
        return next((each for each in offered if str(each) == chosen), None)
    of = {each.key.partition("/")[0] for each in offered}
    return offered[0] if len(of) == 1 else None
