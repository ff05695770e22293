"""The genes that were chosen, and what is made ready while somebody still looks for one."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.model.vector import Vector
from cellasso_app.panels.genes import controller as genes
from cellasso_app.panels.genes.controller import GenesView
from cellasso_app.render.coloring_cache import coloring_cache as cache_of
from cellasso_app.state.session import Session
from conftest import write
from stepping import run_steps, until


@pytest.fixture
def path(tmp_path):
    X = np.random.default_rng(5).poisson(1.0, (300, 5)).astype("f4")
    names = ["zeta", "alpha", "mid", "never", "HLA:DRA"]
    return write(ad.AnnData(X, var=pd.DataFrame(index=names)), tmp_path / "genes.h5ad")


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("many", [True, False])
def test_of_very_many_cells_the_first_gene_suggested_is_read_before_it_is_chosen(path, monkeypatch, many):
    monkeypatch.setattr(genes, "READ_AHEAD", 1 if many else 10**9)
    with cellasso.open(path) as dataset:
        session, sent = Session(dataset), []
        view = GenesView(session)
        monkeypatch.setattr(view.panel, "_send_msg", sent.append)
        column = session.resolve_color(Vector("gene", "alpha"))
        monkeypatch.setattr(session, "needs_scan", lambda _: not many)
        view.panel.receive({"type": "search", "text": "alph", "number": 1})
        until(lambda: sent)
        if many:
            until(lambda: cache_of(dataset).get(column) is not None)
        run_steps()
        assert (cache_of(dataset).get(column) is not None) == many
