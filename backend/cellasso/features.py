"""The features of a modality (genes, peaks, proteins): finding one by name, suggesting while typing."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cellasso.errors import ElementError, NotFoundError
from cellasso.handle import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cellasso.frame import Frame

ALIAS_COLUMNS = (
    "feature_name",
    "gene_symbols",
    "gene_symbol",
    "gene_name",
    "gene_names",
    "gene_ids",
    "gene_id",
)
"""Columns of var by which features are found too: CELLxGENE's, scanpy's 10x reader's, and their kin."""


class Features:
    """The names of `var`, unique and searchable. Reads the index of var when first asked.

    Duplicate names are told apart as anndata's `var_names_make_unique` does: `TBCE`, `TBCE-1`.
    """

    def __init__(self, var: Frame) -> None:
        self._var = var

    def __len__(self) -> int:
        return len(self._var)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    @cached_property
    def names(self) -> NDArray[np.object_]:
        """Unique names, `(n_vars,)`."""
        names = self._var.names
        if len(set(names)) == len(names):
            return names
        import pandas as pd  # noqa: PLC0415
        from anndata.utils import make_index_unique  # noqa: PLC0415

        with warnings.catch_warnings():  # a name that ends in -1 already is no concern of who looks at cells
            warnings.simplefilter("ignore", UserWarning)
            return np.asarray(make_index_unique(pd.Index(names)), dtype=object)

    def position(self, name: str) -> int:
        """Return the column of a feature: by its exact name, else by an alias column, else ignoring case.

        Raises
        ------
        NotFoundError
            No feature is called so; the message lists the nearest.
        """
        for table in (self._by_name, self._by_alias):
            if name in table:
                return table[name]
        folded = name.casefold()
        if folded in self._by_folded:
            return self._by_folded[folded]
        place = f"{self._var.path} of {len(self):,} features"
        raise NotFoundError(f"{place} has no {name!r}{nearest(name, self.names)}")

    def search(self, text: str, *, limit: int = 20) -> list[str]:
        """Return up to `limit` names for what has been typed: equal first, then beginning so, then containing it.

        Case is ignored. An alias (`ENSG…`, a symbol) that matches brings up its feature's name.
        """
        wanted = text.strip().casefold()
        if not wanted:
            return [str(name) for name in self.names[:limit]]
        exact: dict[int, None] = {}
        starts: dict[int, None] = {}
        inside: dict[int, None] = {}
        for position, name in self._folded:
            at = name.find(wanted)
            if at == 0:
                (exact if len(name) == len(wanted) else starts)[position] = None
            elif at > 0 and len(inside) < limit:
                inside[position] = None
        found = list(dict.fromkeys([*exact, *sorted(starts, key=self._length), *inside]))
        return [str(self.names[position]) for position in found[:limit]]

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {str(name): position for position, name in enumerate(self.names)}

    @cached_property
    def _aliases(self) -> list[NDArray[np.object_]]:
        found = []
        for column in ALIAS_COLUMNS:
            try:
                if column not in self._var or self._var.kind(column) not in {"text", "category"}:
                    continue
                values = self._var.read(column)
            except ElementError:  # the features are still found by name
                continue
            # a missing alias is no alias: not every feature without a symbol is called "nan"
            found.append(values.astype(object).where(values.notna(), "").astype(str).to_numpy(dtype=object))
        return found

    @cached_property
    def _by_alias(self) -> dict[str, int]:
        table: dict[str, int] = {}
        for values in self._aliases:
            for position, value in enumerate(values):
                if value:
                    table.setdefault(value, position)
        return table

    @cached_property
    def _by_folded(self) -> dict[str, int]:
        table: dict[str, int] = {}
        for position, name in self._folded:
            table.setdefault(name, position)
        return table

    @cached_property
    def _folded(self) -> list[tuple[int, str]]:
        columns = [self.names, *self._aliases]
        return [(position, str(name).casefold()) for names in columns for position, name in enumerate(names) if name]

    def _length(self, position: int) -> int:
        return len(self.names[position])
