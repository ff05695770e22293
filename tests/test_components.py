"""The parts of the page: each has its script, scripts parse, and none makes HTML of text."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading

import pytest

from cellasso_app import components
from cellasso_app.components import PAGE_STYLE, STATIC, AppBar, Notice, Part, StatusLine

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
