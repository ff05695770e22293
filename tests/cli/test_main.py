"""The command line: what it starts, prints and writes, with which exit status, and never with a traceback."""

from __future__ import annotations

import ast
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import cellasso
from cellasso.core.errors import Cancelled
from cellasso.selection.recipe import Lasso, WhereRecipe, dump
from cellasso_app.cli import main as cli
from cellasso_app.cli.main import main
from cellasso_app.demo import files

N_OBS = 120
ROOT = Path(__file__).parents[2]


def cells(n_obs: int, prefix: str = "") -> anndata.AnnData:
    rng = np.random.default_rng(1)
    obs = pd.DataFrame(
        {"louvain": pd.Categorical(rng.choice(["a", "b", "c"], n_obs)), "depth": rng.random(n_obs)},
        index=[f"cell{n}" for n in range(n_obs)],
    )
    values = sparse.csr_matrix(rng.poisson(0.7, (n_obs, 5)).astype(np.float32))
    made = anndata.AnnData(values, obs=obs, obsm={"X_umap": rng.random((n_obs, 2)).astype(np.float32)})
    made.var_names = [f"{prefix}gene{n}" for n in range(5)]
    return made


@pytest.fixture
def h5ad(tmp_path):
    path = tmp_path / "cells.h5ad"
    cells(N_OBS).write_h5ad(path)
    return path


@pytest.fixture
def h5mu(tmp_path):
    path = tmp_path / "cells.h5mu"
    mudata.MuData({"rna": cells(N_OBS), "adt": cells(80, "adt_")}).write_h5mu(path)
    return path


