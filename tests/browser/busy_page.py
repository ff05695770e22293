"""A page that is told two things in a row at every click, the first while its socket is being written to."""

from __future__ import annotations

import panel as pn
from bokeh.io import curdoc
from panel.io.state import set_curdoc

from cellasso_app.panels.selection.component import SelectionPanel
from cellasso_app.runtime.document_loop import DocumentLoop, batched_updates

DELAYS = 6
"""Turns of the event loop between the two, at most."""


def page() -> pn.viewable.Viewable:
    """Return a panel that says to have written one cell more at each click on "Invert"."""
    loop, document = DocumentLoop(), curdoc()
    n = 0

    async def begin() -> None:
        (connection,) = document.session_context.session._subscribed_connections
        with await connection._socket.write_lock.acquire(), set_curdoc(document), batched_updates(document):
            panel.export = {"state": "running", "n": n, "fraction": 0.1}

    def end() -> None:
        panel.export = {"state": "done", "n": n, "path": "a file", "number": 0, "left_out": []}

    def click(_message: object) -> None:
        nonlocal n
        n += 1
        document.add_next_tick_callback(begin)
        for _ in range(n % DELAYS):
            loop.call(lambda: None)
        loop.call(end)

    panel = SelectionPanel(on_message=click, n_selected=1, n_obs=1, height=400)
    return panel


if __name__ == "__main__":
    pn.serve(page, port=0, show=False)
