r"""One value per cell, by name: what colours cells, stands along an axis, groups them, or is tested in an expression.

A vector prints as text and is read back from it. Before the name stands what it is, and before that its modality:

========================= ==================================================================
``obs:leiden``            a column of obs, or its index as ``obs:obs_names``
``gene:CD4``              a feature of X (of the first matrix where there is no X)
``counts/CD4``            a feature of the layer ``counts``; ``raw/CD4`` of raw, ``X/CD4`` of X
``lognorm:counts/CD4``    the same, log-normalised: ``log1p(10,000 * count / total of the cell)``
``sum:total``             the sum of each cell's values; ``sum:n_nonzero`` the number of those other than 0
``sum:raw/total``         the same of another matrix
``X_umap:0``              a dimension of an element of obsm, counted from 0 as NumPy does
``rna:gene:CD4``          any of these of a modality; of one inside of another ``rna:raw:gene:CD4``
========================= ==================================================================

A name with a colon, a slash or a backtick in it stands in backticks, a backtick in it doubled (``obs:`a/b```). In a
where-expression a name that is no bare word does, too. Kind and modality can be left out where only one reading remains
in a file; `Vectors.resolve` finds it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeGuard

from cellasso.core.errors import CellassoError

Kind: TypeAlias = Literal["obs", "gene", "sum", "obsm"]
SumName: TypeAlias = Literal["total", "n_nonzero"]

OBS: Final = "obs:"
GENE: Final = "gene:"
"""What stands before a name to say what it is, where a column of obs and a feature are both called so."""

SUMS: Final[tuple[SumName, ...]] = ("total", "n_nonzero")

OBS_NAMES: Final = "obs_names"
"""What the index of obs is called, whatever it is called in the file."""

_WORDS: Final = {"obs", "gene", "lognorm", "sum"}
_PIECE: Final = re.compile(r"`((?:``|[^`])*)`|([^`:/]+)|([:/])")


class VectorText(str):
    """The text of a vector, or of a part of one, as it is written: with backticks around names that need them."""

    __slots__ = ()


class VectorError(CellassoError, ValueError):
    """A text that names no vector."""


class Reference(Protocol):
    """What an accessor of `anndata.acc` (or of hv-anndata) returns, known by its shape alone."""

    acc: Any
    idx: Any


def is_reference(value: object) -> TypeGuard[Reference]:
    """Whether a value has the shape of a reference such as `A.obs["leiden"]`."""
    return hasattr(value, "acc") and hasattr(value, "idx")


@dataclass(frozen=True, slots=True)
class Vector:
    """One value per cell.

    Attributes
    ----------
    kind
        A column of obs, a feature, a sum of the cell's values, or a dimension of an element of obsm.
    name
        Of the column or feature, as the modality has it; of a sum one of `SUMS`; the key in obsm.
    modality
        Name of the modality; `""`: the file itself.
    layer
        Matrix of a feature or sum: `"X"`, `"raw"` or a layer; `None`: X, or the first that there is.
    normalised
        Whether a feature's counts are log-normalised.
    dim
        Which dimension of an element of obsm, counted from 0.
    """

    kind: Kind
    name: str
    modality: str = ""
    layer: str | None = None
    normalised: bool = False
    dim: int = 0

    def __str__(self) -> str:
        parts = [_quoted(part, _WORDS) for part in self.modality.split(":")] if self.modality else []
        name = _quoted(self.name)
        if self.kind == "obsm":
            parts += [_quoted(self.name, _WORDS), str(self.dim)]
        elif self.kind == "obs":
            parts += ["obs", name]
        else:
            where = "" if self.layer is None else f"{_quoted(self.layer)}/"
            word = "sum" if self.kind == "sum" else "lognorm" if self.normalised else "gene"
            parts += [f"{where}{name}"] if word == "gene" and where else [word, f"{where}{name}"]
        return ":".join(parts)

    @classmethod
    def parse(cls, text: str) -> Vector:
        """Read a vector from its full text; see the module's docstring.

        Raises
        ------
        VectorError
            It is none, or leaves out what it is; the message says which.
        """
        parts = split(text)
        *before, last = parts
        word = before[-1].word if before else None
        if word is not None:
            modality = _joined(before[:-1])
            if word == "obs":
                if last.layer is not None:
                    raise VectorError(f"{text!r} names no column of obs: a name with a slash stands in backticks.")
                return cls("obs", last.name, modality)
            if word == "sum":
                if last.name not in SUMS:
                    raise VectorError(f"{text!r} names no sum of a cell; there are {' and '.join(SUMS)}.")
                return cls("sum", last.name, modality, last.layer)
            return cls("gene", last.name, modality, last.layer, normalised=word == "lognorm")
        if last.layer is not None:
            return cls("gene", last.name, _joined(before), last.layer)
        if before and not last.is_quoted and last.name.isascii() and last.name.isdigit() and before[-1].layer is None:
            return cls("obsm", before[-1].name, _joined(before[:-1]), dim=int(last.name))
        ways = f"{OBS}{text}, {GENE}{text}" if text else "obs:leiden, gene:CD4, raw/CD4, X_umap:0"
        raise VectorError(f"{text!r} does not say what it is; write one such as {ways}.")

    @classmethod
    def of(cls, reference: Any, *, modality: str = "") -> Vector:
        """Return what an accessor of `anndata.acc` refers to, such as `A.layers["counts"][:, "CD4"]`.

        It is known by its shape (`acc`, `idx`, `acc.k`, `acc.dim`): no version of anndata is needed for it.

        Parameters
        ----------
        reference
            The accessor.
        modality
            Name of the modality in which it is meant; `""`: the file itself.

        Raises
        ------
        VectorError
            It does not refer to one value per cell.
        """
        acc, idx = getattr(reference, "acc", None), getattr(reference, "idx", None)
        key, axis = getattr(acc, "k", _ABSENT), getattr(acc, "dim", None)
        match axis, key, idx:
            case None, None | str(), (slice(), str(name)):
                return cls("gene", name, modality, key)
            case "obs", _, str() | None if key is _ABSENT:
                return cls("obs", OBS_NAMES if idx is None else idx, modality)
            case "obs", str(), int():
                return cls("obsm", key, modality, dim=idx)
        raise VectorError(f"{reference} refers to no single value of each cell.")

    def within(self, modality: str) -> Vector:
        """Return the same vector of a modality."""
        return replace(self, modality=modality)


@dataclass(frozen=True, slots=True)
class Segment:
    """What stands between two colons: a name, and the layer before its slash.

    Attributes
    ----------
    is_quoted
        Whether it stands in backticks, and so is a name whatever it reads like.
    """

    name: str
    layer: str | None = None
    is_quoted: bool = False

    @property
    def word(self) -> str | None:
        """The word of the grammar that it is, if it is one."""
        return self.name if self.name in _WORDS and not self.is_quoted and self.layer is None else None


_ABSENT: Final = object()


def split(text: str) -> list[Segment]:
    """Return the segments of a text.

    Raises
    ------
    VectorError
        A backtick is not closed, a name is missing, or there is more than one slash outside of backticks.
    """
    segments: list[list[tuple[str, bool]]] = [[]]
    at, expects_name = 0, True
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is None:
            raise VectorError(f"{text!r} has a backtick that is not closed; one in a name is written twice.")
        quoted, bare, sign = found.groups()
        if (sign is None) != expects_name:
            raise VectorError(f"{text!r} lacks {'a name' if sign else 'a colon or slash'} at character {at + 1}.")
        if sign is None:
            segments[-1].append((bare if quoted is None else quoted.replace("``", "`"), quoted is not None))
        elif sign == ":":
            segments.append([])
        at, expects_name = found.end(), sign is not None
    if expects_name:
        raise VectorError(f"{text!r} lacks a name at its end." if text else "A name is empty.")
    return [_segment(text, pieces) for pieces in segments]


def _segment(text: str, pieces: list[tuple[str, bool]]) -> Segment:
    if len(pieces) > 2:
        raise VectorError(f"{text!r} has two slashes between colons: a name with a slash in it stands in backticks.")
    (name, is_quoted) = pieces[-1]
    return Segment(name, pieces[0][0] if len(pieces) == 2 else None, is_quoted)


def _joined(segments: list[Segment]) -> str:
    return ":".join(f"{s.layer}/{s.name}" if s.layer is not None else s.name for s in segments)


def _quoted(name: str, words: set[str] | frozenset[str] = frozenset()) -> str:
    """Return a name as it is written: in backticks where it would be read otherwise."""
    plain = name and not set(name) & set("`:/") and name not in words
    return name if plain else f"`{name.replace('`', '``')}`"
