"""The architecture pages are true: all rooms and modules are on them, the files they name are there; no circles."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("architecture")  # each file is parsed once

ROOT = Path(__file__).parents[1]
PACKAGES = {"cellasso": ROOT / "backend" / "cellasso", "cellasso_app": ROOT / "app" / "cellasso_app"}
PAGES = {name: package.parent / "README.md" for name, package in PACKAGES.items()}

H5PY = {"cellasso.store.hdf5", "cellasso_app.demo"}
"""Where h5py may be imported."""

LONG = {
    "cellasso.column_index.kernels.packing": "one format, written",
    "cellasso.model.container": "one class, half of it docstrings",
    "cellasso.model.modality": "one class, half of it docstrings",
    "cellasso.dataset": "each verb with its parameters, of a file and of a modality",
    "cellasso.raster.aggregate": "the compiled loops of one picture, which share their words of bits",
    "cellasso.store.base": "an interface, mostly docstrings",
    "cellasso.store.hdf5.handle": "one store, half of it docstrings",
    "cellasso.write.comparison": "one walk over two files",
    "cellasso.write.verification": "one walk over two files",
}
"""Modules of more than 400 lines, and why."""

AS_SCANPY = "as many arguments as scanpy's"
LONG_FUNCTIONS = {
    "cellasso.pl.dotplot:dotplot": AS_SCANPY,
    "cellasso.pl.embedding:embedding": AS_SCANPY,
    "cellasso.pl.scatter:scatter": AS_SCANPY,
    "cellasso.pl.spatial:spatial": AS_SCANPY,
    "cellasso.pl.stacked_violin:stacked_violin": AS_SCANPY,
}
"""Functions of more than 50 lines without their docstring, and why."""


def modules(package: str) -> dict[str, Path]:
    root = PACKAGES[package]
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)])] = path
    return found


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> set[str]:
    """All modules that a file imports, for types alone and inside of functions too."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_and_module_is_on_the_page(package):
    page = PAGES[package].read_text(encoding="utf-8")
    picture = page.split("```")[1]
    for name, path in modules(package).items():
        room = name.split(".")[1:2]
        if room:
            there = re.search(rf"^{room[0]}(/|\.py)", picture, re.MULTILINE)
            assert there, f"{PAGES[package]} lacks the room {room[0]}"
        inside = path.relative_to(PACKAGES[package]).parts
        if len(inside) == 2 and not inside[1].startswith("__"):
            assert re.search(rf"\b{path.stem}\b", picture), f"the picture in {PAGES[package]} lacks {'/'.join(inside)}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_that_the_page_names_is_there(package):
    page, home = PAGES[package].read_text(encoding="utf-8"), PACKAGES[package]
    for named in re.findall(r"`([\w/]+(?:\.(?:py|js|css)|/))`", page):
        plain = named.rstrip("/")
        is_there = any((place / plain).exists() for place in (home, ROOT, PACKAGES["cellasso"]))
        assert is_there or ("/" not in plain and list(home.rglob(plain))), f"{PAGES[package]} names {named}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package):
    found = modules(package)
    graph = {name: {other for other in imports(path) if other in found} - {name} for name, path in found.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join([*above[above.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*above, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_libraries_stay_in_their_rooms():
    for package in PACKAGES:
        for name, path in modules(package).items():
            libraries = {imported.split(".")[0] for imported in imports(path)}
            if "h5py" in libraries:
                assert any(name.startswith(room) for room in H5PY), f"{name} imports h5py"
            if name.startswith(("cellasso.", "cellasso_app.render", "cellasso_app.figures")):
                assert not libraries & {"panel", "bokeh", "tornado"}, f"{name} imports {libraries}"


def test_no_module_of_the_backend_imports_the_face_of_its_package():
    for name, path in modules("cellasso").items():
        if name != "cellasso":
            for node in ast.walk(parsed(path)):
                assert not (isinstance(node, ast.ImportFrom) and node.module == "cellasso"), name
                assert not (isinstance(node, ast.Import) and "cellasso" in {alias.name for alias in node.names}), name


def test_modules_can_be_read_in_one_sitting():
    lengths = {
        name: len(path.read_text(encoding="utf-8").splitlines())
        for package in PACKAGES
        for name, path in modules(package).items()
    }
    long = {name for name, length in lengths.items() if length > 400}
    assert long <= set(LONG), f"longer than 400 lines, without a reason: {sorted(long - set(LONG))}"
    assert set(LONG) <= long, f"no longer long: {sorted(set(LONG) - long)}"
    assert sorted(lengths.values())[len(lengths) // 2] <= 150


def test_functions_can_be_seen_at_once():
    long = {
        f"{name}:{node.name}"
        for package in PACKAGES
        for name, path in modules(package).items()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > 50
    }
    assert long == set(LONG_FUNCTIONS)


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    n = (node.end_lineno or 0) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is None:
        return n
    return n - ((node.body[0].end_lineno or 0) - node.body[0].lineno + 1)
