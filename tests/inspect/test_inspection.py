"""The inspection: what it says of a file, that it reads no values, and that no file stops it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
import oracle
from cellasso.core.errors import CellassoError
from cellasso.inspect import forecast
from cellasso.inspect import inspection as inspecting
from cellasso.inspect.inspection import inspect, render_text, to_json
from cellasso.inspect.report import human_bytes, human_seconds

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL = sorted(SHARED.glob("*.h5*"))
N_OBS, N_VARS = 300, 40
BY = "\N{MULTIPLICATION SIGN}"
STORAGES = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}


def make(storage: str) -> anndata.AnnData:
    rng = np.random.default_rng(0)
    values = rng.poisson(0.5, (N_OBS, N_VARS)).astype(np.float32)
    obs = pd.DataFrame(
        {"leiden": pd.Categorical(rng.choice(["a", "b"], N_OBS)), "depth": rng.random(N_OBS)},
        index=[f"c{n}" for n in range(N_OBS)],
    )
    var = pd.DataFrame(index=[f"{storage}{n}" for n in range(N_VARS)])
    embedding = {"X_umap": rng.random((N_OBS, 2)).astype(np.float32)}
    return anndata.AnnData(STORAGES[storage](values), obs=obs, var=var, obsm=embedding)


@pytest.fixture(params=STORAGES)
def h5ad(request, tmp_path):
    path = tmp_path / f"{request.param}.h5ad"
    make(request.param).write_h5ad(path, compression="gzip")
    return path


@pytest.fixture
def dense(tmp_path):
    path = tmp_path / "dense.h5ad"
    make("dense").write_h5ad(path)
    return path


@pytest.fixture
def h5mu(tmp_path):
    path = tmp_path / "both.h5mu"
    mudata.MuData({"rna": make("csr"), "adt": make("dense")[:200].copy()}).write_h5mu(path)
    return path


def report_of(path):
    with cellasso.open(path) as dataset:
        return inspect(dataset)


def flat(elements):
    for element in elements:
        yield element
        yield from flat(element.children)


def by_path(report):
    return {element.path: element for section in report.sections for element in flat(section.elements)}


def test_report_names_file_format_and_shape(h5ad):
    report = report_of(h5ad)
    assert (report.file, report.format, report.n_obs, report.n_vars) == (h5ad.name, "h5ad", N_OBS, N_VARS)
    assert report.file_bytes == h5ad.stat().st_size
    assert report.problems == ()
    assert report.names_checked


def test_every_matrix_states_kind_shape_dtype_and_compression(h5ad):
    x = by_path(report_of(h5ad))["/X"]
    expected = {"dense": "array", "csr": "csr_matrix", "csc": "csc_matrix"}[h5ad.stem]
    assert (x.encoding, x.shape, x.dtype, x.compression) == (expected, (N_OBS, N_VARS), "float32", "gzip-4")


def test_sizes_are_those_that_hdf5_and_scipy_state(h5ad):
    x = by_path(report_of(h5ad))["/X"]
    in_memory = anndata.read_h5ad(h5ad).X
    parts = [in_memory] if h5ad.stem == "dense" else [in_memory.data, in_memory.indices, in_memory.indptr]
    assert x.memory_bytes == sum(part.nbytes for part in parts)
    with h5py.File(h5ad) as file:
        stored = [file["X"]] if h5ad.stem == "dense" else list(file["X"].values())
        assert x.disk_bytes == sum(part.id.get_storage_size() for part in stored)


def test_a_group_has_the_size_of_its_members(h5ad):
    obs = by_path(report_of(h5ad))["/obs"]
    assert obs.disk_bytes == sum(child.disk_bytes for child in obs.children) > 0
    assert [child.name for child in obs.children] == ["_index", "leiden", "depth"]


def test_colouring_by_a_gene_costs_all_stored_values_of_a_csr_matrix(tmp_path):
    make("csr").write_h5ad(tmp_path / "x.h5ad")
    x = by_path(report_of(tmp_path / "x.h5ad"))["/X"]
    assert x.feature_bytes == x.disk_bytes


def test_colouring_by_a_gene_costs_an_average_column_of_a_csc_matrix(tmp_path):
    make("csc").write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "a") as file:  # unchunked, so that a column is read and no more
        for part in ("data", "indices"):
            values = file["X"][part][...]
            del file["X"][part]
            file["X"][part] = values
    x = by_path(report_of(tmp_path / "x.h5ad"))["/X"]
    in_memory = anndata.read_h5ad(tmp_path / "x.h5ad").X
    assert x.feature_bytes == pytest.approx((in_memory.data.nbytes + in_memory.indices.nbytes) / N_VARS, abs=2)


def test_a_csc_column_is_not_cheaper_than_the_chunk_that_it_lies_in(tmp_path):
    make("csc").write_h5ad(tmp_path / "x.h5ad")
    x = by_path(report_of(tmp_path / "x.h5ad"))["/X"]
    assert x.feature_bytes >= 2 * 4 * min(x.chunks[0], anndata.read_h5ad(tmp_path / "x.h5ad").X.nnz)


@pytest.mark.parametrize(
    ("chunks", "expected"), [(None, N_OBS * 160), ((50, 10), N_OBS * 10 * 4), ((50, 40), N_OBS * 160)]
)
def test_colouring_by_a_gene_costs_a_column_of_chunks_of_a_dense_matrix(dense, chunks, expected):
    with h5py.File(dense, "a") as file:
        values, attributes = file["X"][...], dict(file["X"].attrs)
        del file["X"]
        file.create_dataset("X", data=values, chunks=chunks).attrs.update(attributes)
    assert by_path(report_of(dense))["/X"].feature_bytes == expected


def test_only_matrices_of_features_have_a_cost(tmp_path):
    cells = make("csr")
    cells.layers["counts"] = cells.X.copy()
    cells.obsp["distances"] = sparse.eye(N_OBS, format="csr")
    cells.raw = cells
    cells.write_h5ad(tmp_path / "x.h5ad")
    found = by_path(report_of(tmp_path / "x.h5ad"))
    assert {p for p, e in found.items() if e.feature_bytes is not None} == {"/X", "/raw/X", "/layers/counts"}


def test_h5mu_has_a_section_for_each_modality(h5mu):
    report = report_of(h5mu)
    assert [(s.name, s.n_obs, s.n_vars) for s in report.sections] == [
        ("", N_OBS, 2 * N_VARS),
        ("rna", N_OBS, N_VARS),
        ("adt", 200, N_VARS),
    ]
    assert by_path(report)["/mod/adt/X"].shape == (200, N_VARS)
    assert report.problems == ()
    text = render_text(report)
    assert re.search(rf"^rna +300 {BY} 40$", text, re.MULTILINE)
    assert re.search(rf"^adt +200 {BY} 40$", text, re.MULTILINE)


def rewrite(file, path, values, **options):
    """Store a dataset anew in other chunks and filters."""
    attributes = dict(file[path].attrs)
    del file[path]
    file.create_dataset(path, data=values, **options).attrs.update(attributes)


def damage(path, chunks):
    with path.open("r+b") as file:
        for chunk in chunks:
            file.seek(chunk.byte_offset)
            file.write(b"\xff" * chunk.size)


def test_no_values_of_columns_are_read_nor_more_of_a_matrix_than_the_first_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "PIECE_VALUES", 100)
    path = tmp_path / "broken_inside.h5ad"
    make("csr").write_h5ad(path, compression="gzip")
    with h5py.File(path, "a") as file:
        for part in ("X/data", "X/indices"):
            rewrite(file, part, file[part][: len(file[part]) // 100 * 100], chunks=(100,), compression="gzip")
        file["X/indptr"][...] = np.minimum(file["X/indptr"][...], len(file["X/data"]))
        columns = ("X/indptr", "obs/leiden/codes", "obs/depth", "obsm/X_umap")
        chunks = [file[name].id.get_chunk_info(n) for name in columns for n in range(file[name].id.get_num_chunks())]
        for part in (file["X/data"], file["X/indices"]):
            assert part.id.get_num_chunks() > 20
            chunks += [part.id.get_chunk_info(n) for n in range(1, part.id.get_num_chunks())]
    damage(path, chunks)
    with cellasso.open(path) as dataset, pytest.raises(CellassoError):
        dataset.read_obs("depth")
    with cellasso.open(path) as dataset, pytest.raises(CellassoError):
        dataset.read_feature("csr1")
    assert report_of(path).problems == ()


def test_names_of_a_large_file_are_left_unread(dense, monkeypatch):
    monkeypatch.setattr(inspecting, "MAX_NAMES", N_OBS - 1)
    report = report_of(dense)
    assert not report.names_checked
    assert "Names were not searched for duplicates" in render_text(report)


def test_neither_anndata_nor_mudata_is_imported(h5mu):
    code = (
        "import sys, cellasso; from cellasso.inspect.inspection import inspect;"
        f"inspect(cellasso.open({str(h5mu)!r})); print('anndata' in sys.modules or 'mudata' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# -- storage order -------------------------------------------------------------------------------------------


ORDERS = {"csr": "cell by cell (CSR)", "csc": "gene by gene (CSC)", "dense": "dense, row-major"}


def test_storage_order_is_said_in_words(h5ad):
    found = by_path(report_of(h5ad))
    assert found["/X"].order == ORDERS[h5ad.stem]
    assert found["/obsm/X_umap"].order == "row-major"
    assert found["/obs/depth"].order == ""
    assert f"{ORDERS[h5ad.stem]}, chunks " in render_text(report_of(h5ad))


def test_what_is_no_matrix_of_features_has_rows_and_columns(tmp_path):
    cells = make("csr")
    cells.obsp["distances"] = sparse.eye(N_OBS, format="csr")
    cells.obsp["connectivities"] = sparse.eye(N_OBS, format="csc")
    cells.write_h5ad(tmp_path / "x.h5ad")
    found = by_path(report_of(tmp_path / "x.h5ad"))
    assert found["/obsp/distances"].order == "row by row (CSR)"
    assert found["/obsp/connectivities"].order == "column by column (CSC)"


# -- as text and as JSON --------------------------------------------------------------------------------


def test_text_begins_with_name_format_shape_and_size(dense):
    size = human_bytes(dense.stat().st_size)
    assert render_text(report_of(dense)).splitlines()[0] == f"dense.h5ad  h5ad  300 {BY} 40  {size}"


def test_text_is_a_tree_with_aligned_columns(h5ad):
    lines = render_text(report_of(h5ad)).splitlines()
    at = lines[2].index("shape")
    assert lines[3].startswith("├── X ")
    assert lines[3][at:].startswith(f"300 {BY} 40 ")
    assert next(line for line in lines if "leiden" in line)[at:].startswith("300 ")
    assert any(line.startswith("│   └── depth ") for line in lines)


def test_empty_groups_are_left_out_of_the_text(dense):
    assert "varp" not in render_text(report_of(dense))
    assert "/varp" in by_path(report_of(dense))


def test_names_cannot_steer_the_terminal(dense):
    with h5py.File(dense, "a") as file:
        file["uns"].create_group("\x1b[2Jgone\nnew line")
        file["uns/\x1b[2Jgone\nnew line/x"] = 1
    text = render_text(report_of(dense))
    assert "\x1b" not in text
    assert r"\x1b[2Jgone\nnew line" in text


@pytest.mark.parametrize("width", [100, 160])
def test_text_fits_the_terminal(h5ad, width):
    lines = render_text(report_of(h5ad), width=width).splitlines()
    assert max(map(len, lines)) <= width
    whole = render_text(report_of(h5ad)).splitlines()
    assert [line.split()[:2] for line in lines[2:12]] == [line.split()[:2] for line in whole[2:12]]


def test_long_names_are_cut_only_where_the_terminal_is_narrow(dense):
    with h5py.File(dense, "a") as file:
        file["uns"]["x" * 120] = 1
    assert "x" * 120 in render_text(report_of(dense))
    narrow = render_text(report_of(dense), width=100)
    assert max(map(len, narrow.splitlines())) <= 100
    assert "xxx…" in narrow


def test_text_says_what_it_costs(tmp_path):
    make("csr").write_h5ad(tmp_path / "x.h5ad", compression="gzip")
    text = render_text(report_of(tmp_path / "x.h5ad"))
    assert re.search(r"^colour by a gene of X +now .* scans the whole matrix$", text, re.MULTILINE)
    assert re.search(r"^ +with an index .* reads the gene's own values$", text, re.MULTILINE)
    assert re.search(r"^export 10% of the cells +now ", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "< 10 ms"),
        (0.0096, "10 ms"),
        (0.0444, "44 ms"),
        (0.9949, "990 ms"),
        (0.996, "1.0 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (7000, "2 h"),
    ],
)
def test_durations_are_written_as_people_read_them(seconds, text):
    assert human_seconds(seconds) == text


def test_json_holds_the_whole_report(h5ad):
    report = report_of(h5ad)
    parsed = json.loads(to_json(report))
    assert (parsed["n_obs"], parsed["format"]) == (N_OBS, "h5ad")
    paths = {element["path"] for element in parsed["sections"][0]["elements"]}
    assert {"/X", "/obs", "/var", "/obsm"} <= paths
    assert parsed["forecast"]["costs"][-1]["task"] == "export"


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_960, "10 kB"),
        (999_600, "1.0 MB"),
        (215e9, "215 GB"),
        (3e15, "3000 TB"),
    ],
)
def test_sizes_are_written_as_people_read_them(n, text):
    assert human_bytes(n) == text


# -- problems ---------------------------------------------------------------------------------------------


def spoil(path, how):
    with h5py.File(path, "a") as file:
        how(file)
    return "\n".join(report_of(path).problems)


def replace(file, path, values):
    attributes = dict(file[path].attrs)
    del file[path]
    file.create_dataset(path, data=values).attrs.update(attributes)


def remove(path):
    return lambda file: file.__delitem__(path)


def repeat_a_name(file):
    names = oracle.texts_of(file["obs/_index"])
    names[1] = names[0]


def link_out(file):
    file["uns/elsewhere"] = h5py.ExternalLink("other.h5", "/X")


def link_around(file):
    file["uns/circle"] = file["uns"]


def unknown_encoding(file):
    file["uns/odd"] = 1
    file["uns/odd"].attrs["encoding-type"] = "hologram"


PROBLEMS = {
    "no X": (remove("X"), r"dense.h5ad:/ has no X, no raw and no layers"),
    "no embedding": (remove("obsm/X_umap"), r"has no embedding: .* cannot be drawn"),
    "names twice": (repeat_a_name, r"/obs has names that occur more than once: 1 of 300"),
    "X too short": (lambda f: replace(f, "X", f["X"][:-1]), rf"/X has shape 299 {BY} 40; 300 {BY} 40 was expected"),
    "column too short": (lambda f: replace(f, "obs/depth", np.ones(9)), r"/obs/depth has shape 9; 300 was expected"),
    "link to another file": (link_out, r"/uns/elsewhere is a link to another file"),
    "group inside itself": (link_around, r"/uns/circle is a group inside of itself"),
    "unknown encoding": (unknown_encoding, r"/uns/odd has the encoding 'hologram', which is not known"),
}


@pytest.mark.parametrize(("how", "sentence"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_said_in_a_sentence_and_the_rest_is_described(dense, how, sentence):
    problems = spoil(dense, how)
    assert re.search(sentence, problems)
    assert by_path(report_of(dense))["/var"].encoding == "dataframe"


def test_only_x_is_missing_where_there_are_layers(tmp_path):
    cells = make("csr")
    cells.layers["counts"] = cells.X
    cells.X = None
    cells.write_h5ad(tmp_path / "x.h5ad")
    assert report_of(tmp_path / "x.h5ad").problems == ("x.h5ad:/ has no X; features are read from counts.",)


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
def test_a_sparse_matrix_that_lacks_a_part_is_named(tmp_path, part):
    make("csr").write_h5ad(tmp_path / "x.h5ad")
    assert f"x.h5ad:/X has no {part}; a sparse matrix has all three" in spoil(tmp_path / "x.h5ad", remove(f"X/{part}"))
    assert by_path(report_of(tmp_path / "x.h5ad"))["/X"].problem
    assert re.search(r"├── X +unreadable", render_text(report_of(tmp_path / "x.h5ad")))


def test_a_damaged_header_is_the_problem_of_its_element_alone(dense):
    with h5py.File(dense) as file:
        at = h5py.h5o.get_info(file["obs/depth"].id).addr
    with dense.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 16)
    report = report_of(dense)
    assert any("/obs/depth cannot be read" in problem for problem in report.problems)
    assert by_path(report)["/obs/leiden"].shape == (N_OBS,)


def test_a_filter_that_is_not_installed_is_named(dense):
    with h5py.File(dense, "a") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((10,))
        plist.set_filter(32_767, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((N_OBS,))
        h5py.h5d.create(file["obs"].id, b"exotic", h5py.h5t.NATIVE_INT32, space, dcpl=plist)
    assert any("exotic is compressed with filter 32767, which" in problem for problem in report_of(dense).problems)


def test_a_file_of_endless_links_is_cut_off(dense, monkeypatch):
    monkeypatch.setattr(inspecting, "MAX_ELEMENTS", 100)
    with h5py.File(dense, "a") as file:
        group = file["uns"].create_group("0")
        for level in range(1, 20):  # each holds the one before twice: half a million paths
            deeper = file["uns"].create_group(str(level))
            deeper["left"] = deeper["right"] = group
            group = deeper
    assert any("more than 100 elements; not all are listed" in problem for problem in report_of(dense).problems)


# -- real files -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL, reason="the shared real files are not here")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_a_real_file_is_described_or_refused_in_a_sentence(path, monkeypatch):
    monkeypatch.setattr(forecast, "TIME_LEFT", 60)  # however busy the machine is
    if path.name == "scp-ingest-pipeline__bad.h5":
        with pytest.raises(CellassoError, match="is truncated"):
            report_of(path)
        return
    report = report_of(path)
    assert render_text(report).startswith(path.name)
    assert json.loads(to_json(report))["n_obs"] == report.n_obs > 0
    expected = {element.path for element in by_path(report).values() if element.problem}
    assert not expected  # none of them has an element that cannot be described
    assert not [problem for problem in report.problems if "timed" in problem or "cannot be read" in problem]
    assert all(cost.seconds for cost in report.forecast.costs if cost.matrix or report.forecast.timed)
    with h5py.File(path) as file:
        assert {f"/{name}" for name in file} - {"/mod"} <= set(by_path(report))


def test_a_gene_of_a_matrix_in_one_piece_takes_all_rows(tmp_path):
    adata = anndata.AnnData(np.ones((500, 40), "f4"))
    adata.write_h5ad(tmp_path / "x.h5ad")
    with cellasso.open(tmp_path / "x.h5ad", index=False) as dataset:
        gene = next(cost for cost in inspect(dataset).forecast.costs if (cost.task, cost.way) == ("gene", "now"))
        before = dataset.handle.bytes_read
        dataset.read_feature("0")
        assert dataset.handle.bytes_read - before >= gene.bytes_read == 500 * 40 * 4
    assert gene.method == "reads all rows"
