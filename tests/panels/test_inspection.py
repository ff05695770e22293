"""The report as the page gets it: plain data, each element once, and never endless."""

from __future__ import annotations

import json

import h5py
import pytest

import cellasso
from cellasso.inspect.inspection import inspect
from cellasso_app.page.explorer import Explorer
from cellasso_app.panels.inspection import controller as inspection
from cellasso_app.panels.inspection.component import Inspection
from cellasso_app.panels.inspection.controller import describe
from stepping import until


def flat(elements):
    for element in elements:
        yield element
        yield from flat(element.children)


def test_the_page_gets_every_element_with_its_facts(dataset):
    described, report = describe(dataset), inspect(dataset)
    rows = {row["path"]: row for section in described["sections"] for row in section["rows"]}
    empty = {e.path for s in report.sections for e in flat(s.elements) if e.encoding == "dict" and not e.children}
    assert set(rows) == {e.path for s in report.sections for e in flat(s.elements)} - empty
    x = rows["/X"]
    assert (x["encoding"], x["shape"], x["dtype"], x["order"]) == (
        "csr_matrix",
        list(dataset.matrix().shape),
        "float32",
        "cell by cell (CSR)",
    )
    assert (rows["/obs/ordered"]["depth"], rows["/obs"]["n_members"]) == (1, len(list(dataset.obs)) + 1)
    assert described["problems"] == list(report.problems)
    assert described["n_cut"] == 0


def test_costs_come_with_their_numbers(dataset):
    costs = describe(dataset)["costs"]
    assert [(cost["task"], cost["matrix"], cost["way"]) for cost in costs[:2]] == [
        ("gene", "X", "now"),
        ("gene", "X", "index"),
    ]
    assert costs[-1]["task"] == "export"
    assert all(cost["bytes_read"] > 0 for cost in costs)


def test_an_h5mu_has_a_section_for_each_modality(h5mu):
    with cellasso.open(h5mu.path) as dataset:
        sections = describe(dataset)["sections"]
    assert [section["name"] for section in sections] == ["", *h5mu.oracle.mod]


def test_the_report_is_json(dataset):
    described = describe(dataset)
    assert json.loads(json.dumps(described)) == described


@pytest.mark.parametrize("room", [5, 20, 40])
def test_of_endless_elements_the_deepest_are_cut_and_counted(copied, monkeypatch, room):
    with h5py.File(copied, "r+") as file:
        for n in range(50):
            file["uns"].create_group(f"deep{n}")["value"] = n
    with cellasso.open(copied) as dataset:
        n_all = sum(len(section["rows"]) for section in describe(dataset)["sections"])
        monkeypatch.setattr(inspection, "MAX_ROWS", room)
        described = describe(dataset)
    rows = described["sections"][0]["rows"]
    assert len(rows) + described["n_cut"] == n_all
    assert len(rows) <= room
    assert not [row for row in rows if row["path"].endswith("/value")]


def test_what_is_nested_too_deep_is_counted_in_its_group(copied, monkeypatch):
    monkeypatch.setattr(inspection, "MAX_DEPTH", 1)
    with h5py.File(copied, "r+") as file:
        file["uns/a/b/c"] = 1
    with cellasso.open(copied) as dataset:
        rows = {row["path"]: row for row in describe(dataset)["sections"][0]["rows"]}
    assert rows["/uns/a"]["n_members"] == 0
    assert "/uns/a/b" not in rows


@pytest.mark.usefixtures("one_thread")
def test_the_report_is_made_when_it_is_asked_for(dataset, tmp_path):
    explorer = Explorer(dataset, export_dir=tmp_path)
    assert isinstance(explorer.inspection, Inspection)
    assert explorer.inspection.report == {}
    explorer.inspection.receive({"type": "inspect"})
    until(lambda: explorer.inspection.report)
    assert explorer.inspection.report["file"] == dataset.file_path.name
    until(lambda: not explorer.views.active.bar.busy)


@pytest.mark.usefixtures("one_thread")
def test_an_inspection_that_fails_is_a_sentence(dataset, tmp_path, monkeypatch):
    explorer = Explorer(dataset, export_dir=tmp_path)
    until(lambda: not explorer.views.active.bar.busy)
    dataset.close()
    explorer.inspection.receive({"type": "inspect"})
    until(lambda: explorer.inspection.report)
    assert "was closed; open it again" in explorer.inspection.report["error"]
