"""The parts of the page: each has its script, scripts parse, and none makes HTML of text."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import threading
from pathlib import Path

import param
import pytest
from bokeh.document import Document
from cellasso_app.panels.app_bar.component import AppBar
from cellasso_app.panels.opening.component import Notice
from cellasso_app.ui.component import PAGE_STYLE, STATIC, Component
from cellasso_app.views.embedding.component import StatusLine
from panel.custom import JSComponent

from cellasso_app.ui import components
from cellasso_app.ui.messages import NOT_UNDERSTOOD

PARTS = sorted(Part.__subclasses__(), key=lambda part: part.__name__)
SCRIPTS = sorted(path.name for path in STATIC.glob("*.js"))
SHARED = "dom.js"
STYLES = [path.name for path in STATIC.glob("*.css")]


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def test_every_script_has_its_part_and_every_part_its_script():
    assert {f"{snake(part.__name__)}.js" for part in PARTS} == set(SCRIPTS) - {SHARED}
    for part in PARTS:
        own = (STATIC / f"{snake(part.__name__)}.js").read_text()
        assert part._esm == (STATIC / SHARED).read_text() + own


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_script_is_a_module_that_node_can_parse(part, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on the PATH (Debian: apt install nodejs)")
    module = tmp_path / "module.mjs"
    module.write_text(part._esm)
    checked = subprocess.run([node, "--check", str(module)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert part._esm.count("export function render(") == 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_never_makes_html_or_code_of_text(name):
    text = (STATIC / name).read_text()
    sinks = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setHTML|srcdoc|DOMParser"
        r"|createContextualFragment|javascript:"
    )
    assert not re.search(sinks, text)
    # an attribute such as onclick="…" is code; listeners are functions
    assert not re.search(r"setAttribute\(\s*[\"'`]on", text)
    assert not re.search(r"set(Timeout|Interval)\(\s*[\"'`]", text)


@pytest.mark.parametrize("name", [*SCRIPTS, *STYLES])
def test_nothing_is_asked_of_another_machine(name):
    text = (STATIC / name).read_text().replace("http://www.w3.org/2000/svg", "")  # a name, never fetched
    assert not re.search(r"(https?:|wss?:)?//[a-z0-9-]+\.[a-z]|@import|\bimport\b\s*[({'\"]", text)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_script_uses_only_parameters_that_the_part_has(part):
    own = (STATIC / f"{snake(part.__name__)}.js").read_text()
    used = set(re.findall(r"\bmodel\.([a-z_]+)", own)) - {"send_msg", "on", "off"}
    watched = {
        name for names in re.findall(r"watch\(model, \[([^\]]*)\]", own) for name in re.findall(r'"(\w+)"', names)
    }
    assert used | watched <= set(part.param)
    assert used | watched, "a part without parameters shows nothing"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_script_says_what_its_part_knows_and_nothing_else(part):
    own = (STATIC / f"{snake(part.__name__)}.js").read_text()
    assert "send_msg" in own or not part.says
    said: dict[str, set[str]] = {}
    for sent in re.findall(r"(?:send_msg\(|wanted = )\{ ([^}]*)\}", own):
        about = re.sub(r"\[[^\]]*\]|\([^)]*\)", "", sent)
        fields = {name for name in re.findall(r"(?:^|, )(\w+)(?=[,:\s]|$)", about) if name != "type"}
        for kind in re.findall(r'"(\w+)"', about.partition("type: ")[2].partition(",")[0]):
            said[kind] = fields | ({"number"} if kind == "point" else set())  # joins where it is sent
    assert said == {kind: set(fields) for kind, fields in part.says.items()}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_no_parameter_is_taken_from_the_browser(part):
    """Also where nothing stands between the browser and Bokeh, as in a notebook."""
    shown, document = part(), Document()
    model = shown.get_root(document)
    document.add_root(model)
    own = [name for name in model.data.properties() if name in part.param and name != "name"]
    assert {name for name in part.param if name not in JSComponent.param} <= set(own)
    for name in own:
        before, kind = getattr(shown, name), part.param[name]
        other = {param.List: ["x"], param.Dict: {"x": 1}, param.Boolean: not before, param.String: f"{before}x"}
        value = other.get(type(kind), 7)
        document.apply_json_patch(
            {"events": [{"kind": "ModelChanged", "model": model.data, "attr": name, "new": value}]}
        )
        assert getattr(model.data, name) == value
        shown._process_events({name: value})
        assert getattr(shown, name) == before
    assert shown._linked_properties == ()


def test_nothing_is_decided_by_what_a_part_shows():
    """A part's parameters are for the browser; who reads one to decide trusts what was, or could be, changed there."""
    shown = {name for part in PARTS for name in part.param if name not in JSComponent.param}
    holders = {"panel", "bar", "layer", "status", "cells_panel", "key", "app_bar", "inspection", "problems"}
    for path in sorted(Path(components.__file__).parents[1].rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(value=ast.Attribute(attr=holder), attr=name, ctx=ast.Load()) if holder in holders:
                    assert name not in shown, f"{path.name}, line {node.lineno}: .{holder}.{name} is read"


def test_all_parts_are_of_this_module_and_say_what_they_are_for():
    for part in PARTS:
        assert getattr(components, part.__name__) is part
        assert part.__doc__


def test_a_message_reaches_its_view_as_it_is():
    got: list[dict] = []
    AppBar(on_message=got.append)._handle_msg({"type": "undo"})
    assert got == [{"type": "undo"}]


@pytest.mark.parametrize("message", [None, "undo", 3, ["undo"], b"undo"], ids=repr)
def test_what_is_no_message_is_dropped(message):
    AppBar(on_message=lambda _: pytest.fail("was passed on"))._handle_msg(message)


def test_a_message_that_is_none_of_its_own_is_refused_in_a_sentence():
    got, refused = [], []
    bar = AppBar(on_message=got.append, on_refused=refused.append)
    for message in (
        {"type": "format", "value": "x", "name": "y"},
        {"type": "theme", "dark": 1},
        {"type": "undo", "x": 1},
    ):
        bar._handle_msg(message)
    assert (got, refused) == ([], [NOT_UNDERSTOOD] * 3)


def test_a_part_that_nobody_listens_to_drops_messages():
    StatusLine()._handle_msg({"type": "anything"})


def test_parts_can_be_made_off_the_main_thread():
    made: list[Part] = []
    thread = threading.Thread(target=lambda: made.append(Notice(text="<b>text</b>")))
    thread.start()
    thread.join()
    assert made[0].text == "<b>text</b>"


def test_page_style_is_the_file():
    assert (STATIC / "page.css").read_text() == PAGE_STYLE
