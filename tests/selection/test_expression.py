"""The where-expression: what it selects, what it refuses, and where it says the mistake is."""

from __future__ import annotations

import pickle
import random
import re
import string
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from cellasso.core.errors import ElementError, ExpressionError, NotFoundError
from cellasso.selection.expression import MAX_DEPTH, MAX_LENGTH, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    Row = dict[str, Any]
    Oracle = Callable[[Row], bool | None]


class Frame:
    """Columns of a data frame or a dict of arrays, counting the reads."""

    def __init__(self, columns: Any) -> None:
        self.columns = columns
        self.n_obs = len(next(iter(dict(columns).values())))
        self.reads: Counter[str] = Counter()

    def read_column(self, name: str) -> Any:
        self.reads[name] += 1
        if name not in self.columns:
            raise NotFoundError(f"no obs column or gene {name!r}; nearest: leiden")
        return self.columns[name]


CELLS = {
    "leiden": pd.Series(pd.Categorical(["0", "3", None, "10", "3"], categories=["0", "10", "3"])),
    "n_genes": pd.Series([100, 200, 300, 400, 500]),
    "CD4": np.array([0.0, 1.0, 2.0, np.nan, 3.0], dtype=np.float32),
    "CD8A": np.array([1.0, 1.0, 1.0, 1.0, 3.0], dtype=np.float64),
    "is_doublet": pd.Series([True, False, True, False, False]),
    "maybe": pd.Series([True, None, False, None, True], dtype="boolean"),
    "maybe_object": pd.Series([True, None, False, None, True], dtype=object),
    "count": pd.Series([1, None, 3, 4, None], dtype="Int64"),
    "phase": pd.Series(["G1", "S", None, "G2M", "S"], dtype=object),
    "phase_string": pd.Series(["G1", "S", None, "G2M", "G1"], dtype="string"),
    "stage": pd.Series(pd.Categorical(["mid", "late", "early", None, "mid"], ["early", "mid", "late"], ordered=True)),
    "stage2": pd.Series(pd.Categorical(["late", "mid", "early", "mid", "mid"], ["early", "mid", "late"], ordered=True)),
    "dose": pd.Series(pd.Categorical([1.5, 0.5, None, 10.0, 1.5])),
    "seen": pd.Series(pd.to_datetime(["2024-01-01", None, "2024-06-01", "2025-01-01", "2024-06-01"])),
    "seen_zone": pd.Series(pd.to_datetime(["2024-01-01", None, "2024-06-01", "2025-01-01", "2024-06-01"], utc=True)),
    "empty": pd.Series(pd.Categorical([None] * 5)),
    "empty_float": pd.Series(pd.Categorical([np.nan] * 5, categories=pd.Index([], dtype="float64"))),
    "flag_category": pd.Series(pd.Categorical([True, False, None, True, False])),
    "my column": pd.Series([1, 2, 3, 4, 5]),
    "back`tick": pd.Series([1, 2, 3, 4, 5]),
    "rna:leiden": pd.Series(["3", "0", "3", "0", "3"]),
    "HLA-A": np.array([1.0, 0, 0, 0, 0]),
    "chr1:100-200": np.array([0, 1.0, 0, 0, 0]),
    "Größe": np.array([0, 0, 1.0, 0, 0]),
    "細胞": np.array([0, 0, 0, 1.0, 0]),
    "in": np.array([0, 0, 0, 0, 1.0]),
    "index": np.array([1.0, 1.0, 0, 0, 0]),
    "order.1": np.array([0, 0, 0, 1.0, 1.0]),
    "ids": pd.Series([2**53, 2**53 + 1, 2**53 + 2, 0, -1]),
    "bytes": pd.Series(np.array([1, 2, 3, 4, 255], dtype=np.uint8)),
    "delta": pd.Series(pd.to_timedelta([1, 2, 3, 4, None], unit="D")),
}


