"""Some cells and the recipe that found them; how a step changes them, or why it does not; undo and redo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellasso.selection.recipe import Combined, Inverted, Operation, Recipe, combine

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_HISTORY = 100
"""Selections kept for undo; each takes a bit per cell."""

NONE_THERE = "No selected cells there; the selection stays."
UNCHANGED: dict[Operation, str] = {
    "add": "Those cells are selected already.",
    "subtract": NONE_THERE,
    "intersect": "All selected cells are there.",
}
"""What is said of a step that leaves the selected cells as they are, by how it combines with them."""


@dataclass(frozen=True)
class Selection:
    """Some cells, and the recipe that found them.

    Attributes
    ----------
    packed
        The mask over obs, eight cells a byte, so that many can be kept for undo.
    """

    recipe: Recipe
    packed: NDArray[np.uint8]
    n_obs: int
    n: int

    @classmethod
    def of(cls, recipe: Recipe, mask: NDArray[np.bool_]) -> Selection:
        """Make a selection of a mask `(n_obs,)`."""
        return cls(recipe, np.packbits(mask), len(mask), int(np.count_nonzero(mask)))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask `(n_obs,)`."""
        return np.unpackbits(self.packed, count=self.n_obs).view(np.bool_)

    def then(self, operation: Operation, recipe: Recipe, mask: NDArray[np.bool_]) -> Selection:
        """Return this selection combined with a further one."""
        if operation == "replace":
            return Selection.of(recipe, mask)
        return Selection.of(Combined(operation, self.recipe, recipe), combine(operation, self.mask, mask))

    def inverted(self) -> Selection:
        """Return all other cells."""
        recipe = self.recipe.of if isinstance(self.recipe, Inverted) else Inverted(self.recipe)
        return Selection.of(recipe, ~self.mask)


# A step that finds no cells is no step. A stroke beside the cells is a slip of the hand: it must not cost a
# selection that may have taken many strokes, also where it was to replace it, nor may "0 cells" become a
# selection, before which every cell is one of the others and fades. Clearing has gestures of its own (Escape, a
# double click, Clear), and subtracting the last selected cell clears too: that is what was asked for.


def step(
    before: Selection | None, operation: Operation, recipe: Recipe, mask: NDArray[np.bool_], where: str
) -> Selection | str:
    """Return what is selected after a step, of no cells maybe, or in a sentence why it changes nothing.

    Parameters
    ----------
    before
        What is selected.
    operation
        How what was drawn or clicked is combined with it.
    recipe, mask
        Of the cells that were; the mask `(n_obs,)`.
    where
        For the sentence which says that these are none.
    """
    fresh = Selection.of(recipe, mask)
    if not fresh.n:
        return f"No cells {where}{'; the selection stays' if before is not None else ''}."
    if before is None:
        return fresh if operation != "subtract" else "Nothing is selected that could be taken away."
    after = before.then(operation, recipe, mask)
    if operation == "intersect" and not after.n:
        return NONE_THERE
    if operation != "replace" and after.n == before.n:  # then they are the same cells
        return UNCHANGED[operation]
    return after


class History:
    """The selections before and after the one that there is, the last `MAX_HISTORY` of them."""

    def __init__(self) -> None:
        self._past: list[Selection | None] = []
        self._future: list[Selection | None] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is one before."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether an undo can be taken back."""
        return bool(self._future)

    def leave(self, selection: Selection | None) -> None:
        """Keep what is selected before a step; what could be redone is gone."""
        self._past = [*self._past, selection][-MAX_HISTORY:]
        self._future = []

    def undo(self, selection: Selection | None) -> Selection | None:
        """Return the one before the one that there is."""
        self._future.append(selection)
        return self._past.pop()

    def redo(self, selection: Selection | None) -> Selection | None:
        """Return the one after the one that there is."""
        self._past.append(selection)
        return self._future.pop()
