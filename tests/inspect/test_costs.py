"""What a gene and an export cost, worked out by hand from measurements that are made up."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import cellasso
from cellasso.column_index import plan
from cellasso.inspect.costs import START_SECONDS, Stored, Timed, Volume, export_cost, gene_costs

RATE, LATENCY = 1e6, 0.001  # bytes a second; seconds
TIMED = Timed(
    "X",
    gene_values=1_000,
    gene_seconds=0.01,
    export_values=2_000,
    read_seconds=0.02,
    written_values=500,
    write_seconds=0.05,
)


def stored(storage: str, chunks: tuple[int, ...] | None = None, shape=(200_000, 50)) -> Stored:
    n_stored = shape[0] * shape[1] if storage == "dense" else 100_000
    return Stored("X", storage, shape, n_stored, chunks, memory_bytes=800_000, gene_bytes=500_000)


def costs(of: Stored, timed: Timed | None = TIMED):
    return gene_costs(of, timed, bytes_per_second=RATE, seconds_per_read=LATENCY)


def test_a_scan_takes_all_values_and_all_bytes():
    now, _ = costs(stored("csr"))
    assert (now.task, now.matrix, now.way, now.bytes_read, now.n_reads) == ("gene", "X", "now", 500_000, 1)
    assert now.seconds == pytest.approx(100 * 0.01 + 0.5)


def test_an_index_takes_a_read_per_segment_and_the_genes_own_values():
    _, index = costs(stored("csr"))
    assert (index.way, index.n_reads, index.bytes_read) == ("index", 4, 2_000)
    assert index.seconds == pytest.approx(4 * 0.001 + 0.002)


def test_a_column_of_csc_takes_its_own_values_and_needs_no_index():
    (now,) = costs(stored("csc"))
    assert (now.way, now.n_reads) == ("now", 2)
    assert now.seconds == pytest.approx(2 * 0.01 + 0.5)


@pytest.mark.parametrize(("chunks", "n_reads"), [(None, 1), ((1_000, 10), 200), ((150_000, 50), 2)])
def test_a_column_of_a_dense_matrix_takes_a_read_for_each_row_or_chunk(chunks, n_reads):
    now, index = costs(stored("dense", chunks))
    assert now.n_reads == n_reads
    assert now.seconds == pytest.approx(200 * 0.01 + 0.5)
    assert (index.n_reads, index.bytes_read) == (4, 200_000)  # every value at most


def test_what_was_not_timed_has_no_seconds():
    now, _ = costs(stored("csr"), None)
    assert now.seconds is None
    assert now.bytes_read == 500_000


def test_a_matrix_without_genes_costs_nothing():
    assert costs(stored("dense", shape=(5, 0))) == []


def test_an_export_reads_all_and_writes_a_tenth():
    volume = Volume(disk=2_000_000, memory=800_000, kept=150_000)
    cost = export_cost([stored("csr")], {"X": TIMED}, volume, bytes_per_second=RATE)
    assert (cost.task, cost.matrix, cost.bytes_read, cost.bytes_written) == ("export", "", 2_000_000, 150_000)
    assert cost.seconds == pytest.approx(START_SECONDS + 50 * 0.02 + 0.1 * 200 * 0.05 + 2.0)


def test_what_is_no_matrix_is_exported_at_the_matrices_speed():
    one, both = (
        export_cost([stored("csr")], {"X": TIMED}, Volume(memory=memory), bytes_per_second=RATE).seconds
        for memory in (800_000, 1_600_000)
    )
    assert both - START_SECONDS == pytest.approx(2 * (one - START_SECONDS))


def test_an_export_of_matrices_none_of_which_was_timed_has_no_seconds():
    assert export_cost([stored("csr")], {}, Volume(disk=9), bytes_per_second=RATE).seconds is None
    assert export_cost([], {}, Volume(disk=9), bytes_per_second=RATE).seconds == pytest.approx(START_SECONDS, abs=1e-3)


def test_an_index_has_as_many_blocks_as_are_planned(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "MAX_VALUES", 1_000)
    monkeypatch.setattr(plan, "MAX_ROWS", 64)
    rng = np.random.default_rng(0)
    for n_rows, density in ((500, 0.01), (500, 0.5), (40, 0.5)):
        matrix = sparse.random(n_rows, 20, density=density, format="csr", random_state=rng)
        ad.AnnData(matrix).write_h5ad(tmp_path / "x.h5ad")
        with cellasso.open(tmp_path / "x.h5ad", index=False) as dataset:
            planned = len(plan.plan(dataset.matrix().matrix)) - 1
        assert abs(plan.n_blocks(n_rows, matrix.nnz) - planned) <= 1