def selected(text: str, columns: Any = CELLS) -> list[int]:
    mask = parse(text).evaluate(Frame(columns))
    assert mask.dtype == np.bool_
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("text", "obs_index"),
    [
        ("n_genes >= 200 and not (phase == 'G1')", [1, 3, 4]),
        ("n_genes>=200&~(phase=='G1')|is_doublet", [0, 1, 2, 3, 4]),
        ("n_genes = 200 OR n_genes == 500", [1, 4]),
        ("not not is_doublet", [0, 2]),
        ("is_doublet or n_genes > 400 and n_genes < 100", [0, 2]),
        ("(is_doublet or n_genes > 400) and n_genes < 500", [0, 2]),
        ("not is_doublet and n_genes < 300", [1]),
        ("1 <= CD4 < 3", [1, 2]),
        ("100 < n_genes <= 400", [1, 2, 3]),
        ("3 > CD4", [0, 1, 2]),
        ("CD4 > -1e-3", [0, 1, 2, 4]),
        ("n_genes == 2e2", [1]),
        ("n_genes in (100, 3e2,)", [0, 2]),
        ("n_genes NOT IN [100, 300]", [1, 3, 4]),
        ("n_genes in []", []),
        ("leiden not in ()", [0, 1, 3, 4]),
        ("n_genes == '300'", [2]),
        ("n_genes in ['300', 400]", [2, 3]),
        ("is_doublet == True", [0, 2]),
        ("is_doublet != true", [1, 3, 4]),
        ("is_doublet in [FALSE]", [1, 3, 4]),
        ("flag_category", [0, 3]),
        ("not flag_category", [1, 4]),
        ("dose > 0.5", [0, 3, 4]),
        ("dose == 1.5", [0, 4]),
        ("bytes > -1", [0, 1, 2, 3, 4]),
        ("bytes < 300", [0, 1, 2, 3, 4]),
        ("ids == 9007199254740993", [1]),
        ("count >= 3", [2, 3]),
    ],
)
def test_numbers_bools_and_the_words_between_them(text: str, obs_index: list[int]) -> None:
    assert selected(text) == obs_index


@pytest.mark.parametrize(
    ("text", "obs_index"),
    [
        ("leiden == '3'", [1, 4]),
        ("leiden == 3", [1, 4]),
        ("leiden == 3.0", []),
        ("leiden in [3, '10']", [1, 3, 4]),
        ("leiden == 'no such'", []),
        ("leiden != 'no such'", [0, 1, 3, 4]),
        ("'3' == leiden", [1, 4]),
        ('phase == "S"', [1, 4]),
        ("phase_string in ['G1', 'S']", [0, 1, 4]),
        ("stage > 'early'", [0, 1, 4]),
        ("'mid' >= stage", [0, 2, 4]),
        ("stage < 'no such'", []),
        ("stage >= 'no such'", []),
        ("not (stage < 'no such')", [0, 1, 2, 4]),
        ("stage < stage2", [0]),
        ("stage == stage2", [2, 4]),
        ("leiden == rna:leiden", [4]),
        ("leiden != rna:leiden", [0, 1, 3]),
        ("phase == phase_string", [0, 1, 3]),
        ("CD4 > CD8A", [2]),
        ("CD4 == CD8A == 3", [4]),
        ("is_doublet != maybe", [2, 4]),
        ("empty == 'a' or empty is not null", []),
        ("empty_float is null", [0, 1, 2, 3, 4]),
    ],
)
def test_text_and_pairs_of_names(text: str, obs_index: list[int]) -> None:
    assert selected(text) == obs_index


@pytest.mark.parametrize("name", ["seen", "seen_zone"])
@pytest.mark.parametrize(
    ("test", "obs_index"),
    [
        ("> '2024-05-31'", [2, 3, 4]),
        ("<= '2024-01-01T00:00:00+00:00'", [0]),
        ("!= '2025-01-01'", [0, 2, 4]),
        ("in ['2025-01-01', '2024-01-01T01:00+01:00']", [0, 3]),
        ("is null", [1]),
    ],
)
def test_dates_compare_with_quoted_iso_dates(name: str, test: str, obs_index: list[int]) -> None:
    assert selected(f"{name} {test}") == obs_index


