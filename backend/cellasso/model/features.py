"""The features of a modality (genes, peaks, proteins): finding one by name, suggesting while typing."""

from __future__ import annotations

import re
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.core.text import nearest
from cellasso.model.genomic_intervals import GenomicRange, Intervals
from cellasso.model.name_index import NameIndex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cellasso.encodings.dataframe import Frame

SYMBOL_COLUMNS = ("feature_name", "gene_symbols", "gene_symbol", "gene_name", "gene_names", "symbol", "name")
"""Columns of var with the names that people use: CELLxGENE's, scanpy's 10x reader's, and their kin; best first."""

ALIAS_SHARE = 0.5
"""A text column of var names features when at least this share of its values differ; others (feature types,
chromosomes) sort them."""

_VERSIONED = re.compile(r"(ens[a-z]*\d{6,})\.\d+", re.IGNORECASE)


class Suggestion(NamedTuple):
    """A feature that fits what was typed.

    Attributes
    ----------
    name
        Its unique name, as `Features.position` takes it.
    label
        What people call it: its symbol where the name is an accession.
    detail
        Its other name, if it has one.
    """

    name: str
    label: str
    detail: str


class Features:
    """The names of `var`, unique and searchable. Reads the index and the naming columns of var when first asked.

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
        if not self.n_duplicates:
            return names
        import pandas as pd  # noqa: PLC0415
        from anndata.utils import make_index_unique  # noqa: PLC0415

        with warnings.catch_warnings():  # anndata warns of names that end in -1 already: users cannot change them here
            warnings.simplefilter("ignore", UserWarning)
            return np.asarray(make_index_unique(pd.Index(names)), dtype=object)

    @cached_property
    def n_duplicates(self) -> int:
        """How many features bear a name that an earlier one has; they are `NAME-1`, `NAME-2`, ... here."""
        return len(self._var.names) - len(set(self._var.names))

    def position(self, name: str) -> int:
        """Return the column of a feature.

        By its exact name; else by an alias (a text column of var whose values tell features apart); else
        without regard to case; else without the version of an Ensembl accession.

        Raises
        ------
        NotFoundError
            No feature is called so; the message lists the nearest.
        """
        found = self.find(name)
        if found is None:
            place = f"{self._var.path} of {len(self):,} features"
            raise NotFoundError(f"{place} has no {name!r}{nearest(name, self.names)}")
        return found

    def __contains__(self, name: object) -> bool:
        """Whether a feature is called exactly so, by its unique name."""
        return name in self._by_name.exact

    def find(self, name: str) -> int | None:
        """Return the position of a feature as `position` does, or `None` when there is none."""
        indexes = [self._by_name, *self._aliases]
        for index in indexes:
            if name in index.exact:
                return index.exact[name]
        folded = name.casefold()
        for index in indexes:
            if folded in index.folded:
                return index.folded[folded]
        return self._by_unversioned.get(_without_version(folded))

    def label(self, name: str) -> str:
        """Return what people call a feature: its symbol where its name is an accession, else its name."""
        return self._label(self._by_name.exact[name]) if name in self._by_name.exact else name

    def prepare(self) -> None:
        """Read and arrange the names, which takes seconds of millions: the first search is then as fast as others."""
        for index in (self._by_name, *self._aliases):
            index.search("a")
            index.exact  # noqa: B018 - made once, then kept
        self._intervals  # noqa: B018

    def search(self, text: str, *, limit: int = 20) -> list[Suggestion]:
        """Return features for what has been typed.

        Equal first, then beginning so (shortest first), then containing it; by name or alias, without
        regard to case. A region such as `chr1:1,000,000-1,200,000` finds the peaks that overlap it, in the
        order of the genome.

        Parameters
        ----------
        text
            What was typed; spaces around it do not count. Empty: the first features.
        limit
            How many are returned at most.
        """
        wanted = text.strip().casefold()
        if not wanted:
            return [self._suggestion(position) for position in range(min(limit, len(self)))]
        found: dict[int, int] = {}
        for index in (self._by_name, *self._aliases):
            for rank, position in index.search(wanted):
                found[position] = min(rank, found.get(position, 3))
        positions = sorted(found, key=lambda p: (found[p], len(self._label(p)) if found[p] == 1 else 0, p))
        if not positions and _without_version(wanted) in self._by_unversioned:
            positions = [self._by_unversioned[_without_version(wanted)]]
        region = GenomicRange.parse(text)
        if region is not None and self._intervals is not None and (not positions or found[positions[0]] > 0):
            positions = [int(position) for position in self._intervals.overlapping(region)] or positions
        return [self._suggestion(position) for position in positions[:limit]]

    # ------------------------------------------------------------------------------------------------

    def _suggestion(self, position: int) -> Suggestion:
        name, label = str(self.names[position]), self._label(position)
        if label != name:
            return Suggestion(name, label, name)
        other = next((str(values[position]) for values in self._alias_values.values() if values[position]), "")
        return Suggestion(name, label, other if other != name else "")

    def _label(self, position: int) -> str:
        return str(self._symbols[position]) or str(self.names[position])

    @cached_property
    def _symbols(self) -> NDArray[np.object_]:
        """Symbols to show instead of names, `(n_vars,)`; all empty unless the names are accessions."""
        nothing = np.full(len(self), "", dtype=object)
        accessions = sum(str(name).casefold().startswith("ens") for name in self.names[:1000])
        if accessions * 2 < min(len(self), 1000) or not len(self):
            return nothing
        return next((self._alias_values[c] for c in SYMBOL_COLUMNS if c in self._alias_values), nothing)

    @cached_property
    def _alias_values(self) -> dict[str, NDArray[np.object_]]:
        """Values of the text columns that name features, `(n_vars,)` each, those with symbols first."""
        columns = sorted(self._var, key=lambda c: SYMBOL_COLUMNS.index(c) if c in SYMBOL_COLUMNS else 99)
        found = {}
        for column in columns:
            try:
                if self._var.kind(column) not in {"text", "category"}:
                    continue
                values = self._var.read_texts(column)
            except (ElementError, NotFoundError):  # the features are still found by name
                continue
            # missing values are no aliases, or each feature without a symbol would be called "nan"
            known = [value for value in values.tolist() if value]
            if known and len(set(known)) >= ALIAS_SHARE * len(known):
                found[column] = values
        return found

    @cached_property
    def _by_name(self) -> NameIndex:
        return NameIndex(self.names)

    @cached_property
    def _aliases(self) -> list[NameIndex]:
        return [NameIndex(values) for values in self._alias_values.values()]

    @cached_property
    def _by_unversioned(self) -> dict[str, int]:
        """Position by Ensembl accession without version, folded."""
        return {
            _without_version(name): position
            for index in reversed([self._by_name, *self._aliases])
            for name, position in index.folded.items()
            if name.startswith("ens")
        }

    @cached_property
    def _intervals(self) -> Intervals | None:
        return Intervals.of_names(self.names)


def _without_version(name: str) -> str:
    """Return `ensg00000141510` for `ensg00000141510.17`, and any other text as it is."""
    found = _VERSIONED.fullmatch(name)
    return found[1] if found else name
