"""The notebook runs from its first cell to its last, and shows what it says."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

HERE = Path(__file__).parent


@pytest.mark.more
def test_the_notebook_runs(tmp_path, monkeypatch):
    paths = [str(HERE.parents[1] / folder) for folder in ("backend", "app")] + [str(HERE)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(HERE / "tutorial.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    options = {"timeout": 120, "kernel_name": "python3", "resources": {"metadata": {"path": str(tmp_path)}}}
    NotebookClient(notebook, **options).execute()  # raises where a cell does
    shown = {
        cell.source: [output for output in cell.outputs if output.output_type in {"execute_result", "display_data"}]
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    for source, what in (
        ("dataset = cellasso.open", "text/html"),
        ("hv.Points(", "text/html"),
        ("explorer = cellasso.explore", "text/html"),
        ("mdata = cellasso.open", "text/html"),
    ):
        outputs = next(outputs for text, outputs in shown.items() if source in text)
        assert any(what in output.data for output in outputs), source
    total = next(outputs for text, outputs in shown.items() if "aggregate.sum()" in text)
    assert total[0].data["text/plain"] == "700"