@pytest.mark.parametrize(
    ("name", "obs_index"),
    [
        ("HLA-A", [0]),
        ("chr1:100-200", [1]),
        ("Größe", [2]),
        ("細胞", [3]),
        ("`in`", [4]),
        ("index", [0, 1]),
        ("order.1", [3, 4]),
        ("`HLA-A`", [0]),
        ("`my column`", [0]),
        ("`back``tick`", [0]),
        ('"my column"', [0]),
        ("'my column'", [0]),
    ],
)
def test_names_bare_in_backticks_and_quoted(name: str, obs_index: list[int]) -> None:
    assert selected(f"{name} == 1") == obs_index
    assert selected(f"{name} in [1]") == obs_index
    assert selected(f"{name} is not null") == [0, 1, 2, 3, 4]


def test_quoted_text_is_a_name_only_left_of_an_operator_and_beside_no_name() -> None:
    assert parse("'a' == 'b'").names == ("a",)
    assert parse("'a' == b").names == ("b",)
    assert parse("b == 'a'").names == ("b",)
    assert parse("1 < 'a' <= 3").names == ("a",)
    assert parse("'a' == 'b' == c").names == ("a", "c")
    assert selected("1 < 'my column' <= 3") == [1, 2]


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r"'it\'s'", "it's"),
        (r'"say \"so\""', 'say "so"'),
        (r"'a\\b'", "a\\b"),
        (r"'a\nb\tc'", "a\nb\tc"),
        ("'x or y) # 細'", "x or y) # 細"),
        ("''", ""),
    ],
)
def test_escapes_in_quoted_text(literal: str, value: str) -> None:
    assert selected(f"label == {literal}", {"label": pd.Series(["other", value])}) == [1]


def test_names_come_in_the_order_of_first_use_and_each_is_read_once() -> None:
    where = parse("CD8A > 1 and (CD4 < CD8A or not CD4 > 3) and leiden in ['3'] and 'my column' < 3 < n_genes")
    assert where.names == ("CD8A", "CD4", "leiden", "my column", "n_genes")
    frame = Frame(CELLS)
    where.evaluate(frame)
    assert frame.reads == dict.fromkeys(where.names, 1)


def test_a_parsed_expression_is_a_value() -> None:
    where = parse("CD4 > 1")
    assert where == parse("CD4 > 1")
    assert hash(where) == hash(parse("CD4 > 1"))
    assert repr(where) == "Expression(text='CD4 > 1', names=('CD4',))"
    again = pickle.loads(pickle.dumps(where))
    assert again.evaluate(Frame(CELLS)).tolist() == where.evaluate(Frame(CELLS)).tolist()


@pytest.mark.parametrize("name", ["maybe", "maybe_object"])
def test_unknown_follows_kleene(name: str) -> None:
    known = pd.Series([True, True, True, False, False, False])
    maybe = pd.Series([True, False, None] * 2, dtype="boolean" if name == "maybe" else object)
    columns = {"a": known, "m": maybe}
    expected = {
        "m": [0, 3],
        "not m": [1, 4],
        "a and m": [0],
        "not (a and m)": [1, 3, 4, 5],
        "a or m": [0, 1, 2, 3],
        "not (a or m)": [4],
        "m or not m": [0, 1, 3, 4],
        "m is null": [2, 5],
        "not (m is null)": [0, 1, 3, 4],
        "m == true or m is null": [0, 2, 3, 5],
    }
    assert {text: selected(text, columns) for text in expected} == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CD4", "9"),
        ("leiden", "'9'"),
        ("phase", "'9'"),
        ("phase_string", "'9'"),
        ("count", "9"),
        ("dose", "9"),
        ("seen", "'1999-01-01'"),
        ("maybe", "true"),
        ("maybe_object", "true"),
        ("flag_category", "true"),
        ("stage", "'9'"),
    ],
)
def test_a_missing_value_is_selected_only_by_is_null(name: str, value: str) -> None:
    missing = np.flatnonzero(pd.isna(CELLS[name])).tolist()
    assert missing
    assert selected(f"{name} is null") == missing
    tests = (f"{name} == {value}", f"{name} != {value}", f"{name} in [{value}]", f"{name} not in [{value}]")
    for test in tests:
        for text in (test, f"not ({test})", f"not not ({test})"):
            assert not set(selected(text)) & set(missing), text
    assert selected(f"{name} != {value} or {name} == {value}") == sorted({0, 1, 2, 3, 4} - set(missing))


