"""What one picture shows: the only home of a view's choices, and which choices those are.

============================================ ======= ================================================================
choice                                       home    because
============================================ ======= ================================================================
embedding and its dimensions, pair of axes   view    pictures side by side are there to be compared
what colours the cells                       view    likewise
what the next stroke does                    view    the tools stand above each picture
selection and its history                    session one set of cells, shown in every picture
hidden categories                            session they say which cells there are to see and to select, wherever
scales by what colours, order, dot size,     session colours and dots mean the same in all pictures, so that these
crowds, names of categories, downward                can be compared
recoloured categories, categories of numbers session a column looks the same wherever it is shown
genes, grouping, composition                 session of the panels beside the pictures
modality, matrix, normalise                  session what genes and columns are offered, and how they are read
theme, columns told under the pointer        session of the page
============================================ ======= ================================================================

A view's choices are a value. The session holds one for each view, says which view is active, and is told of changes:
panels change the active one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellasso.model.vector import Vector
    from cellasso.selection.recipe import Operation


@dataclass(frozen=True)
class ViewState:
    """The choices of one view.

    Attributes
    ----------
    embedding
        Name as `Dataset.point_index` takes it; empty where there is none.
    dims
        Which of its dimensions are drawn.
    pair
        Two vectors that are the axes instead of the embedding, or `None`.
    color
        The vector that colours the cells, or `None`. A gene of whichever matrix, as are those of the pair: the session
        says of which.
    operation
        What the next stroke does with the selection there is.
    """

    embedding: str = ""
    dims: tuple[int, int] = (0, 1)
    pair: tuple[Vector, Vector] | None = None
    color: Vector | None = None
    operation: Operation = "replace"

    @property
    def shown(self) -> tuple[object, ...]:
        """All of it that the picture shows."""
        return self.embedding, self.dims, self.pair, self.color
