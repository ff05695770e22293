"""The cells of a file as a pandas frame: columns are named by vectors, and read when they are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import pandas as pd

from cellasso.core.errors import CellassoError
from cellasso.model.vector import Vector, is_reference

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from cellasso.model.vectors import Vectors

HOW = "it is read from the file; `.copy()` makes a frame of its own that can be changed"


class Cells(pd.DataFrame):
    """The cells of a file, `(n_obs, n_columns)`, in the order of obs; a pandas frame of which nothing is read at first.

    Listed are the columns of obs and the dimensions of embeddings. By name there are all vectors, genes too:
    `cells["CD4"]`, `cells["counts/CD4"]`, `cells["rna:CD4"]`, `cells["X_umap:0"]`, references of `anndata.acc`; see
    `cellasso.model.vector`. One name reads one column, as a series. A list of names is a narrower frame of this kind,
    still unread. Whatever else pandas does (rows, masks, groups, arithmetic) reads the listed columns, so narrow it
    before, and gives a plain frame.

    The index counts the cells. The frame cannot be changed; nothing is kept in it beside the file's own caches.

    Parameters
    ----------
    vectors
        Those of the file.
    names
        Which columns, by names that `Vectors.resolve` finds; a mapping says which vector each is, whatever it is
        called. `None`: those that are listed.
    """

    # `pandas` keeps its values in `_mgr`, which is made here each time that pandas asks for it
    _vectors: Vectors
    _names: tuple[Hashable, ...] | None
    _known: Mapping[Hashable, Vector]
    _is_narrow: bool

    def __init__(self, vectors: Vectors, names: Sequence[Hashable] | Mapping[Hashable, Vector] | None = None) -> None:
        own: dict[str, Any] = {
            "_vectors": vectors,
            "_names": None if names is None else tuple(names),
            "_known": dict(names) if isinstance(names, Mapping) else {},
            "_is_narrow": names is not None,
            "_item_cache": {},
            "_attrs": {},
        }
        for name, value in own.items():  # past pandas, which would take them for columns
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_flags", pd.Flags(self, allows_duplicate_labels=True))  # type: ignore[attr-defined] # a gap of the stubs

    # -- what is answered without reading -------------------------------------------------------------

    @property  # type: ignore[misc] # pandas has an attribute that can be set
    def columns(self) -> pd.Index:
        """Names of the columns that are listed."""
        if self._names is None:
            object.__setattr__(self, "_names", self._vectors.names())
        return pd.Index(list(self._names or ()))

    @property  # type: ignore[misc] # as above
    def index(self) -> pd.Index:
        """The number of each cell."""
        return pd.RangeIndex(self._vectors.n_obs)

    def __len__(self) -> int:
        return self._vectors.n_obs

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:  # type: ignore[misc] # final in the stubs alone
        """Whether there is such a column: listed, or a gene or any other vector of the file."""
        if name in self.columns:
            return True
        if self._is_narrow or not isinstance(name, str):
            return False
        try:
            self._vectors.resolve(name)
        except CellassoError:
            return False
        return True

    def __repr__(self) -> str:
        """Return how many cells there are, and the columns that are listed; no values."""
        names = [str(name) for name in self.columns]
        shown = ", ".join(names[:12]) + (f", … ({len(names):,})" if len(names) > 12 else "")
        return f"Cells: {len(self):,} cells, columns read when named: {shown}"

    def _repr_html_(self) -> str | None:
        return None  # a notebook shows the text: a table would read all columns

    # -- reading ----------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        """Return a column as a series, a narrower frame for a list of names, or rows as pandas takes them.

        Raises
        ------
        NotFoundError, AmbiguousNameError
            There is no such vector, or several.
        ElementError
            It is damaged.
        """
        if _is_name(key):
            return self._column(key)
        if isinstance(key, list | pd.Index) and all(map(_is_name, key)):
            found = [(name, self.vector(name)) for name in key]  # raises if there is none
            return Cells(
                self._vectors, {name if isinstance(name, str) else str(vector): vector for name, vector in found}
            )
        return self.copy()[key]

    @property
    def is_narrow(self) -> bool:
        """Whether columns have been named; else all are listed."""
        return self._is_narrow

    @property
    def vectors(self) -> Vectors:
        """What finds and reads their columns."""
        return self._vectors

    def vector(self, key: Any) -> Vector:
        """Return the vector that a key names.

        Parameters
        ----------
        key
            A text, a vector, or a reference of `anndata.acc`.

        Raises
        ------
        NotFoundError, AmbiguousNameError
            There is no such vector, or several.
        VectorError
            The reference is to no single value of each cell.
        """
        if isinstance(key, str):
            return self._known.get(key) or self._vectors.resolve(key)
        return key if isinstance(key, Vector) else Vector.of(key)

    def _column(self, key: Any) -> pd.Series:
        found = self.vector(key)
        values = self._vectors.read_kept(found)
        name = key if isinstance(key, str) else str(found)
        if isinstance(values, pd.Series):
            return pd.Series(
                values.array.copy(), name=name, index=self.index, copy=False
            )  # what is kept is everybody's
        return pd.Series(values, name=name, index=self.index, copy=False)

    @property
    def _mgr(self) -> Any:
        # made anew each time: whatever pandas would write into it were lost
        return self.copy()._mgr  # noqa: SLF001 - see above

    def copy(self, deep: bool = True) -> pd.DataFrame:  # type: ignore[misc, override] # noqa: ARG002 - as pandas has it
        """Read the listed columns into a plain frame."""
        return pd.DataFrame({name: self[name] for name in self.columns}, index=self.index)

    # -- what it refuses --------------------------------------------------------------------------------

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TypeError(f"{key!r} cannot be set in the cells of a file: {HOW}.")

    def __delitem__(self, key: Any) -> NoReturn:  # type: ignore[misc] # final in the stubs alone
        raise TypeError(f"{key!r} cannot be removed from the cells of a file: {HOW}.")

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError(f"{name!r} cannot be set in the cells of a file: {HOW}.")

    @property
    def loc(self) -> Any:
        """Rows and columns by label, of a plain frame."""
        return self.copy().loc

    @property
    def iloc(self) -> Any:
        """Rows and columns by position, of a plain frame."""
        return self.copy().iloc

    def update(self, *_arguments: Any, **_options: Any) -> NoReturn:
        """Refuse to change values."""
        raise TypeError(f"Values cannot be changed in the cells of a file: {HOW}.")

    def isetitem(self, *_arguments: Any, **_options: Any) -> NoReturn:
        """Refuse to change a column."""
        raise TypeError(f"A column cannot be set in the cells of a file: {HOW}.")

    def insert(self, *_arguments: Any, **_options: Any) -> NoReturn:
        """Refuse to add a column."""
        raise TypeError(f"A column cannot be added to the cells of a file: {HOW}.")

    def __reduce__(self) -> Any:
        return self.copy().__reduce__()


def _is_name(key: object) -> bool:
    """Whether a key names one column: a text, a vector, or a reference of `anndata.acc`, known by its shape."""
    if isinstance(key, str | Vector):
        return True
    return not isinstance(key, pd.DataFrame | pd.Series) and is_reference(key)
