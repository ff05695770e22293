"""The export as users meet it: a child process, a file that is complete or not there, and errors in sentences."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
import oracle
from cellasso.core.errors import Cancelled, ElementError, ExportError, FileChangedError
from cellasso.write import export as exporting

DATA = Path(__file__).parents[2].parent / "shared" / "data"
# a child for a few of them; test_real_files exports all, in this process
REAL_FILES = sorted(DATA.glob("*.h5ad"))[::6] + sorted(DATA.glob("*.h5mu"))[-2:]
UNREADABLE = {
    "anndata-duckdb-extension__test_no_index.h5ad": "anndata cannot read it",
    "lung_lavage_4k.h5ad": "tested on its own",
}
N_OBS = 2000


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    import anndata as ad

    rng = np.random.default_rng(0)
    adata = ad.AnnData(
        sparse.random(N_OBS, 300, density=0.3, format="csr", random_state=rng, dtype="f4"),
        obs=pd.DataFrame(
            {"kind": pd.Categorical(rng.choice(["a", "b"], N_OBS))}, index=[f"cell{i}" for i in range(N_OBS)]
        ),
    )
    for layer in range(4):
        adata.layers[f"layer{layer}"] = adata.X.copy()
    path = tmp_path_factory.mktemp("original") / "source.h5ad"
    adata.write_h5ad(path, compression="gzip")
    return path


@pytest.fixture
def source(original, tmp_path) -> Path:
    return Path(shutil.copy(original, tmp_path))


@pytest.fixture
def mask() -> np.ndarray:
    return np.random.default_rng(1).random(N_OBS) < 0.5


@pytest.fixture
def children(monkeypatch) -> list[subprocess.Popen[bytes]]:
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(exporting.subprocess, "Popen", Recorded)
    return started


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_export_is_what_anndata_copies(source, mask, tmp_path):
    told: list[float] = []
    with cellasso.open(source) as dataset:
        target = dataset.export(mask, tmp_path / "export.h5ad", progress=told.append).path
    assert target == tmp_path / "export.h5ad"
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert names(tmp_path) == ["export.h5ad", "source.h5ad"]
    oracle.assert_same(oracle.read(target), oracle.subset(source, mask))


@pytest.mark.skipif(not REAL_FILES, reason="the real files lie beside the checkout, in ../shared/data")
@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.name)
def test_real_file_is_what_anndata_or_mudata_copies(path, tmp_path):
    if path.name in UNREADABLE:
        pytest.skip(UNREADABLE[path.name])
    if path.name.startswith("scirpy__wu2020_200.h5mu"):
        path = without(path, "mod/airr/obsm/airr", tmp_path)  # awkward need not be installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata's remarks on old files
        with cellasso.open(path) as dataset:
            mask = np.random.default_rng(0).random(dataset.n_obs) < 0.4
            target = dataset.export(mask, tmp_path / f"export.{dataset.format}").path
    oracle.assert_same(oracle.read(target), oracle.subset(path, mask))


@pytest.mark.skipif(not REAL_FILES, reason="the real files lie beside the checkout, in ../shared/data")
def test_real_cluster_is_what_anndata_copies(tmp_path):
    path = DATA / "lung_lavage_4k.h5ad"
    with cellasso.open(path) as dataset:
        mask = (dataset.read_obs("leiden") == "3").to_numpy()
        target = dataset.export(mask, tmp_path / "export.h5ad").path
    oracle.assert_same(oracle.read(target), oracle.subset(path, mask))


def without(path: Path, element: str, folder: Path) -> Path:
    copy = Path(shutil.copyfile(path, folder / path.name))
    with h5py.File(copy, "r+") as file:
        del file[element]
    return copy


def test_child_imports_neither_anndata_nor_pandas():
    code = (
        "import sys, cellasso.write.worker; print(sorted({'anndata', 'pandas', 'scipy', 'mudata'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_child_that_takes_a_while_to_end_has_still_said_its_last_word(source, mask, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "HEARTBEAT", 0.0005)
    with cellasso.open(source) as dataset:
        assert dataset.export(mask, tmp_path / "export.h5ad", progress=lambda _: None).n_obs == mask.sum()


def test_files_whose_names_are_no_text_are_exported(source, mask, tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.h5ad"))
    source.rename(odd)
    with cellasso.open(odd) as dataset:
        target = dataset.export(mask, Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.h5ad"))).path
    with h5py.File(target) as file:
        assert file["uns/cellasso/source"].asstr()[()] == "caf\ufffd.h5ad"
    target.rename(tmp_path / "found.h5ad")
    odd.rename(source)
    oracle.assert_same(oracle.read(tmp_path / "found.h5ad"), oracle.subset(source, mask))


# -- what is refused before a byte is written ---------------------------------------------------------


@pytest.mark.parametrize(
    "bad_mask",
    [np.ones(3, dtype=bool), np.ones(N_OBS, dtype=int), np.ones((N_OBS, 1), dtype=bool), [True] * N_OBS],
    ids=["short", "integers", "two_dimensions", "list"],
)
def test_mask_of_another_shape_or_dtype_is_refused(source, tmp_path, bad_mask):
    with (
        cellasso.open(source) as dataset,
        pytest.raises(ElementError, match=r"A mask over source\.h5ad is bool \(2000,\); this one is "),
    ):
        dataset.export(bad_mask, tmp_path / "export.h5ad")


def refused(source: Path, mask: np.ndarray, target: Path, *, match: str, **options) -> None:
    before = {path: path.read_bytes() for path in source.parent.iterdir() if path.is_file()}
    with cellasso.open(source) as dataset, pytest.raises(ExportError, match=match):
        dataset.export(mask, target, **options)
    assert {path: path.read_bytes() for path in source.parent.iterdir() if path.is_file()} == before


def test_suffix_of_another_format_is_refused(source, mask, tmp_path):
    refused(source, mask, tmp_path / "export.h5mu", match=r"its name has to end in \.h5ad")


def test_missing_folder_is_refused(source, mask, tmp_path):
    refused(source, mask, tmp_path / "missing" / "export.h5ad", match=r"folder .*missing does not exist")


@pytest.mark.parametrize("overwrite", [False, True])
def test_source_is_never_the_target(source, mask, tmp_path, overwrite):
    (tmp_path / "linked.h5ad").hardlink_to(source)
    for target in (source, tmp_path / "linked.h5ad"):
        refused(source, mask, target, match="is the file that is open", overwrite=overwrite)


def test_existing_target_is_refused_unless_overwritten(source, mask, tmp_path):
    target = tmp_path / "export.h5ad"
    target.write_text("old")
    refused(source, mask, target, match="exists already")
    with cellasso.open(source) as dataset:
        dataset.export(mask, target, overwrite=True)
    with cellasso.open(target) as written:
        assert written.n_obs == mask.sum()


def test_folder_in_the_targets_place_is_refused(source, mask, tmp_path):
    (tmp_path / "export.h5ad").mkdir()
    refused(source, mask, tmp_path / "export.h5ad", match="is a folder", overwrite=True)


def test_too_little_space_is_said_beforehand(source, mask, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, 10**5))
    refused(source, mask, tmp_path / "export.h5ad", match=r"needs about .* MB, and .* has 0\.1 MB free")


def test_needed_space_follows_the_selection(source, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "SPACE_BASE", 0)
    monkeypatch.setattr(
        exporting.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 0, source.stat().st_size // 2)
    )
    few, most = (np.random.default_rng(0).random(N_OBS) < fraction for fraction in (0.1, 0.9))
    with cellasso.open(source) as dataset:
        dataset.export(few, tmp_path / "few.h5ad")
    refused(source, most, tmp_path / "most.h5ad", match="make room")


def test_source_that_changed_is_refused(source, mask, tmp_path):
    with cellasso.open(source) as dataset:
        assert dataset.n_obs == N_OBS
        os.utime(source, ns=(1, 1))
        with pytest.raises(FileChangedError, match="changed by another program"):
            dataset.export(mask, tmp_path / "export.h5ad")
    assert names(tmp_path) == ["source.h5ad"]


# -- what goes wrong on the way -----------------------------------------------------------------------


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_cancel_leaves_nothing(source, mask, tmp_path, children, at):
    def cancel(fraction: float) -> None:
        if fraction >= at:
            raise Cancelled("The export was cancelled.")

    with cellasso.open(source) as dataset, pytest.raises(Cancelled, match="cancelled"):
        dataset.export(mask, tmp_path / "export.h5ad", progress=cancel)
    assert names(tmp_path) == ["source.h5ad"]
    # at 1.0 it may have ended by itself
    assert children[0].poll() == -signal.SIGKILL or at == 1.0


def test_killed_child_leaves_the_old_export(source, mask, tmp_path, children):
    target = tmp_path / "export.h5ad"
    target.write_text("old")

    def kill(fraction: float) -> None:
        if fraction > 0.3:
            os.kill(children[0].pid, signal.SIGKILL)

    with cellasso.open(source) as dataset, pytest.raises(ExportError, match=r"was not written \(.*SIGKILL"):
        dataset.export(mask, target, overwrite=True, progress=kill)
    assert names(tmp_path) == ["export.h5ad", "source.h5ad"]
    assert target.read_text() == "old"


@pytest.mark.parametrize("limit", [20_000, 200_000, 1_000_000])
def test_disk_that_fills_up_is_an_error_and_leaves_nothing(source, mask, tmp_path, limit):
    """The child inherits the limit, beyond which its writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with cellasso.open(source) as dataset:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(ExportError, match="was not written"):
                dataset.export(mask, tmp_path / "export.h5ad")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == ["source.h5ad"]


