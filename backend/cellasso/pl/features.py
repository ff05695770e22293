"""Which features a plot shows, and of which matrix: scanpy's arguments for it, understood in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.dataset import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellasso.dataset import Modality

    VarNames: TypeAlias = str | Sequence[str] | Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class FeatureGroup:
    """Neighbouring features of a plot that have a common label.

    Attributes
    ----------
    first, last
        Positions among the features of the plot, both included.
    """

    label: str
    first: int
    last: int


@dataclass(frozen=True)
class Features:
    """The features of a plot.

    Attributes
    ----------
    names
        As they were asked for, in this order; the same one may stand in several groups.
    groups
        Those that have a common label; none where there are no labels.
    layer
        Their matrix, as of `Modality.matrix`; `None`: X.
    normalised
        Whether counts are log-normalised, as of `Modality.read_features`.
    """

    names: tuple[str, ...]
    groups: tuple[FeatureGroup, ...]
    layer: str | None
    normalised: bool

    def __len__(self) -> int:
        return len(self.names)


def choose_features(
    dataset: Dataset | Modality,
    var_names: VarNames,
    *,
    use_raw: bool | None = None,
    layer: str | None = None,
    normalised: bool = False,
    var_group_labels: Sequence[str] | None = None,
    var_group_positions: Sequence[tuple[int, int]] | None = None,
) -> Features:
    """Return the features that a plot shows, as scanpy understands these arguments.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    var_names
        A name, several, or lists of them by label.
    use_raw
        Whether they are read from `raw`; `None`: where there is raw and no layer is named (of an h5mu: where the
        modalities of all features have raw).
    layer
        Which matrix; goes with `use_raw` false or left out.
    normalised
        Whether counts are log-normalised on the way.
    var_group_labels, var_group_positions
        Labels, and the first and last position of the features below each; not beside lists by label.

    Raises
    ------
    NotFoundError
        There is no such feature or matrix.
    ElementError
        Both raw and a layer are asked for, labels and positions do not go together, or no feature is named.
    """
    names, groups = _flat(var_names)
    if var_group_labels is not None or var_group_positions is not None:
        if var_group_labels is None or var_group_positions is None or len(var_group_labels) != len(var_group_positions):
            raise ElementError("var_group_labels and var_group_positions go together, one position for each label.")
        if isinstance(var_names, Mapping):
            raise ElementError("var_names has labels already: leave out var_group_labels and var_group_positions.")
        pairs = zip(var_group_labels, var_group_positions, strict=True)
        groups = [FeatureGroup(str(label), int(first), int(last)) for label, (first, last) in pairs]
        wrong = next((each for each in groups if not 0 <= each.first <= each.last < len(names)), None)
        if wrong is not None:
            place = f"{wrong.first} to {wrong.last}"
            raise ElementError(f"var_group_positions has {place} for {wrong.label!r}; there are {len(names)} features.")
    if not names:
        raise ElementError("No features to show: var_names is empty.")
    if use_raw and layer is not None:
        raise ElementError(f"use_raw=True and layer={layer!r} exclude each other; leave one of them out.")
    if use_raw is None:
        use_raw = layer is None and all(_has_raw(dataset, name) for name in names)
    chosen = "raw" if use_raw else layer
    for name in dict.fromkeys(names):
        owner, inner = dataset.feature_owner(name, chosen) if isinstance(dataset, Dataset) else (dataset, name)
        owner.matrix(chosen)
        owner.features(chosen).position(inner)
    return Features(tuple(names), tuple(groups), chosen, normalised)


def _flat(var_names: VarNames) -> tuple[list[str], list[FeatureGroup]]:
    if isinstance(var_names, str):
        return [var_names], []
    if not isinstance(var_names, Mapping):
        return [str(name) for name in var_names], []
    names: list[str] = []
    groups = []
    for label, own in var_names.items():
        first = len(names)
        names += [own] if isinstance(own, str) else [str(name) for name in own]
        if len(names) > first:
            groups.append(FeatureGroup(str(label), first, len(names) - 1))
    return names, groups


def _has_raw(dataset: Dataset | Modality, name: str) -> bool:
    """Whether the modality of a feature has raw."""
    if not isinstance(dataset, Dataset):
        return "raw" in dataset.matrices
    try:
        owner, _ = dataset.feature_owner(name, "raw")
    except NotFoundError:
        return False
    return "raw" in owner.matrices
