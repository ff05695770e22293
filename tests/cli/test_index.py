"""`cellasso index` and `cellasso cache`, what other commands say about indexes, and indexing behind an open page."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from scipy import sparse

import cellasso
from cellasso.column_index import build
from cellasso_app.cli import main as cli
from cellasso_app.cli.main import main
from cellasso_app.server import background, open_files, serve
from cellasso_app.server.index_option import add_index_options, index_option
from cellasso_app.server.open_files import Catalogue
from served import ROOT

pytestmark = pytest.mark.more


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cellasso" / "index"


def blocks(root):
    return sorted(root.glob("*/*.block"))


# -- the commands -----------------------------------------------------------------------------------------


def test_index_builds_into_the_cache_and_the_next_open_finds_it(plain, cache, capsys):
    assert main(["index", str(plain.path)]) == 0
    assert "plain.h5ad:/X: indexed, 0.0 MB in " in capsys.readouterr().out
    assert len(blocks(cache)) == 1
    with cellasso.open(plain.path) as dataset:
        assert dataset.matrix().index is not None
        assert dataset.matrix("raw").index is None
    with cellasso.open(plain.path, index=False) as dataset:
        assert dataset.matrix().index is None


def test_index_takes_a_layer_a_modality_and_a_folder(multimodal, tmp_path, cache, capsys):
    root = tmp_path / "mine"
    arguments = ["index", str(multimodal.path), "--modality", "rna", "--layer", "counts", "--index-dir", str(root)]
    assert main(arguments) == 0
    assert "/mod/rna/layers/counts: indexed" in capsys.readouterr().out
    assert len(blocks(root)) == 1
    assert not cache.exists()


def test_index_of_an_h5mu_covers_its_modalities_and_says_which_need_none(multimodal, cache, capsys):
    assert main(["index", str(multimodal.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": indexed")[0].split(" is stored")[0].rsplit(":", 1)[1] for line in lines] == [
        "/mod/rna/X",
        "/mod/protein/X",
        "/mod/atac/X",
    ]
    assert "/mod/atac/X is stored feature by feature and needs no index." in lines[2]
    assert len(blocks(cache)) == 2


def test_index_builds_damaged_blocks_again(plain, cache):
    main(["index", str(plain.path)])
    (block,) = blocks(cache)
    sound = block.read_bytes()
    block.write_bytes(sound[:5000] + b"?" + sound[5001:])
    assert main(["index", str(plain.path)]) == 0
    assert block.read_bytes() == sound


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer", "nope"], "has no matrix 'nope'"),
        (["--modality", "nope"], "has no modality 'nope'"),
    ],
)
def test_index_says_what_the_file_does_not_have(plain, capsys, arguments, message):
    assert main(["index", str(plain.path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_scheduler_needs_dask(plain, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["index", str(plain.path), "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "--scheduler needs Dask: pip install 'cellasso[dask]'" in capsys.readouterr().err


def test_a_scheduler_that_does_not_answer_is_named(plain, capsys, monkeypatch):
    import distributed

    def refuse(address):
        raise OSError("Timed out")

    monkeypatch.setattr(distributed, "Client", refuse)
    assert main(["index", str(plain.path), "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "No Dask scheduler answers at tcp://127.0.0.1:1 (Timed out)." in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")  # distributed remarks on the sockets it leaves
def test_index_builds_on_a_cluster(plain, tmp_path, cache):
    from distributed import LocalCluster

    main(["index", str(plain.path), "--index-dir", str(tmp_path / "local")])
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with LocalCluster(**options, local_directory=str(tmp_path)) as cluster:
        assert main(["index", str(plain.path), "--scheduler", cluster.scheduler_address]) == 0
    assert [path.read_bytes() for path in blocks(cache)] == [path.read_bytes() for path in blocks(tmp_path / "local")]


def test_cache_lists_and_clears(plain, cache, capsys):
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.split()[:2] == ["0.0", "MB"]
    main(["index", str(plain.path)])
    capsys.readouterr()
    assert main(["cache"]) == 0
    listed, total = capsys.readouterr().out.splitlines()
    assert "100%" in listed
    assert listed.endswith(f"{plain.path}:/X")
    assert f"in {cache}, at most 68,719.5 MB" in total
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == f"0.0 MB removed from {cache}\n"
    assert not blocks(cache)


@pytest.mark.parametrize(
    ("arguments", "expected"), [([], True), (["--no-index"], False), (["--index-dir", "x"], "x")], ids=str
)
def test_serving_may_use_another_folder_or_none(arguments, expected):
    parser = argparse.ArgumentParser()
    add_index_options(parser)
    found = index_option(parser.parse_args(arguments))
    assert (found if isinstance(found, bool) else str(found)) == expected


def test_serve_passes_on_what_it_was_told(plain, monkeypatch, tmp_path):
    served = {}
    monkeypatch.setattr(serve, "serve", lambda paths, **options: served.update(options))
    assert main(["serve", str(plain.path), "--index-dir", str(tmp_path)]) == 0
    assert served["index"] == tmp_path
    assert main([str(plain.path), "--no-index"]) == 0
    assert served["index"] is False
    assert cli.COMMANDS  # `index` and `cache` are commands, not files


# -- behind an open page ----------------------------------------------------------------------------------


def everything_is_worth_it(monkeypatch):
    monkeypatch.setattr(build, "WORTH_BYTES", 0)


def test_an_open_file_is_indexed_in_the_background_x_first(multimodal, tmp_path, monkeypatch):
    everything_is_worth_it(monkeypatch)
    built = []
    monkeypatch.setattr(
        "cellasso.column_index.build.build_index",
        lambda matrix, root, **options: built.append((matrix.path, root, options)),
    )
    with cellasso.open(multimodal.path, index=tmp_path) as dataset:
        background.index_in_background(dataset).join(60)
    assert [path for path, _, _ in built] == ["/mod/rna/X", "/mod/protein/X", *[p for p, _, _ in built[2:]]]
    assert {"/mod/rna/raw/X", "/mod/rna/layers/counts"} <= {path for path, _, _ in built[2:]}
    assert {root for _, root, _ in built} == {tmp_path}
    assert all(options["background"] and options["threads"] >= 1 for _, _, options in built)


def test_a_small_matrix_and_one_by_feature_are_not_indexed(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["dense"] = np.zeros((5, 5))
        for name, size in (("small", 10), ("large", 1 << 22)):
            group = file.create_group(name)
            group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": (1, size)})
            group["data"], group["indices"] = np.zeros(size, "f4"), np.zeros(size, "i4")
            group["indptr"] = [0, size]
    with cellasso.store.hdf5.handle.Hdf5Store(tmp_path / "x.h5") as handle:
        worth = {
            name: build.is_worthwhile(cellasso.matrix.open.open_matrix(handle, f"/{name}")) for name in handle.root()
        }
    assert worth == {"dense": False, "small": False, "large": True}


def test_a_damaged_matrix_does_not_keep_the_next_one_from_its_index(plain, tmp_path, monkeypatch, caplog):
    everything_is_worth_it(monkeypatch)
    path = tmp_path / "damaged.h5ad"
    path.write_bytes(plain.path.read_bytes())
    with h5py.File(path, "r+") as file:
        file["X/indices"][0] = 10_000
    with cellasso.open(path, index=tmp_path / "index") as dataset:
        background.index_in_background(dataset).join(60)
        assert dataset.matrix("raw").index.fraction == 1
        assert dataset.matrix("X").index.fraction == 0
    assert "X/indices is damaged" in caplog.text


def test_a_catalogue_indexes_what_it_opens_unless_told_not_to(plain, monkeypatch):
    begun = []
    monkeypatch.setattr(open_files, "index_in_background", begun.append)
    Catalogue([plain.path], index=False).open().close()
    assert not begun
    with Catalogue([plain.path]).open() as dataset:
        assert begun == [dataset]


@pytest.mark.parametrize("ends", ["file", "process"])
def test_the_indexing_ends_with_the_file_and_the_process(tmp_path, monkeypatch, caplog, ends):
    everything_is_worth_it(monkeypatch)
    monkeypatch.setattr("cellasso.column_index.plan.MAX_ROWS", 1)
    path = tmp_path / "x.h5ad"
    import anndata

    anndata.AnnData(sparse.csr_matrix(np.ones((500, 3), dtype="f4"))).write_h5ad(path)
    dataset = cellasso.open(path, index=tmp_path / "index")
    thread = background.index_in_background(dataset)
    while thread.is_alive() and not blocks(tmp_path / "index"):
        thread.join(0.01)
    if ends == "file":
        dataset.close()
    else:
        monkeypatch.setattr(background, "is_stopping", lambda: True)
    thread.join(60)
    assert not thread.is_alive()
    dataset.close()
    assert 0 < len(blocks(tmp_path / "index")) < 500
    assert "Traceback" not in caplog.text


def test_a_process_that_ends_while_hdf5_is_in_use_behind_the_page_does_not_hang(plain):
    script = """
import atexit, sys, threading, time
def end():  # the last thing that is called before all is freed
    ending.set()
    held.wait(10)
atexit.register(end)
import cellasso, h5py
from cellasso.column_index import build
from cellasso.core.errors import Cancelled
from cellasso_app.runtime import pools
from cellasso_app.server import background, open_files, serve
def read(_matrix):
    begun.set()
    while not pools.is_stopping():
        time.sleep(0.01)
    if ending.wait(0.5):  # nobody has waited for this thread
        with h5py._objects.phil:
            held.set()
            time.sleep(1000)
    held.set()
    raise Cancelled("")
begun, ending, held = threading.Event(), threading.Event(), threading.Event()
build.is_worthwhile = read
kept = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
background.index_in_background(cellasso.open(sys.argv[1]))
begun.wait()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "backend"), str(ROOT / "app")])}
    ended = subprocess.run([sys.executable, "-c", script, plain.path], env=environment, check=False, timeout=60)
    assert ended.returncode == 0