def test_target_that_appears_meanwhile_is_not_overwritten(source, mask, tmp_path):
    target = tmp_path / "export.h5ad"

    def appear(fraction: float) -> None:
        target.write_text("of another program")

    with cellasso.open(source) as dataset, pytest.raises(ExportError, match="created by another program meanwhile"):
        dataset.export(mask, target, progress=appear)
    assert target.read_text() == "of another program"
    assert names(tmp_path) == ["export.h5ad", "source.h5ad"]


@pytest.mark.parametrize("ends", ["stdin", "stdout"])
def test_child_whose_parent_is_gone_cleans_up(source, mask, tmp_path, ends):
    job = exporting.Job(
        source, tmp_path / "export.part", cellasso.open(source).handle.fingerprint, {"": np.flatnonzero(mask)}, {}
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-m", "cellasso.write.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as child:
        if ends == "stdout":
            child.stdout.close()
        job.send(child.stdin)
        child.stdin.flush()
        if ends == "stdin":
            child.stdin.close()
        assert child.wait() == 1
    assert names(tmp_path) == ["source.h5ad"]


EXPORTER = """
import subprocess, sys, time
import numpy as np
import cellasso.dataset  # with h5py, which asks `uname`, a process of its own
from cellasso.write import export as exporting

class Told(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        print(self.pid, flush=True)

def progress(fraction):
    if fraction > 0.05:
        print("writing", flush=True)
        time.sleep(600)

exporting.subprocess.Popen = Told
with cellasso.open(sys.argv[1]) as dataset:
    dataset.export(np.ones(dataset.n_obs, dtype=bool), sys.argv[2], progress=progress)
"""


@pytest.fixture
def exporter(source, tmp_path):
    """A process that exports, and its child: stopped in the middle, so that whatever comes finds it writing."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", EXPORTER, str(source), str(tmp_path / "export.h5ad")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == "writing\n"
        os.kill(child, signal.SIGSTOP)
        yield parent, child
        for process in (child, parent.pid):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def is_alive(process: int) -> bool:
    """Whether any thread of a process runs; one that has ended may wait for its new parent to take note.

    The first thread is a zombie as soon as it has ended, while others still hold the files, and their locks.
    """
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" or len(list(Path(f"/proc/{process}/task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(true) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the state of processes from /proc")
def test_child_dies_with_its_parent_and_leaves_nothing(exporter, tmp_path):
    parent, child = exporter
    assert is_alive(child)
    assert len(names(tmp_path)) == 2
    parent.kill()
    parent.wait()
    os.kill(child, signal.SIGCONT)
    wait_for(lambda: not is_alive(child))
    assert names(tmp_path) == ["source.h5ad"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the state of processes from /proc")
def test_what_a_killed_export_left_is_swept_by_the_next_one_and_not_before_it_is_dead(exporter, source, mask, tmp_path):
    parent, child = exporter
    (left,) = set(names(tmp_path)) - {"source.h5ad"}
    with cellasso.open(source) as dataset:
        dataset.export(mask, tmp_path / "one.h5ad")
        assert left in names(tmp_path)  # both live
        parent.kill()
        parent.wait()
        dataset.export(mask, tmp_path / "two.h5ad")
        assert left in names(tmp_path)  # the child, which is stopped, lives
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: not is_alive(child))
        assert left in names(tmp_path)
        dataset.export(mask, tmp_path / "three.h5ad")
    assert names(tmp_path) == ["one.h5ad", "source.h5ad", "three.h5ad", "two.h5ad"]


def test_source_that_changes_meanwhile_is_an_error(source, mask, tmp_path):
    def touch(fraction: float) -> None:
        if fraction > 0:
            os.utime(source, ns=(1, 1))

    with cellasso.open(source) as dataset, pytest.raises(FileChangedError, match="changed by another program"):
        dataset.export(mask, tmp_path / "export.h5ad", progress=touch)
    assert names(tmp_path) == ["source.h5ad"]
