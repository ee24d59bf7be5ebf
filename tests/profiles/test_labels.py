"""Rows of a table are called what tells them apart, the shortest that does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.make import profile_of
from tests.profiles.test_matching import folded
from tests.profiles.test_merge import moved
from workbench.charts.flame import flame_graph
from workbench.charts.flame.graph import top_functions
from workbench.profiles.labels import labels
from workbench.profiles.transforms.combine import difference
from workbench.profiles.views.neighbours import callees, callers
from workbench.report.profile_text import difference_text, profile_text


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        # name, file, object, crate, raw name
        ([("f", "src/a.c", "", "", "f"), ("f", "src/b.c", "", "", "f")], ["f (a.c)", "f (b.c)"]),
        ([("f", "x/a/mod.rs", "", "", "f"), ("f", "x/b/mod.rs", "", "", "f")], ["f (a/mod.rs)", "f (b/mod.rs)"]),
        ([("f", "a.c", "/x/liba.so", "", "f"), ("f", "a.c", "/x/libb.so", "", "f")], ["f (liba.so)", "f (libb.so)"]),
        ([("f", "", "/x/liba.so", "", "f"), ("f", "", "/y/liba.so", "", "f")], ["f (/x/liba.so)", "f (/y/liba.so)"]),
        ([("f", "", "", "one", "f"), ("f", "", "", "two", "f")], ["f (one)", "f (two)"]),
        ([("f", "", "", "", "f"), ("f", "a.c", "", "", "f")], ["f", "f (a.c)"]),
        ([("f", "", "", "", "f<u8>"), ("f", "", "", "", "f<u16>")], ["f<u8>", "f<u16>"]),
        ([("f", "", "", "", "f"), ("f", "", "", "", "f")], ["f", "f #2"]),
        ([("f", "", "", "", "f"), ("g", "a.c", "", "", "g")], ["f", "g"]),
        ([("f", "a.c", "p", "", "f"), ("f", "a.c", "q", "", "f"), ("f", "b.c", "q", "", "f")],
         ["f (a.c, p)", "f (a.c, q)", "f (b.c, q)"]),
    ],
)  # fmt: skip
def test_the_shortest_that_tells_rows_apart(rows: list[tuple[str, str, str, str, str]], wanted: list[str]) -> None:
    assert labels(*(list(column) for column in zip(*rows, strict=True))) == wanted


_TEXT = st.sampled_from(["", "a", "b", "x/a", "y/a", "a (b)", "a (a)"])


@given(st.lists(st.tuples(*[_TEXT] * 5), max_size=12))
def test_no_two_rows_look_the_same(rows: list[tuple[str, str, str, str, str]]) -> None:
    columns = [[row[at] for row in rows] for at in range(5)]
    assert len(set(labels(*columns))) == len(rows)


def test_tables_views_and_the_shell_show_it() -> None:
    profile = moved({"main@m.c;init@1/a.c": 5, "main@m.c;init@1/b.c": 7})
    shown = {"main", "init (a.c)", "init (b.c)"}
    assert set(profile.top()["label"]) == shown
    assert {"init (a.c)", "init (b.c)"} <= set(callees(profile, "main")["label"])
    assert set(callers(profile, "init")["label"]) == {"main"}
    assert set(top_functions(flame_graph(profile).data, 0)["function"]) == shown
    text = profile_text(profile, profile.top())
    assert text.count("init (a.c)") == text.count("init (b.c)") == 1
    changes = difference(profile, moved({"main@m.c;init@1/a.c": 9, "main@m.c;init@1/b.c": 1}))
    assert set(changes.functions["label"]) == shown
    assert "init (b.c)" in difference_text(changes, changes.functions)


def test_names_that_are_alike_when_shortened_get_a_number() -> None:
    profile = folded(f"{'a' * 60}{'b' * 60}{'c' * 60} 1\n{'a' * 60}{'d' * 60}{'c' * 60} 2\n")
    lines = [line.split()[-1] for line in profile_text(profile, profile.top()).splitlines() if "aaaa" in line]
    assert len(lines) == 2
    assert "#2" in profile_text(profile, profile.top())


def test_a_name_alone_stays_as_it_is() -> None:
    profile = profile_of([(("a", "b"), 3)])
    assert profile.top()["label"].tolist() == profile.top()["name"].tolist()


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_the_first_rows_are_told_apart_from_rows_that_are_not_shown(n: int) -> None:
    profile = moved({"main@m.c;init@1/a.c": 5, "main@m.c;init@1/b.c": 7})
    assert profile.top(n=n)["label"].tolist() == profile.top()["label"].tolist()[:n]
