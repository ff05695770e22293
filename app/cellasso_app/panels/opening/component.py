"""What stands on the page while its file is opened, or in its place."""

from __future__ import annotations

from typing import ClassVar

import param

from cellasso_app.ui.component import ROOT, STYLE, THEME, Component, script


class Opening(Component):
    """The page's frame while its file is opened."""

    _esm = script(__file__, "opening.js")
    _stylesheets: ClassVar[list[str]] = [THEME, STYLE]

    css_classes = param.List(default=[ROOT])
    file = param.String()
    busy = param.Boolean(default=True)


class Notice(Component):
    """A page that only says why there is nothing else, and names the files that there are."""

    _esm = script(__file__, "notice.js")
    _stylesheets: ClassVar[list[str]] = [THEME, STYLE]

    css_classes = param.List(default=[ROOT])
    text = param.String()
    files = param.List(doc="Names of files to go to instead.")
