"""The open file: what is refused, what is noticed while it is open, and who else may use it at the same time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anndata as ad
import h5py
import numpy as np
import pytest

import cellasso
from cellasso.core.errors import CellassoError, ElementError, FileChangedError, FileError, NotFoundError
from cellasso.core.text import nearest
from cellasso.encodings import elements
from cellasso.store.hdf5.handle import Hdf5Store

# -- paths that are no file -------------------------------------------------------------------------


def test_a_missing_path_is_answered_with_the_nearest_name_in_its_folder(plain, copied):
    with pytest.raises(FileError, match=r"copi\.h5ad does not exist; nearest: copy\.h5ad\."):
        cellasso.open(copied.with_name("copi.h5ad"))


def test_a_missing_path_in_an_empty_folder_says_so(tmp_path):
    with pytest.raises(FileError, match=r"x\.h5ad does not exist; check the spelling"):
        cellasso.open(tmp_path / "x.h5ad")


def test_a_missing_folder_says_so(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        cellasso.open(tmp_path / "nowhere" / "x.h5ad")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"is a folder; name an \.h5ad"):
        cellasso.open(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_a_fifo_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "fifo.h5ad")
    refused = []

    def attempt():
        with pytest.raises(FileError, match="is not a regular file"):
            cellasso.open(tmp_path / "fifo.h5ad")
        refused.append(True)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(20)
    assert refused


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_refused(copied):
    copied.chmod(0)
    with pytest.raises(FileError, match="may not be read by this user"):
        cellasso.open(copied)


# -- files of another kind ----------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x89HDF"], ids=["empty", "zip", "first_bytes_only"])
def test_what_is_not_hdf5_is_refused(tmp_path, content):
    path = tmp_path / "x.h5ad"
    path.write_bytes(content)
    with pytest.raises(FileError, match="is not an HDF5 file"):
        cellasso.open(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused_with_its_size(copied, share):
    size = int(copied.stat().st_size * share)
    os.truncate(copied, size)
    with pytest.raises(FileError, match=f"is truncated: it ends at {size:,} bytes"):
        cellasso.open(copied)


def test_an_hdf5_file_of_10x_is_refused_with_what_it_holds(tmp_path):
    path = tmp_path / "10x.h5"
    with h5py.File(path, "w") as file:
        file["matrix/data"] = np.arange(3)
    with pytest.raises(FileError, match=r"neither AnnData nor MuData: it holds matrix; obs and var were expected"):
        cellasso.open(path)


def test_a_refused_file_is_closed_again(tmp_path):
    path = tmp_path / "x.h5ad"
    path.write_bytes(b"nothing")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208
    for _ in range(5):
        with pytest.raises(FileError, match="not an HDF5 file"):
            cellasso.open(path)
    after = len(os.listdir("/proc/self/fd")) if before else 0  # noqa: PTH208
    assert after <= before


# -- links and bytes outside of the file --------------------------------------------------------------


@pytest.fixture
def outside(tmp_path):
    """A file that no other may be made to show."""
    path = tmp_path / "outside.h5"
    with h5py.File(path, "w") as file:
        file["n"] = np.arange(60.0)
    return path


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "passwords"
    path.write_bytes(b"secret" * 200)
    return path


def test_an_external_link_is_not_followed(damaged, outside):
    dataset = damaged(lambda file: file["obs"].__setitem__("out", h5py.ExternalLink(outside, "n")))
    with pytest.raises(ElementError, match="/obs/out is a link to another file, which is not followed"):
        dataset.read_obs("out")
    assert dataset.read_obs("float32").shape == (60,)


def test_a_soft_link_through_an_external_link_is_not_followed(damaged, outside):
    def change(file):
        file["out"] = h5py.ExternalLink(outside, "/")
        file["obs/soft"] = h5py.SoftLink("/out/n")
        file["obs/relative"] = h5py.SoftLink("int8")
        file["obs/same"] = h5py.SoftLink("/out/obs/int8")

    dataset = damaged(change)
    for column in ("soft", "same"):
        with pytest.raises(ElementError, match="/out is a link to another file"):
            dataset.read_obs(column)
    np.testing.assert_array_equal(dataset.read_obs("relative"), dataset.read_obs("int8"))


def test_external_storage_is_not_read(damaged, secret):
    dataset = damaged(
        lambda file: file["obs"].create_dataset("out", (60,), dtype="i1", external=[(str(secret), 0, 60)])
    )
    with pytest.raises(ElementError, match="/obs/out keeps its values in other files"):
        dataset.read_obs("out")


@pytest.mark.parametrize(
    ("column", "part", "dtype"), [("gaps", "categories", "S6"), ("gaps", "codes", "i1"), ("maybe_int", "mask", "?")]
)
def test_external_storage_inside_of_a_column_is_not_read(damaged, secret, column, part, dtype):
    def change(file):
        group = file[f"obs/{column}"]
        shape = group[part].shape
        del group[part]
        group.create_dataset(part, shape, dtype=dtype, external=[(str(secret), 0, 600)])

    with pytest.raises(ElementError, match=f"/obs/{column}/{part} keeps its values in other files"):
        damaged(change).read_obs(column)


def test_a_virtual_dataset_is_not_read(damaged, outside):
    def change(file):
        layout = h5py.VirtualLayout((60,), "f8")
        layout[:] = h5py.VirtualSource(outside, "n", shape=(60,))
        file["obs"].create_virtual_dataset("out", layout)

    with pytest.raises(ElementError, match="/obs/out keeps its values in other files"):
        damaged(change).read_obs("out")


def test_a_matrix_with_parts_outside_is_not_read(damaged, secret):
    def change(file):
        n = file["X/data"].shape
        del file["X/data"]
        file["X"].create_dataset("data", n, dtype="i1", external=[(str(secret), 0, n[0])])

    with pytest.raises(ElementError, match="/X/data keeps its values in other files"):
        damaged(change).read_feature("g1")


def test_links_in_circles_or_to_nothing_are_refused_one_by_one(damaged):
    def change(file):
        file["obs/one"], file["obs/two"] = h5py.SoftLink("/obs/two"), h5py.SoftLink("/obs/one")
        file["obs/nothing"] = h5py.SoftLink("/nowhere")
        file["obs/itself"] = file["obs"]
        file["obs/gaps/itself"] = file["obs/gaps"]

    dataset = damaged(change)
    with pytest.raises(ElementError, match=r"/obs/(one|two) is a link that leads back to itself"):
        dataset.read_obs("one")
    with pytest.raises(NotFoundError, match="/obs/nothing is a link to /nowhere, which the file does not have"):
        dataset.read_obs("nothing")
    with pytest.raises(ElementError, match="/obs/itself is a group of elements"):
        dataset.read_obs("itself")
    with pytest.raises(ElementError, match="/obs/gaps/itself contains itself"):
        dataset.read_obs("gaps")
    assert dataset.read_obs("ordered").notna().all()


def test_a_named_type_where_values_should_be_is_refused(damaged):
    dataset = damaged(lambda file: file["obs"].__setitem__("type", np.dtype("i4")))
    with pytest.raises(ElementError, match="/obs/type is neither a group nor a dataset"):
        dataset.read_obs("type")


def test_a_group_is_asked_for_as_such(plain):
    with Hdf5Store(plain.path) as handle:
        assert "ordered" in handle.group("/obs")
        with pytest.raises(ElementError, match="/obs/int8 is a dataset; a group was expected"):
            handle.group("/obs/int8")
        with pytest.raises(NotFoundError, match="/obs has no 'in8'; nearest: int8"):
            handle.node("/obs/in8")
        with pytest.raises(NotFoundError, match="/obs/int8 has no 'deeper'"):
            handle.node("/obs/int8/deeper")


# -- while it is open ------------------------------------------------------------------------------------


def read_something(dataset):
    return dataset.read_obs("float64")


def test_a_file_that_was_removed_is_noticed(copied):
    with cellasso.open(copied) as dataset:
        copied.unlink()
        with pytest.raises(FileChangedError, match=r"copy\.h5ad was removed or cannot be reached since it was opened"):
            read_something(dataset)


def test_a_file_that_was_replaced_is_noticed(copied, plain):
    with cellasso.open(copied) as dataset:
        shutil.copy(plain.path, copied.with_name("new"))
        copied.with_name("new").replace(copied)
        with pytest.raises(FileChangedError, match="was changed by another program since it was opened; open it again"):
            read_something(dataset)


def test_a_file_that_was_rewritten_in_place_is_noticed_even_at_the_same_size(copied):
    with cellasso.open(copied) as dataset:
        content = copied.read_bytes()
        copied.write_bytes(content)
        os.utime(copied, ns=(1, 1))
        with pytest.raises(FileChangedError, match="was changed by another program"):
            read_something(dataset)


@pytest.mark.parametrize("change", ["truncate", "overwrite"])
def test_a_file_that_changes_during_a_scan_yields_no_values(tmp_path, compound, monkeypatch, change):
    monkeypatch.setattr("cellasso.matrix.scan.SCAN_BLOCK", 1)  # more blocks than are read ahead
    monkeypatch.setattr("cellasso.core.executors.AHEAD", 0.5)
    path = shutil.copy(compound, tmp_path / "changing.h5ad")
    size = path.stat().st_size

    def interfere(_):
        if change == "truncate":
            os.truncate(path, size // 2)
        else:
            path.write_bytes(bytes(size))

    with cellasso.open(path) as dataset, pytest.raises(FileChangedError, match="was changed by another program"):
        dataset.read_feature("g0", progress=interfere)


def test_a_file_that_changes_within_one_read_yields_no_values(copied, monkeypatch):
    class Changing:
        """A dataset during whose reading another program touches the file."""

        name = "/X"
        shape = ()

        def __getitem__(self, _):
            os.utime(copied, ns=(1, 1))

    with Hdf5Store(copied) as handle, pytest.raises(FileChangedError, match="was changed by another program"):
        handle.read(Changing())

    monkeypatch.setattr("anndata.io.read_elem", lambda _: os.utime(copied, ns=(2, 2)))
    with Hdf5Store(copied) as handle, pytest.raises(FileChangedError, match="was changed by another program"):
        elements.read(handle, handle.node("/obs/maybe_int"))


def test_a_closed_file_is_not_read(plain):
    dataset = cellasso.open(plain.path)
    dataset.close()
    with pytest.raises(FileChangedError, match="was closed; open it again"):
        read_something(dataset)
    dataset.close()  # twice is no mistake


@pytest.mark.parametrize("h5ad", ["dense-gzip", "csr-gzip", "csc-gzip"], indirect=True)
def test_damaged_bytes_are_an_error_that_names_the_element(tmp_path, h5ad):
    with h5py.File(h5ad.path) as file:
        data = file["X/data"] if isinstance(file["X"], h5py.Group) else file["X"]
        name, chunk = data.name, data.id.get_chunk_info(0)
    path = shutil.copy(h5ad.path, tmp_path / "damaged.h5ad")
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset + chunk.size // 2)
        raw.write(b"\xff" * (chunk.size // 2))
    with cellasso.open(path) as dataset, pytest.raises(ElementError, match=rf"damaged\.h5ad:{name} cannot be read"):
        dataset.read_features(list(dataset.features().names))


# -- others -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["cellasso", "anndata", "anndata_backed"])
def test_anndata_reads_the_file_at_the_same_time(plain, first):
    def with_anndata():
        return ad.read_h5ad(plain.path, backed="r" if first == "anndata_backed" else None)

    if first == "cellasso":
        with cellasso.open(plain.path) as dataset:
            expected = with_anndata().obs["float64"]
            found = read_something(dataset)
    else:
        adata = with_anndata()
        with cellasso.open(plain.path) as dataset:
            found, expected = read_something(dataset), adata.obs["float64"]
        if adata.isbacked:
            adata.file.close()
    np.testing.assert_array_equal(found, expected)


def run(code: str, *arguments: object) -> str:
    """Run code in a new interpreter and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_another_process_may_write_over_the_open_file_and_it_is_noticed(copied):
    write = "import sys, anndata\nanndata.settings.allow_write_nullable_strings = True\n"
    write += "anndata.read_h5ad(sys.argv[1])[:5].copy().write_h5ad(sys.argv[1])"
    with cellasso.open(copied) as dataset:
        read_something(dataset)
        run(write, copied)
        with pytest.raises(FileChangedError, match="was changed by another program"):
            read_something(dataset)
    with cellasso.open(copied) as dataset:  # and what it wrote is whole
        assert dataset.n_obs == 5


