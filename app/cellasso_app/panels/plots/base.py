"""What a plot of genes by groups is to the panel that shows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from bokeh.plotting import figure

    from cellasso_app.panels.plots.arrangement import Arranged
    from cellasso_app.panels.plots.component import PlotKey


class Plot(ABC):
    """A figure that is kept for the life of a session, and below it what its marks mean.

    Attributes
    ----------
    label
        What the page calls it.
    figure
        The Bokeh figure; a further gene changes its data, axes and height.
    key
        What sizes and colours mean; hidden by the panel while there is nothing to show.
    """

    label: ClassVar[str]
    figure: figure
    key: PlotKey

    @abstractmethod
    def __init__(self, *, dark: bool) -> None:
        """Make it empty, in the inks of the light or the dark page."""

    @abstractmethod
    def show(self, shown: Arranged) -> None:
        """Show genes by groups.

        Parameters
        ----------
        shown
            As they are laid out.
        """

    @abstractmethod
    def fill(self, *, whole: bool) -> None:
        """Take all the height that there is, or again what rows need.

        Parameters
        ----------
        whole
            Whether the plot has the whole window.
        """

    @abstractmethod
    def set_theme(self, *, dark: bool) -> None:
        """Draw in the inks and colours of the light or the dark page."""