@pytest.fixture
def served(monkeypatch):
    """The calls that reach the server, which is not started."""
    monkeypatch.delenv("CELLASSO_TOKEN", raising=False)
    calls = []
    server = SimpleNamespace(serve=lambda paths, **options: calls.append((list(paths), options)))
    monkeypatch.setitem(sys.modules, "cellasso_app.server.serve", server)
    return calls


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def run_python(*arguments):
    """Run Python in a process of its own, with this one's path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_alone(*arguments):
    """Run the command in a process of its own."""
    return run_python("-m", "cellasso_app.cli.main", *arguments)


# -- help -------------------------------------------------------------------------------------------------


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"cellasso {cellasso.__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands_and_examples(capsys, arguments):
    status, out, _ = run(capsys, *arguments)
    assert status == 0
    assert all(command in out for command in cli.COMMANDS)
    assert "examples:" in out


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_each_command_explains_itself(capsys, command):
    status, out, _ = run(capsys, command, "--help")
    assert status == 0
    assert out.startswith(f"usage: cellasso {command}")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from cellasso_app.cli.main import main; main(['--help']);"
        "print({'h5py', 'numpy', 'pandas', 'anndata', 'panel', 'bokeh', 'numba'} & set(sys.modules), file=sys.stderr)"
    )
    with run_python("-c", code) as process:
        _, err = process.communicate()
    assert err.strip() == "set()"


# -- serve ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], ["serve"]], ids=["alone", "serve"])
def test_files_are_served_with_or_without_the_command(capsys, served, h5ad, h5mu, command):
    assert run(capsys, *command, h5ad, h5mu)[0] == 0
    options = {"port": None, "address": "127.0.0.1", "export_dir": Path(), "open_browser": True, "index": True}
    assert served == [([h5ad, h5mu], options | {"allow_hosts": [], "token": None})]


@pytest.mark.parametrize(
    ("arguments", "shows_demo"),
    [
        ([], True),
        (["--port", "7788", "--no-browser"], True),
        (["--no-browser", "--export-dir", "."], True),
        (["--cells", "100"], True),
        (["--h5mu", "--port=7788"], True),
        (["--port", "7788", "FILE"], False),
        (["FILE", "--port", "7788"], False),
        (["serve", "FILE"], False),
    ],
)
def test_a_clone_starts_with_the_demo_unless_a_file_is_named(monkeypatch, served, h5ad, arguments, shows_demo):
    """`python3 app/start.py` with these arguments."""
    monkeypatch.syspath_prepend(ROOT / "app")
    start = importlib.import_module("start")
    demos = []
    monkeypatch.setattr("cellasso_app.cli.demo._demo", demos.append)
    monkeypatch.setattr(sys, "argv", ["-c", *(str(h5ad) if word == "FILE" else word for word in arguments)])
    with pytest.raises(SystemExit) as ended:
        exec(start.COMMAND, {})
    assert ended.value.code == 0
    assert (len(demos), len(served)) == ((1, 0) if shows_demo else (0, 1))


def test_serve_options_reach_the_server(capsys, served, h5ad, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    names = ("--allow-host", "cells.example.org", "--allow-host", "other", "--token", "chosen-token")
    run(capsys, "--no-browser", "--port", port, "--address", "localhost", "--export-dir", tmp_path, *names, h5ad)
    options = {"port": port, "address": "localhost", "export_dir": tmp_path, "open_browser": False, "index": True}
    assert served == [([h5ad], options | {"allow_hosts": ["cells.example.org", "other"], "token": "chosen-token"})]


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_token_is_asked_for_unless_it_is_said_otherwise(capsys, served, h5ad, address):
    for options in ([], ["--token", "chosen-token"], ["--no-token"]):
        run(capsys, "serve", h5ad, "--address", address, *options)
    assert [options["token"] for _, options in served] == [None, "chosen-token", ""]  # the first is made up


def test_the_environment_chooses_the_token_where_no_option_does(capsys, served, h5ad, monkeypatch):
    monkeypatch.setenv("CELLASSO_TOKEN", "from-the-environment")
    for options in ([], ["--token", "from-an-option"], ["--no-token"]):
        run(capsys, "serve", h5ad, *options)
    monkeypatch.setenv("CELLASSO_TOKEN", "")
    run(capsys, "serve", h5ad)
    assert [options["token"] for _, options in served] == ["from-the-environment", "from-an-option", "", None]
    monkeypatch.setenv("CELLASSO_TOKEN", "short")
    status, _, err = run(capsys, "serve", h5ad)
    assert (status, len(served)) == (2, 4)
    assert err == (
        "cellasso: $CELLASSO_TOKEN does not do: a token has 8 characters or more, without spaces, quotes, commas and"
        " semicolons.\n"
    )
    assert run(capsys, "serve", h5ad, "--token", "from-an-option", "--no-token")[0] == 2


@pytest.mark.parametrize("token", ["", "short", "with a space", "semi;colon;s", 'quote"quote', "t\u00f6ken-t\u00f6ken"])
def test_a_token_that_a_cookie_cannot_hold_is_refused(capsys, served, h5ad, token):
    status, _, err = run(capsys, "serve", h5ad, "--token", token)
    assert (status, served) == (2, [])
    assert "a token has 8 characters or more, without spaces, quotes, commas and semicolons" in err


def test_a_file_without_a_suffix_is_a_file_if_it_exists(capsys, served, h5ad, monkeypatch):
    monkeypatch.chdir(h5ad.parent)
    h5ad.rename("cells")
    assert run(capsys, "cells")[0] == 0
    assert served[0][0] == [Path("cells")]


@pytest.mark.parametrize(
    ("word", "hint"),
    [("isnpect", "did you mean inspect?"), ("qqq", "the commands are serve, demo, inspect, index, cache, export.")],
)
def test_a_mistyped_command_is_told_from_a_missing_file(capsys, served, word, hint):
    status, out, err = run(capsys, word)
    assert (status, out) == (2, "")
    assert err == f"cellasso: There is no file and no command {word!r}; {hint}\n"


@pytest.mark.parametrize("command", [[], ["serve"], ["inspect"]])
def test_a_missing_file_ends_in_a_sentence_with_the_nearest(capsys, served, h5ad, command):
    status, out, err = run(capsys, *command, h5ad.with_name("cels.h5ad"))
    assert (status, out, served) == (2, "", [])
    assert err.startswith("cellasso: ")
    assert "cels.h5ad does not exist; nearest: cells.h5ad" in err


def test_files_that_cannot_be_opened_are_named_and_the_others_served(capsys, served, h5ad, tmp_path):
    broken, missing = tmp_path / "text.h5ad", tmp_path / "missing.h5ad"
    broken.write_text("no HDF5")
    status, _, err = run(capsys, "serve", broken, h5ad, missing)
    assert (status, [paths for paths, _ in served]) == (0, [[broken, h5ad, missing]])
    first, second = err.splitlines()
    assert first == f"cellasso: {broken} is not an HDF5 file; an .h5ad or .h5mu file was expected."
    assert second.startswith(f"cellasso: {missing} does not exist")


def test_where_no_file_can_be_opened_no_server_starts(capsys, served, tmp_path):
    for name in ("a.h5ad", "b.h5ad"):
        (tmp_path / name).write_text("no HDF5")
    status, _, err = run(capsys, "serve", tmp_path / "a.h5ad", tmp_path / "b.h5ad")
    assert (status, served) == (2, [])
    assert err == f"cellasso: {tmp_path / 'a.h5ad'} is not an HDF5 file; an .h5ad or .h5mu file was expected.\n"


def test_a_missing_export_folder_is_refused(capsys, served, h5ad, tmp_path):
    status, _, err = run(capsys, "serve", h5ad, "--export-dir", tmp_path / "nowhere")
    assert (status, served) == (2, [])
    assert "nowhere for exports does not exist; create it" in err


def test_a_taken_port_is_refused(capsys, served, h5ad):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, err = run(capsys, "serve", h5ad, "--port", port)
    assert (status, served) == (2, [])
    assert f"cannot listen at 127.0.0.1, port {port} (Address already in use); choose another --port" in err


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_what_is_no_port_is_refused(capsys, served, h5ad, port):
    status, _, err = run(capsys, "serve", h5ad, "--port", port)
    assert (status, served) == (2, [])
    assert f"{port!r} is no port; a number from 1 to 65535 was expected" in err


@pytest.mark.parametrize(("address", "warns"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
def test_serving_to_the_network_is_warned_of_in_one_line(capsys, served, h5ad, address, warns):
    status, _, err = run(capsys, "serve", h5ad, "--address", address)
    assert (status, len(served)) == (0, 1)
    expected = "cellasso: whoever has this address with its token can read these files.\n"
    assert err == (expected if warns else "")
    _, _, err = run(capsys, "serve", h5ad, "--address", address, "--no-token")
    assert err == ("cellasso: whoever reaches this address can read these files.\n" if warns else "")


def test_the_server_takes_what_the_command_gives_it():
    path = Path(cli.__file__).parents[1] / "server" / "serve.py"
    source = path.read_text(encoding="utf-8")  # importing it takes seconds
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    arguments = functions["serve"].args
    assert [argument.arg for argument in arguments.args] == ["paths"]
    expected = {"port", "address", "export_dir", "open_browser", "allow_hosts", "token", "index"}
    assert {argument.arg for argument in arguments.kwonlyargs} == expected


# -- demo -------------------------------------------------------------------------------------------------


@pytest.fixture
def quick_demo(monkeypatch, h5ad, h5mu):
    """Demo files that take no time to make; the real ones have their own tests."""

    def write(folder):
        return [Path(path).rename(folder / path.name) for path in (h5ad, h5mu)]

    monkeypatch.setattr(files, "write_demo", write)


@pytest.mark.parametrize(("options", "first"), [([], "cells.h5ad"), (["--h5mu"], "cells.h5mu")], ids=["h5ad", "h5mu"])
def test_demo_serves_its_files_and_removes_them_in_the_end(capsys, served, quick_demo, options, first):
    assert run(capsys, "demo", *options, "--no-browser")[0] == 0
    [(paths, passed)] = served
    assert (paths[0].name, len(paths), passed["open_browser"]) == (first, 2, False)
    assert not paths[0].parent.exists()


def test_demo_keeps_synthetic_cells_in_the_cache(capsys, served, tmp_path, monkeypatch):
    monkeypatch.setattr(files.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    for _ in range(2):
        assert run(capsys, "demo", "--cells", "1,000")[0] == 0
    assert served[0][0] == served[1][0]
    [path] = served[0][0]
    assert anndata.read_h5ad(path).n_obs == 1000


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_demo_refuses_what_is_no_number_of_cells(capsys, served, number):
    status, _, err = run(capsys, "demo", f"--cells={number}")
    assert (status, served) == (2, [])
    assert f"{number!r} is no number of cells" in err


def test_demo_without_scanpy_says_what_to_install(capsys, served, monkeypatch):
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    status, _, err = run(capsys, "demo")
    assert (status, served) == (2, [])
    assert "pip install 'cellasso[demo]'" in err


def test_demo_files_are_removed_when_the_server_is_terminated():
    code = (
        "import sys, time, types\n"
        "def serve(paths, **options):\n"
        "    print(*paths, sep='\\n', flush=True)\n"
        "    time.sleep(60)\n"
        "sys.modules['cellasso_app.server.serve'] = types.SimpleNamespace(serve=serve)\n"
        "from cellasso_app.cli.main import main\n"
        "sys.exit(main(['demo']))\n"
    )
    with run_python("-c", code) as process:
        paths = [Path(process.stdout.readline().strip()) for _ in range(2)]
        assert all(path.is_file() for path in paths)
        process.terminate()
        err = process.stderr.read()
    assert (process.returncode, err) == (143, "")
    assert not paths[0].parent.exists()


# -- inspect ----------------------------------------------------------------------------------------------


def test_inspect_prints_the_tree(capsys, h5ad):
    status, out, err = run(capsys, "inspect", h5ad)
    assert (status, err) == (0, "")
    assert out.startswith("cells.h5ad  h5ad  120 \N{MULTIPLICATION SIGN} 5  ")
    assert "├── X " in out


def test_inspect_prints_json(capsys, h5mu):
    status, out, _ = run(capsys, "inspect", h5mu, "--json")
    assert status == 0
    assert [section["name"] for section in json.loads(out)["sections"]] == ["", "rna", "adt"]


def test_a_reader_that_leaves_early_is_no_error(h5ad):
    with run_alone("inspect", h5ad) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, "")


# -- export -----------------------------------------------------------------------------------------------


def assert_subset(written, source, mask):
    found, expected = anndata.read_h5ad(written), anndata.read_h5ad(source)[mask].copy()
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    np.testing.assert_array_equal(found.obsm["X_umap"], expected.obsm["X_umap"])


def test_export_where_writes_the_cells_for_which_it_is_true(capsys, h5ad, tmp_path):
    out_path = tmp_path / "out.h5ad"
    status, out, err = run(capsys, "export", h5ad, out_path, "--where", "louvain == 'a' and gene1 > 0")
    source = anndata.read_h5ad(h5ad)
    mask = (source.obs["louvain"] == "a").to_numpy() & (source[:, "gene1"].X.toarray().ravel() > 0)
    assert (status, out, err) == (0, f"{out_path}: {mask.sum()} of 120 cells\n", "")
    assert_subset(out_path, h5ad, mask)


def test_export_by_a_recipe_in_json(capsys, h5ad, tmp_path):
    recipe, out_path = tmp_path / "recipe.json", tmp_path / "out.h5ad"
    recipe.write_text(dump(Lasso("X_umap", ((0, 0), (0.5, 0), (0.5, 1), (0, 1)))))
    assert run(capsys, "export", h5ad, out_path, "--recipe", recipe)[0] == 0
    assert_subset(out_path, h5ad, anndata.read_h5ad(h5ad).obsm["X_umap"][:, 0] < 0.5)


def test_an_export_is_replayed_by_the_recipe_that_it_holds(capsys, h5ad, tmp_path):
    first, second = tmp_path / "first.h5ad", tmp_path / "second.h5ad"
    run(capsys, "export", h5ad, first, "--where", "depth > 0.5")
    assert anndata.read_h5ad(first).uns["cellasso"]["recipe"] == dump(WhereRecipe("depth > 0.5"))
    assert run(capsys, "export", h5ad, second, "--recipe", first)[0] == 0
    assert_subset(second, h5ad, (anndata.read_h5ad(h5ad).obs["depth"] > 0.5).to_numpy())


def test_export_by_names_keeps_the_files_order(capsys, h5ad, tmp_path):
    names, out_path = tmp_path / "names.txt", tmp_path / "out.h5ad"
    names.write_bytes(b"\xef\xbb\xbfcell7\r\n\r\ncell3\r\ncell7\r\n")  # as written on Windows, one twice
    status, out, _ = run(capsys, "export", h5ad, out_path, "--obs-names", names)
    assert (status, out) == (0, f"{out_path}: 2 of 120 cells\n")
    assert_subset(out_path, h5ad, ["cell3", "cell7"])


def test_export_of_an_h5mu_takes_each_modalitys_part(capsys, h5mu, tmp_path):
    out_path = tmp_path / "out.h5mu"
    assert run(capsys, "export", h5mu, out_path, "--where", "rna:louvain == 'a'")[0] == 0
    found, source = mudata.read_h5mu(out_path), mudata.read_h5mu(h5mu)
    expected = source[source["rna"].obs_names[source["rna"].obs["louvain"] == "a"]]
    assert list(found.obs_names) == list(expected.obs_names)
    assert {name: part.n_obs for name, part in found.mod.items()} == {n: p.n_obs for n, p in expected.mod.items()}


def test_export_to_a_table_has_obs_and_the_genes_asked_for(capsys, h5ad, tmp_path):
    out = tmp_path / "t.csv"
    status, said, _ = run(capsys, "export", h5ad, out, "--where", "louvain == 'a'", "--genes", "gene2, gene0")
    expected = anndata.read_h5ad(h5ad)
    expected = expected[expected.obs["louvain"] == "a"]
    assert (status, said) == (0, f"{out}: {expected.n_obs} of {N_OBS} cells\n")
    found = pd.read_csv(out, index_col=0)
    assert list(found) == ["louvain", "depth", "gene2", "gene0"]
    assert list(found.index) == list(expected.obs_names)
    np.testing.assert_array_equal(found["gene2"], expected[:, "gene2"].X.toarray().ravel())


def test_export_by_names_says_which_are_unknown(capsys, h5ad, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("cell1\n" + "\n".join(f"other{n}" for n in range(7)))
    status, out, err = run(capsys, "export", h5ad, tmp_path / "out.h5ad", "--obs-names", names)
    assert (status, out) == (2, "")
    assert f"7 of the 8 names in {names} are no cells of {h5ad}: other0, other1, other2, other3, other4, …;" in err
    assert "called like cell0." in err
    assert not (tmp_path / "out.h5ad").exists()


def refused(capsys, tmp_path, h5ad, *options):
    status, out, err = run(capsys, "export", h5ad, tmp_path / "out.h5ad", *options)
    assert (status, out) == (2, "")
    assert not (tmp_path / "out.h5ad").exists()
    return err


def test_selecting_no_cell_writes_nothing(capsys, tmp_path, h5ad):
    err = refused(capsys, tmp_path, h5ad, "--where", "depth > 2")
    assert err == f"cellasso: No cell of {h5ad} is selected; nothing was written.\n"


def test_a_mistake_in_an_expression_is_shown_where_it_is(capsys, tmp_path, h5ad):
    err = refused(capsys, tmp_path, h5ad, "--where", "louvian == 'a'")
    first, second, caret = err.splitlines()
    assert "no feature 'louvian'; nearest: louvain" in first
    assert caret.index("^") == second.index("louvian")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{]", "recipe.json: This is not a recipe of a selection"),
        ('{"paint": "red"}', "unknown operation 'paint'"),
        (b"\xff\xfe", "is not a text file in UTF-8"),
        (None, "cannot be read (No such file or directory)"),
    ],
    ids=["broken", "unknown", "binary", "missing"],
)
def test_what_is_no_recipe_is_refused(capsys, tmp_path, h5ad, content, sentence):
    recipe = tmp_path / "recipe.json"
    if content is not None:
        recipe.write_bytes(content.encode() if isinstance(content, str) else content)
    assert sentence in refused(capsys, tmp_path, h5ad, "--recipe", recipe)


def test_a_file_without_a_recipe_is_refused(capsys, tmp_path, h5ad):
    assert "cells.h5ad holds no recipe" in refused(capsys, tmp_path, h5ad, "--recipe", h5ad)


def test_export_needs_exactly_one_way_to_select(capsys, tmp_path, h5ad):
    assert "one of the arguments --where --recipe --obs-names is required" in refused(capsys, tmp_path, h5ad)
    assert "not allowed with" in refused(capsys, tmp_path, h5ad, "--where", "depth > 0", "--recipe", h5ad)


def test_export_replaces_a_file_only_when_told_to(capsys, tmp_path, h5ad):
    out_path = tmp_path / "out.h5ad"
    arguments = ["export", h5ad, out_path, "--where", "depth > 0.5"]
    out_path.write_text("mine")
    status, _, err = run(capsys, *arguments)
    assert (status, out_path.read_text()) == (2, "mine")
    assert "out.h5ad exists already" in err
    assert run(capsys, *arguments, "--overwrite")[0] == 0
    assert h5py.is_hdf5(out_path)


def test_progress_is_shown_on_a_terminal_only(capsys, monkeypatch, tmp_path, h5ad):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    _, out, err = run(capsys, "export", h5ad, tmp_path / "out.h5ad", "--where", "depth > 0.5")
    assert "\rexporting " in err
    assert err.endswith("\r\033[K")  # wiped
    assert "\r" not in out


# -- the end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [(KeyboardInterrupt(), 130, ""), (Cancelled("Stopped \x1b[2J."), 2, "cellasso: Stopped \\x1b[2J.\n")],
    ids=["interrupted", "failed"],
)
def test_an_exception_ends_in_a_status_and_at_most_a_sentence(capsys, monkeypatch, error, status, said):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(cellasso, "open", fail, raising=False)
    assert run(capsys, "inspect", "cells.h5ad") == (status, "", said)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"])
def test_a_signal_stops_a_running_command_quietly(h5ad, tmp_path, number, status):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("a shell that runs the tests in the background lets them ignore it, and what they start")
    os.mkfifo(tmp_path / "names")  # the command waits for its other end
    with run_alone("export", h5ad, tmp_path / "out.h5ad", "--obs-names", tmp_path / "names") as process:
        writer = None
        for _ in range(300):
            try:  # opens once the command reads
                writer = os.open(tmp_path / "names", os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError:
                time.sleep(0.1)
        assert writer is not None
        process.send_signal(number)
        try:
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
            os.close(writer)
    assert (process.returncode, out, err) == (status, "", "")
