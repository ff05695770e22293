"""What may lie under the cells: the edges of a graph, or the connections of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from cellasso.core.errors import CellassoError
from cellasso.model.graph import graphs, has_paga

if TYPE_CHECKING:
    from cellasso.dataset import Dataset
    from cellasso.store.base import Store
    from cellasso_app.state.axes import Axes


class Underlay(NamedTuple):
    """One of them.

    Attributes
    ----------
    kind
        `"graph"` or `"paga"`; `""` for nothing.
    modality
        Whose it is; `""`: the file itself.
    key
        Name of the graph in obsp.
    """

    kind: str = ""
    modality: str = ""
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> Underlay:
        """Return what a text stands for that `str` made; nothing where it is none."""
        kind, *rest = text.split("/", 2)
        return cls(kind, *rest) if kind in {"graph", "paga"} and len(rest) == 2 else cls()

    def __str__(self) -> str:
        return "/".join(self) if self.kind else ""

    @property
    def label(self) -> str:
        """What the page calls it."""
        of = f" of {self.modality}" if self.modality else ""
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
        except CellassoError:  # reported when the cells are read
            continue
    _found[dataset.handle] = tuple(found)


def underlays(dataset: Dataset, axes: Axes) -> list[Underlay]:
    """Return what can lie under the cells on some axes: of the modality of an embedding, and of the file itself.

    Nothing before `find_underlays` has looked; reads nothing.
    """
    if axes.pair is not None or not axes.embedding:
        return []
    owner = dataset.name_of(dataset.owner(axes.embedding, own=dataset.obsm)[0])
    return [each for each in _found.get(dataset.handle, ()) if each.modality in {owner, ""}]
