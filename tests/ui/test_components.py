"""The parts of the page: each has its script, scripts parse, and none makes HTML of text."""

from __future__ import annotations

import ast
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import param
import pytest
from bokeh.document import Document
from panel.custom import JSComponent

import cellasso_app
from cellasso_app.panels.app_bar.component import AppBar
from cellasso_app.panels.opening.component import Notice
from cellasso_app.server.page import PAGE_STYLE
from cellasso_app.ui.component import DOM, STYLE, THEME, Component
from cellasso_app.ui.messages import NOT_UNDERSTOOD, lacking
from cellasso_app.views.embedding.component import CellsLayer, StatusLine

APP = Path(cellasso_app.__file__).parent
for module in pkgutil.walk_packages([str(APP)], "cellasso_app."):
    if module.name.endswith((".component", ".page")):
        import_module(module.name)
PARTS = sorted(Component.__subclasses__(), key=lambda part: part.__name__)
SHARED = APP / "ui" / "dom.js"
SCRIPTS = sorted(APP.rglob("*.js"))
STYLES = sorted(APP.rglob("*.css"))


def own_script(part: type[Component]) -> str:
    """The part's script without what all have in common."""
    return part._esm.removeprefix(DOM)


def test_every_script_has_its_part_beside_it_and_every_part_its_script():
    texts = {path: path.read_text() for path in SCRIPTS if path != SHARED}
    for part in PARTS:
        (path,) = (path for path, text in texts.items() if text == own_script(part))
        assert path.parent == Path(sys.modules[part.__module__].__file__).parent
        assert part._esm == SHARED.read_text() + path.read_text()
        del texts[path]
    assert not texts


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


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_never_makes_html_or_code_of_text(path):
    text = path.read_text()
    sinks = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setHTML|srcdoc|DOMParser"
        r"|createContextualFragment|javascript:"
    )
    assert not re.search(sinks, text)
    # an attribute such as onclick="…" is code; listeners are functions
    assert not re.search(r"setAttribute\(\s*[\"'`]on", text)
    assert not re.search(r"set(Timeout|Interval)\(\s*[\"'`]", text)


@pytest.mark.parametrize("path", [*SCRIPTS, *STYLES], ids=lambda path: path.name)
def test_nothing_is_asked_of_another_machine(path):
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")  # a name, never fetched
    assert not re.search(r"(https?:|wss?:)?//[a-z0-9-]+\.[a-z]|@import|\bimport\b\s*[({'\"]", text)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_script_uses_only_parameters_that_the_part_has(part):
    own = own_script(part)
    used = set(re.findall(r"\bmodel\.([a-z_]+)", own)) - {"send_msg", "on", "off"}
    watched = {
        name for names in re.findall(r"watch\(model, \[([^\]]*)\]", own) for name in re.findall(r'"(\w+)"', names)
    }
    assert used | watched <= set(part.param)
    assert used | watched, "a part without parameters shows nothing"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_script_says_what_its_part_knows_and_nothing_else(part):
    own = own_script(part)
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
    for path in sorted(APP.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(value=ast.Attribute(attr=holder), attr=name, ctx=ast.Load()) if holder in holders:
                    assert name not in shown, f"{path.name}, line {node.lineno}: .{holder}.{name} is read"


def test_a_script_handles_what_its_part_is_sent_and_nothing_else():
    """The server's side is bound to the same table: `send` refuses anything else."""
    for part in PARTS:
        own = own_script(part)
        assert ("msg:custom" in own) == bool(part.hears)
        handled = set(re.findall(r'message\.type [!=]== "(\w+)"', own))
        assert handled == set(part.hears), part.__name__
        fields = {field.removesuffix("?") for fields in part.hears.values() for field in fields}
        read = set(re.findall(r"\bmessage\.(\w+)", own)) - {"type"}
        assert read <= fields, part.__name__
        rest = own.replace("message.", "")
        unread = {field for field in fields - read if not re.search(rf"\b{field}\b", rest)}
        assert unread <= {"area"}, part.__name__  # only `Dots` itself needs that one


@pytest.mark.parametrize(
    "message",
    [{}, {"type": "unknown"}, {"type": "view", "view": []}, {"type": "clear", "number": 1, "more": 2}],
    ids=str,
)
def test_what_a_part_does_not_hear_is_not_sent(message):
    with pytest.raises(ValueError, match="CellsLayer does not hear this"):
        CellsLayer().send(message)
    told = {"type": "tip", "number": 1}
    for fine in ({"type": "clear", "number": 1}, told, told | {"name": "x", "rows": [], "x": 0.0, "y": 0.0}):
        assert lacking(fine, CellsLayer.hears) == ""


def test_what_a_part_says_is_dealt_with_somewhere():
    """A case for each message with its fields; what only tells that a view was touched falls through to it."""
    cases: set[tuple[str, frozenset[str]]] = set()
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.MatchMapping):
                keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
                kinds = [each.value for each in ast.walk(node.patterns[0]) if isinstance(each, ast.Constant)]
                cases |= {(kind, frozenset(keys) - {"type"}) for kind in kinds if keys[:1] == ["type"]}
    # a table of the choices of a view: each has a function that takes the message
    table = ast.parse((APP / "views" / "embedding" / "choices.py").read_text())
    keys = [key for node in ast.walk(table) if isinstance(node, ast.Dict) for key in node.keys]
    chosen = {key.value for key in keys if isinstance(key, ast.Constant)}
    for part in PARTS:
        says = {kind: fields for kind, fields in part.says.items() if kind not in chosen}
        said = {(kind, frozenset(fields)) for kind, fields in says.items()} - {("touched", frozenset())}
        assert said <= cases, part.__name__