def test_eight_threads_read_the_same_values_as_one(h5ad):
    with cellasso.open(h5ad.path) as dataset:
        names = [str(name) for name in dataset.features().names]

    def everything(dataset):
        return [
            *(dataset.read_feature(name) for name in names),
            dataset.read_obs("float64").to_numpy(),
            dataset.read_embedding("X_umap"),
        ]

    with cellasso.open(h5ad.path) as alone, cellasso.open(h5ad.path) as shared, ThreadPoolExecutor(8) as pool:
        expected = everything(alone)
        for found in pool.map(everything, [shared] * 8):
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_several_processes_read_the_same_values_at_once(plain):
    read = (
        "import sys, zlib, cellasso\n"
        "with cellasso.open(sys.argv[1]) as dataset:\n"
        "    print(sum(zlib.crc32(dataset.read_feature(n).tobytes()) for n in dataset.features()))"
    )
    with cellasso.open(plain.path), ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: run(read, plain.path), range(3)))
    assert len(set(answers)) == 1


# -- names ---------------------------------------------------------------------------------------------------


def test_nearest_lists_close_names_else_the_first_few():
    assert nearest("CD4", ["CD8A", "CD44", "CD4L"]).startswith("; nearest: CD4")
    assert nearest("zzz", ["a", "b"]) == "; it has a, b."
    assert nearest("zzz", list("abcdefgh")) == "; it has a, b, c, d, e and 3 more."
    assert nearest("zzz", []) == "."


def test_all_refusals_share_one_root():
    for error in (ElementError, FileChangedError, FileError, NotFoundError):
        assert issubclass(error, CellassoError)