def test_number_is_compared_in_the_precision_of_the_column_as_numpy_does() -> None:
    columns = {"g": np.array([0.1, 0.5], dtype=np.float32), "h": np.array([0.1, 0.5], dtype=np.float16)}
    assert selected("g == 0.1", columns) == np.flatnonzero(columns["g"] == 0.1).tolist() == [0]
    assert selected("g > 0.1", columns) == np.flatnonzero(columns["g"] > 0.1).tolist() == [1]
    assert selected("g < 1e300", columns) == [0, 1]
    assert selected("g == 0.5", columns) == [1]
    assert selected("h < 1e300", columns) == [0, 1]
    assert selected("g == h", columns) == [1]


class RandomTest:
    """A random expression, and beside it what one row of Python values makes of it: True, False or None."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def make(self, depth: int) -> tuple[str, Oracle]:
        kind = self.random.choice(["leaf", "not", "and", "or"]) if depth else "leaf"
        if kind == "leaf":
            return self.random.choice([self.number, self.member, self.text, self.pair, self.null, self.flag])()
        text, oracle = self.make(depth - 1)
        if kind == "not":
            sign = self.random.choice(["not ", "NOT ", "~"])
            return f"{sign}({text})", lambda row: None if oracle(row) is None else not oracle(row)
        more_text, more = self.make(depth - 1)
        sign = self.random.choice({"and": ["and", "&", "And"], "or": ["or", "|", "OR"]}[kind])
        decisive = kind == "or"

        def both(row: Row) -> bool | None:
            values = (oracle(row), more(row))
            if decisive in values:
                return decisive
            return None if None in values else not decisive

        return f"({text}) {sign} ({more_text})", both

    def number(self) -> tuple[str, Oracle]:
        name, value = self.random.choice(["i", "f", "f32", "n"]), self.random.choice([-1, 0, 0.5, 1, 2, 1e-3])
        return self.compared(name, repr(value), lambda row: value)

    def pair(self) -> tuple[str, Oracle]:
        left, right = self.random.choice([("i", "f"), ("f", "f32"), ("n", "i"), ("c", "s"), ("s", "c")])
        return self.compared(left, right, lambda row: row[right], ordered=left not in "cs")

    def text(self) -> tuple[str, Oracle]:
        name, value = self.random.choice("cs"), self.random.choice(["a", "b", "é", "none"])
        return self.compared(name, f"'{value}'", lambda row: value, ordered=False)

    def compared(
        self, left: str, right: str, value: Callable[[Row], Any], *, ordered: bool = True
    ) -> tuple[str, Oracle]:
        signs: dict[str, Callable[[Any, Any], bool]] = {"==": lambda a, b: a == b, "!=": lambda a, b: a != b}
        if ordered:
            signs |= {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b}
            signs |= {">": lambda a, b: a > b, ">=": lambda a, b: a >= b}
        sign = self.random.choice(list(signs))

        def oracle(row: Row) -> bool | None:
            return None if row[left] is None or value(row) is None else signs[sign](row[left], value(row))

        mirrored = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(sign, sign)
        return self.random.choice([f"{left} {sign} {right}", f"{right} {mirrored} {left}"]), oracle

    def member(self) -> tuple[str, Oracle]:
        name = self.random.choice("ics")
        values = self.random.sample([0, 1, 2, 3] if name == "i" else ["a", "b", "é", "none"], self.random.randrange(4))
        negated = self.random.random() < 0.5
        text = f"{name} {'not ' * negated}in [{', '.join(map(repr, values))}]"
        return text, lambda row: None if row[name] is None else (row[name] in values) != negated

    def null(self) -> tuple[str, Oracle]:
        name, negated = self.random.choice(["i", "f", "c", "s", "n", "t"]), self.random.random() < 0.5
        return f"{name} is {'not ' * negated}null", lambda row: (row[name] is None) != negated

    def flag(self) -> tuple[str, Oracle]:
        return "t", lambda row: row["t"]


def random_columns(seed: int, *, missing: float) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    n_obs = 60
    values = [0.0, 0.5, 1.0, 2.0, -1.0, 0.0009765625]

    def some(choices: list[Any], dtype: Any) -> pd.Series[Any]:
        drawn = [None if rng.random() < missing else choices[rng.integers(len(choices))] for _ in range(n_obs)]
        return pd.Series(drawn, dtype=dtype)

    return {
        "i": pd.Series(rng.integers(-1, 3, n_obs)),
        "f": some(values, "float64"),
        "f32": some(values, "float32"),
        "n": some([0, 1, 2], "Int64"),
        "c": some(["a", "b", "c", "é"], "category"),
        "s": some(["a", "b", "é", "z"], object),
        "t": some([True, False], "boolean"),
    }


def rows_of(columns: dict[str, Any]) -> list[Row]:
    lists = {name: [None if pd.isna(v) else v for v in column.tolist()] for name, column in columns.items()}
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


@pytest.mark.parametrize("missing", [0.0, 0.3], ids=["complete", "with_missing"])
@pytest.mark.parametrize("seed", range(8))
def test_random_expressions_agree_with_python_row_by_row(seed: int, missing: float) -> None:
    columns = random_columns(seed, missing=missing)
    rows, make = rows_of(columns), RandomTest(seed)
    for _ in range(60):
        text, oracle = make.make(depth=4)
        assert selected(text, columns) == [i for i, row in enumerate(rows) if oracle(row) is True], text


def test_random_expressions_agree_with_pandas_query_where_nothing_is_missing() -> None:
    rng = random.Random(7)
    columns = random_columns(7, missing=0.0)
    df = pd.DataFrame({"i": columns["i"], "f": columns["f"], "s": columns["s"], "b": columns["t"].astype(bool)})
    leaves = ["i > 0", "0 <= i < 2", "f != 0.5", "f >= i", "s == 'a'", "s in ['b', 'é']", "s not in ['z']", "b"]
    for _ in range(60):
        text = rng.choice(leaves)
        for _ in range(rng.randrange(5)):
            text = f"{rng.choice(['', 'not '])}({text}) {rng.choice(['and', 'or'])} {rng.choice(leaves)}"
        assert selected(text, df) == df.query(text, engine="python").index.tolist(), text


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "the expression is empty"),
        (" \n ", 1, "the expression is empty"),
        ("n_genes >", 10, "found the end, expected a name, a number, text in quotes, true or false"),
        ("n_genes > > 3", 11, "found '>', expected a name"),
        ("n_genes 3", 9, "found '3', expected a comparison (== != < <= > >=), in, not, is null, and, or, the end"),
        ("(n_genes > 3", 13, "found the end, expected a comparison (== != < <= > >=), ), and, or\n"),
        ("n_genes > 3)", 12, "found ')', expected a comparison (== != < <= > >=), and, or, the end"),
        ("leiden == CD4 T", 15, "found 'T', expected"),
        ("leiden in [a]", 12, "found 'a', expected a number, text in quotes, true or false, ]"),
        ("leiden in 'a'", 11, "found 'a', expected (, ["),
        ("leiden is 3", 11, "found '3', expected not, null"),
        ("leiden == null", 11, "missing values are found with: is null"),
        ("and > 3", 1, "found 'and', expected a name"),
        ("CD4 > 3 and", 12, "found the end, expected a name"),
        ("10x_run == 1", 1, "a name that starts with a digit stands in backticks"),
        ("leiden == 'a", 11, "the quote ' is not closed"),
        ("`` == 1", 1, "the quote ` is not closed, or holds no name"),
        ("CD4 > 1 ; 2", 9, "found ';', expected"),
        ("CD4 > 1e999", 7, "too large a number"),
        ("1 < 2", 3, "two values are compared"),
        ("3 < 'my column'", 3, "two values are compared"),
        ("leiden == '3' == '4'", 15, "two values are compared"),
        ("3 in [3]", 3, "found 'in', expected a comparison"),
        ("'leiden'", 9, "found the end, expected a comparison"),
        ("__import__('os')", 11, "found '(', expected a comparison"),
        ("CD4.__class__()", 14, "found '(', expected a comparison"),
        ("@CD4 > 1", 1, "found '@', expected a name"),
        ("lambda: 0", 9, "found '0', expected a comparison"),
    ],
)
def test_what_cannot_be_parsed_is_pointed_at(text: str, column: int, message: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(message)) as raised:
        parse(text)
    assert raised.value.column == column
    assert_caret_at(raised.value, text)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("CD4 > 1 and leidn == '3'", 13, "no obs column or gene 'leidn'; nearest: leiden"),
        ("leiden == B", 11, "no obs column or gene 'B'; nearest: leiden (text to compare with stands in quotes)"),
        ("CD4 > 1 and 'no name' is null", 13, "no obs column or gene 'no name'"),
        ("n_genes == 'abc'", 12, "n_genes holds numbers, 'abc' is text"),
        ("n_genes in [1, 'nan']", 16, "n_genes holds numbers, 'nan' is text"),
        ("n_genes > '3'", 11, "n_genes holds numbers, '3' is text"),
        ("n_genes == true", 12, "n_genes holds numbers, true is true or false"),
        ("leiden > 'B'", 8, "leiden holds text, which has no order: use ==, != or in"),
        ("3 < leiden", 3, "leiden holds text, which has no order"),
        ("phase <= phase_string", 7, "phase holds text, which has no order"),
        ("stage < leiden", 7, "leiden holds text, which has no order"),
        ("is_doublet == 1", 15, "is_doublet holds true and false, 1 is a number"),
        ("is_doublet > false", 12, "is_doublet holds true and false, which has no order"),
        ("CD4 == leiden", 5, "CD4 holds numbers, leiden holds text"),
        ("CD4 > 1 and not n_genes", 17, "n_genes holds numbers, which is no test by itself"),
        ("seen > 2024", 8, "seen holds dates (written as '2024-12-31'), 2024 is a number"),
        ("seen > 'soon'", 8, "seen holds dates (written as '2024-12-31'), 'soon' is text"),
        ("delta == '1D'", 10, "delta holds timedelta64 values, '1D' is text"),
    ],
)
def test_what_cannot_be_evaluated_is_pointed_at(text: str, column: int, message: str) -> None:
    where = parse(text)
    with pytest.raises(ExpressionError, match=re.escape(message)) as raised:
        where.evaluate(Frame(CELLS))
    assert raised.value.column == column
    assert_caret_at(raised.value, text)
    assert isinstance(raised.value.__cause__, NotFoundError) == message.startswith("no obs")


def assert_caret_at(error: ExpressionError, text: str) -> None:
    _, shown, caret = str(error).split("\n")
    assert shown == f"  {''.join(' ' if c.isspace() else c for c in text)}"
    assert caret == " " * (error.column + 1) + "^"


def test_a_long_or_broken_line_is_cut_around_the_caret() -> None:
    text = "n_genes > 1\n\tand " * 50 + "? > 1" + " or CD4 > 1" * 50
    with pytest.raises(ExpressionError, match="found '\\?'") as raised:
        parse(text)
    _, shown, caret = str(raised.value).split("\n")
    assert shown[caret.index("^")] == "?"
    assert shown.startswith("  …")
    assert shown.endswith("…")
    assert text[raised.value.column - 1] == "?"


def test_ordered_categoricals_of_other_categories_are_not_ordered_together() -> None:
    other = pd.Series(pd.Categorical(["a", "b"], ["a", "b"], ordered=True))
    swapped = pd.Series(pd.Categorical(["a", "b"], ["b", "a"], ordered=True))
    assert selected("x == y", {"x": other, "y": swapped}) == [0, 1]
    with pytest.raises(ExpressionError, match="x and y do not have the same ordered categories"):
        selected("x < y", {"x": other, "y": swapped})


def test_a_column_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ElementError, match="'b' has 2 values, expected 3"):
        selected("a > 0 and b > 0", {"a": np.zeros(3), "b": np.zeros(2)})


def frames_in_use() -> int:
    frame, count = sys._getframe(), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


def test_nesting_is_bounded_and_the_bound_leaves_room_on_the_stack() -> None:
    where = parse("(CD4 > 1 or n_genes > 1 and not " * MAX_DEPTH + "CD4 > 9" + ")" * MAX_DEPTH)
    limit = sys.getrecursionlimit()
    selected("CD4 > 1 or n_genes > 1")
    sys.setrecursionlimit(frames_in_use() + 3 * MAX_DEPTH + 60)
    try:
        mask = where.evaluate(Frame(CELLS))
    finally:
        sys.setrecursionlimit(limit)
    assert np.flatnonzero(mask).tolist() == [2, 4]
    with pytest.raises(ExpressionError, match=f"at most {MAX_DEPTH} parentheses") as raised:
        parse("(" * (MAX_DEPTH + 1))
    assert raised.value.column == MAX_DEPTH + 1
    with pytest.raises(ExpressionError, match="at most"):
        parse("(" * MAX_LENGTH)


def test_length_is_bounded() -> None:
    assert selected("~" * (MAX_LENGTH - 10) + "is_doublet") == [0, 2]
    assert selected("is_doublet" + "|is_doublet" * 900) == [0, 2]
    with pytest.raises(ExpressionError, match="at most 10,000 characters, this one has 10,001") as raised:
        parse("x" * (MAX_LENGTH + 1))
    assert raised.value.column == MAX_LENGTH + 1


@pytest.mark.parametrize(
    "text",
    ["'" + "\\" * 9_998, "`" * 9_999, "a-" * 4_999 + "!", "1" * 9_999, "n in [" + "1," * 4_900, "not " * 2_400 + "in"],
    ids=lambda text: text[:8],
)
def test_hostile_lengths_end_soon_in_an_expression_error(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"\n  .*\n +\^$"):
        parse(text)


@pytest.mark.parametrize("seed", range(4))
def test_garbage_raises_nothing_but_expression_errors(seed: int) -> None:
    rng = random.Random(seed)
    words = (
        "CD4 n_genes leiden maybe stage seen empty delta nope and or not in is null true ( ) [ ] , ~ & | == = != < <= >"
    )
    pieces = [
        *words.split(),
        *string.printable,
        "3",
        "1e5",
        "'3'",
        '"leiden"',
        "`my column`",
        "\\",
        "é",
        "\0",
        "\ud800",
        "²",
    ]
    parsed = 0
    for _ in range(3_000):
        alphabet = rng.sample(pieces, rng.randrange(2, 12))
        text = rng.choice(["", " "]).join(rng.choice(alphabet) for _ in range(rng.randrange(12)))
        try:
            where = parse(text)
            parsed += 1
            assert where.evaluate(Frame(CELLS)).shape == (5,)
        except ExpressionError as error:
            assert 1 <= error.column <= len(text) + 1  # noqa: PT017 - an error is one of two good outcomes
    assert parsed


def test_importing_the_module_does_not_import_lark() -> None:
    code = "import sys, cellasso.selection.expression; sys.exit('lark' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": str(Path(__file__).parents[2] / "backend")}, check=False
        ).returncode
        == 0
    )