def test_the_served_page_knows_all_parts_and_imports_no_explorer():
    """A browser cannot show what it was not told of with the page."""
    script = (
        "import sys, cellasso_app.server.page; from cellasso_app.ui.component import Component;"
        "print('cellasso_app.page.explorer' in sys.modules, *sorted(p.__name__ for p in Component.__subclasses__()))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert said.stdout.split() == ["False", *(part.__name__ for part in PARTS)]


def test_all_parts_say_what_they_are_for():
    assert len(PARTS) > 10
    assert all(part.__doc__ for part in PARTS)


def test_only_the_served_page_knows_the_window():
    """In someone's own page, height, keys and theme are the explorer's root's, and what is around it stays as it is."""
    for path in [*SCRIPTS, *STYLES]:
        text = path.read_text()
        if path.name not in {"page.js", "page.css"}:
            assert not re.search(r"100v[hw]|documentElement|:root", text), path
            assert not re.search(r"document\.(addEventListener|dispatchEvent|title|body)", text), path


def test_a_message_reaches_its_view_as_it_is():
    got: list[dict] = []
    AppBar(on_message=got.append).receive({"type": "undo"})
    assert got == [{"type": "undo"}]


@pytest.mark.parametrize("message", [None, "undo", 3, ["undo"], b"undo"], ids=repr)
def test_what_is_no_message_is_dropped(message):
    AppBar(on_message=lambda _: pytest.fail("was passed on")).receive(message)


def test_a_message_that_is_none_of_its_own_is_refused_in_a_sentence():
    got, refused = [], []
    bar = AppBar(on_message=got.append, on_refused=refused.append)
    for message in (
        {"type": "format", "value": "x", "name": "y"},
        {"type": "theme", "dark": 1},
        {"type": "undo", "x": 1},
    ):
        bar.receive(message)
    assert (got, refused) == ([], [NOT_UNDERSTOOD] * 3)


def test_a_part_that_nobody_listens_to_drops_messages():
    StatusLine().receive({"type": "anything"})


def test_parts_can_be_made_off_the_main_thread():
    made: list[Component] = []
    thread = threading.Thread(target=lambda: made.append(Notice(text="<b>text</b>")))
    thread.start()
    thread.join()
    assert made[0].text == "<b>text</b>"


def test_styles_are_the_files():
    assert [(APP / name).read_text() for name in ("server/page.css", "ui/parts.css", "ui/theme.css")] == [
        PAGE_STYLE,
        STYLE,
        THEME,
    ]
