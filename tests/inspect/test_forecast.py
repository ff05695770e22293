"""The forecast: every storage and filter is timed, little is read for it, and nothing stops the inspection."""

from __future__ import annotations

import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
from cellasso.inspect import forecast
from cellasso.inspect.inspection import inspect, render_text


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch):
    """However busy the machine is, each matrix has its turn."""
    monkeypatch.setattr(forecast, "TIME_LEFT", 60)


def report_of(path):
    with cellasso.open(path) as dataset:
        return inspect(dataset)


def write(path, matrix, **options):
    import anndata as ad

    n_obs, n_vars = matrix.shape
    cells = ad.AnnData(
        matrix, obs=pd.DataFrame(index=map(str, range(n_obs))), var=pd.DataFrame(index=[f"g{i}" for i in range(n_vars)])
    )
    cells.obsm["X_umap"] = np.random.default_rng(0).random((n_obs, 2))
    cells.obsp["distances"] = sparse.eye(n_obs, format="csr")
    cells.write_h5ad(path, **options)
    return path


def large(storage="csr", n_obs=20_000):
    matrix = sparse.random(n_obs, 200, density=0.5, format="csr", random_state=np.random.default_rng(0), dtype="f4")
    return matrix.toarray() if storage == "dense" else matrix.asformat(storage)


def test_every_matrix_of_every_storage_and_filter_is_timed(h5ad):
    report = report_of(h5ad.path)
    with cellasso.open(h5ad.path) as dataset:
        assert [timed.matrix for timed in report.forecast.timed] == list(dataset.matrices)
    assert report.problems == ()
    assert all(cost.seconds > 0 for cost in report.forecast.costs)
    ways = {(cost.matrix, cost.way) for cost in report.forecast.costs if cost.task == "gene"}
    assert (("X", "index") in ways) != h5ad.path.name.startswith("csc")
    assert report.forecast.costs[-1].task == "export"


@pytest.mark.parametrize("storage", ["csr", "csc", "dense"])
def test_little_is_read_of_a_large_file(tmp_path, monkeypatch, storage):
    monkeypatch.setattr(forecast, "_threads", lambda: 2)  # each reads a piece, twice
    path = write(tmp_path / "x.h5ad", large(storage, n_obs=50_000))
    with cellasso.open(path) as dataset:
        report = inspect(dataset)
        assert path.stat().st_size > 40e6
        assert dataset.handle.bytes_read < 10e6
    assert report.forecast.timed


def test_an_index_reads_the_values_of_an_average_gene(tmp_path):
    matrix = large()
    costs = {cost.way: cost for cost in report_of(write(tmp_path / "x.h5ad", matrix)).forecast.costs[:-1]}
    assert costs["index"].bytes_read == -(-matrix.nnz // 200)
    assert costs["index"].n_reads == 1
    assert costs["now"].bytes_read >= 8 * matrix.nnz


@pytest.mark.parametrize("storage", ["csr", "csc", "dense"])
def test_an_export_reads_and_writes_about_the_bytes_that_are_forecast(tmp_path, storage):
    path = write(tmp_path / "x.h5ad", large(storage), compression="gzip")
    cost = report_of(path).forecast.costs[-1]
    assert cost.bytes_read == stored_bytes(path)
    with cellasso.open(path) as dataset:
        mask = np.random.default_rng(1).random(dataset.n_obs) < 0.1
        exported = dataset.export(mask, tmp_path / "out.h5ad").path
    assert cost.bytes_written == pytest.approx(stored_bytes(exported), rel=0.15)


def stored_bytes(path):
    with h5py.File(path) as file:
        found = []
        file.visititems(
            lambda name, node: found.append(node.id.get_storage_size()) if isinstance(node, h5py.Dataset) else None
        )
    return sum(found)


@pytest.mark.parametrize("part", ["indices", "data"])
def test_a_damaged_piece_is_a_problem_and_what_it_costs_is_unknown(tmp_path, part):
    path = write(tmp_path / "x.h5ad", large(), compression="gzip")
    with h5py.File(path) as file:
        chunk = file["X"][part].id.get_chunk_info(0)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * chunk.size)
    report = report_of(path)
    assert report.problems == (f"x.h5ad:/X/{part} cannot be read (chunk 0 does not inflate).",)
    assert [cost.seconds for cost in report.forecast.costs if cost.way == "now"] == [None, None]
    assert "not timed" in render_text(report)


def test_indices_out_of_range_are_a_problem(tmp_path):
    path = write(tmp_path / "x.h5ad", large())
    with h5py.File(path, "a") as file:
        file["X/indices"][5] = 200
    assert report_of(path).problems == ("x.h5ad:/X/indices is damaged: it points outside of 0 to 199.",)


def test_parts_of_different_length_do_not_stop_the_forecast(tmp_path):
    path = write(tmp_path / "x.h5ad", large())
    with h5py.File(path, "a") as file:
        attributes, values = dict(file["X/data"].attrs), file["X/data"][:10]
        del file["X/data"]
        file["X/data"] = values
        file["X/data"].attrs.update(attributes)
    report = report_of(path)
    assert any("indices but 10 values" in problem for problem in report.problems)
    assert report.forecast.timed


@pytest.mark.parametrize("storage", ["csr", "csc", "dense"])
def test_a_matrix_in_huge_chunks_goes_untimed(tmp_path, monkeypatch, storage):
    monkeypatch.setattr(forecast, "MAX_PIECE_BYTES", 1_000)
    report = report_of(write(tmp_path / "x.h5ad", large(storage), compression="gzip"))
    assert report.forecast.timed == ()
    assert [cost.seconds for cost in report.forecast.costs if cost.way == "now"] == [None, None]
    assert report.problems == ()


def test_when_time_is_over_the_further_matrices_go_untimed(tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "TIME_LEFT", -1)
    report = report_of(write(tmp_path / "x.h5ad", large()))
    assert report.forecast.timed == ()
    assert report.forecast.bytes_per_second > 0


def test_a_filter_that_only_decompresses_here_is_a_problem(tmp_path, monkeypatch):
    path = write(tmp_path / "x.h5ad", large("dense"), compression=hdf5plugin.Zstd())

    def refuse(*_arguments, **_options):
        raise ValueError("no encoder")

    monkeypatch.setattr("cellasso.store.hdf5.replica.create_like", refuse)
    assert report_of(path).problems == ("x.h5ad:/X could not be timed (no encoder).",)
