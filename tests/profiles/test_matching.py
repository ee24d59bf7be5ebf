"""A function is the same function in two builds and in two windows; what cannot be told apart stays apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.make import Stacks, profile_of, stacks
from tests.profiles.samples import beside
from workbench.charts.flame import flame_graph
from workbench.profiles.builds import is_address, library, source, without_build, without_number
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.transforms.combine import Difference, difference
from workbench.profiles.transforms.matching import EXACT, MOVED, NAMED, NUMBERED, REBUILT, REBUILT_NAME, matching
from workbench.report.profile_text import difference_text


def functions(*rows: str) -> pd.DataFrame:
    """A table of functions, each ``name``, ``name|file`` or ``name|file|object``."""
    split = [(*row.split("|"), "", "")[:3] for row in rows]
    return pd.DataFrame(split, columns=["raw_function", "file", "object"], dtype="str")


@pytest.mark.parametrize(
    ("before", "after", "by"),
    [
        ("f|a.c|prog", "f|a.c|prog", EXACT),
        # build directories, registries, the compiler's own sources, libraries by file and by soname
        ("f|/home/a/p/src/x.c|/home/a/p/prog", "f|/build/p/src/x.c|/build/p/prog", MOVED),
        (f"f|/rustc/{'a' * 40}/library/core/src/fmt.rs", f"f|/rustc/{'b' * 40}/library/core/src/fmt.rs", MOVED),
        ("f|/r/.cargo/registry/src/index.crates.io-6f17d22bba15001f/serde-1.0.1/src/de.rs",
         "f|/x/registry/src/github.com-1ecc6299db9ec823/serde-1.0.1/src/de.rs", MOVED),
        ("memcpy||/usr/lib/x86_64-linux-gnu/libc-2.31.so", "memcpy||libc.so.6", MOVED),
        ("0x14400||/usr/lib/libsecp.so.0.0.0", "0x14400||/opt/libsecp.so.0", MOVED),
        ("run||/t/release/deps/service-0123456789abcdef", "run||/t/release/service", MOVED),
        ("f|a.c|before", "f|b.c|after", NAMED),
        # what a build adds to names
        ("app::f::h0123456789abcdef|src/a.rs", "app::f::hfedcba9876543210|src/a.rs", REBUILT),
        ("app::f::h0123456789abcdef", "app::f::hfedcba9876543210", REBUILT_NAME),
        ("_ZN3app1f17h0123456789abcdefE", "_ZN3app1f17hfedcba9876543210E", REBUILT_NAME),
        ("_RNvCs8pIxKQl4Rrq_3app3run", "_RNvCsabcDEF123_3app3run", REBUILT_NAME),
        ("app[9b1c2f3a4d5e6f70]::run", "app[11112222aaaabbbb]::run", REBUILT_NAME),
        ("scan.llvm.1234", "scan.llvm.99", REBUILT_NAME),
        ("scan.constprop.0", "scan.constprop.1.isra.0", REBUILT_NAME),
        ("scan.part.0", "scan", REBUILT_NAME),
        ("scan(int) [clone .isra.0]", "scan(int)", REBUILT_NAME),
        ("pow@@GLIBC_2.29", "pow", REBUILT_NAME),
        ("scan_[i]", "scan", REBUILT_NAME),
        ("[unknown]|a.c", "[unknown]", NAMED),
        ("main.run.func1|m.go", "main.run.func2|m.go", NUMBERED),
        ("app::run::{closure#0}|a.rs", "app::run::{closure#3}|a.rs", NUMBERED),
    ],
)  # fmt: skip
def test_one_function_of_two_builds(before: str, after: str, by: str) -> None:
    for one, other in ((before, after), (after, before)):
        assert matching(functions(one), functions(other)).by == (by,)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("f", "g"),
        # an address says nothing without its object
        ("0x14400||liba.so", "0x14400||libb.so"),
        ("0x14400", "0x14400|x.c"),
        ("[unknown]||liba.so", "[unknown]||libb.so"),
        # a closure by its number alone
        ("main.run.func1|m.go", "main.run.func1.2|n.go"),
    ],
)
def test_two_functions_are_not_taken_for_each_other(before: str, after: str) -> None:
    assert matching(functions(before), functions(after)).by == ("", "")


def test_what_is_ambiguous_stays_apart_and_is_said() -> None:
    old = functions("app::f::h0123456789abcdef", "app::f::h1111111111111111", "app::g::h0123456789abcdef")
    new = functions("app::f::h2222222222222222", "app::f::h3333333333333333", "app::g::h4444444444444444")
    match = matching(old, new)
    assert sorted(match.by) == ["", "", "", "", REBUILT_NAME]
    assert match.ambiguous.tolist() == [not word for word in match.by]
    # a copy beside what it was made of is another function
    assert matching(functions("f", "f.cold"), functions("f")).by == (EXACT, "")


def test_the_longest_common_end_of_a_path_tells_files_of_one_name() -> None:
    old = functions("new|/home/a/src/tap/mod.rs", "new|/home/a/src/dips/mod.rs")
    new = functions("new|/build/src/dips/mod.rs", "new|/build/src/tap/mod.rs")
    match = matching(old, new)
    assert match.by == (MOVED, MOVED)
    assert match.code.tolist() == [0, 1, 1, 0]


@given(st.text(alphabet="hs_RCN0123456789abcdef.:[]{}@#$ func()clone-", max_size=60))
def test_no_name_or_path_breaks_it(text: str) -> None:
    assert without_build(without_build(text)) == without_build(text) or "[" in text or "." in text or "@" in text
    without_number(text), library(text), source(text), is_address(text)


def folded(text: str) -> Profile:
    return read_profile(text.encode(), format="folded")


def listed(changes: Difference) -> dict[str, tuple[float, float]]:
    """The nodes that differ: path to the totals before and after."""
    names = changes.frames["function"].tolist()
    paths: list[str] = []
    found = {}
    for row in changes.nodes.itertuples(index=False):
        paths.append(f"{paths[row.parent_id]};{names[row.frame_id]}" if row.parent_id >= 0 else names[row.frame_id])
        if row.before_total != row.after_total:
            found[paths[-1]] = (row.before_total, row.after_total)
    return found


def test_a_function_that_one_build_inlined_is_stepped_over() -> None:
    before = folded("main;parse;lex;read 30\nmain;parse;lex 10\nmain;parse 5\nmain;write 7\n")
    after = folded("main;lex;read 30\nmain;lex 10\nmain 5\nmain;write 7\n")
    for one, other, sides in ((before, after, (5, 0)), (after, before, (0, 5))):
        assert listed(difference(one, other)) == {"main;parse": sides}
        tree = flame_graph(other, before=one).data
        assert tree.before is not None
        same = (tree.costs == tree.before)[:, 0]
        assert [tree.functions["function"][at] for at in tree.function[~same]] == ["main", "parse"]


def test_a_new_caller_of_what_is_called_elsewhere_too_stays_in_its_place() -> None:
    before = folded("main;hash 10\n")
    after = folded("main;hash 10\nmain;check;hash 4\nmain;check 1\n")
    assert listed(difference(before, after)) == {"main": (10, 15), "main;check": (0, 5), "main;check;hash": (0, 4)}


def test_another_root_above_the_same_calls_changes_nothing_below_it() -> None:
    before, after = folded("clone;start_thread;run;work 9\n"), folded("clone3;start_thread;run;work 9\n")
    assert listed(difference(before, after)) == {}


HEAD = "# callgrind format\nversion: 1\ncreator: callgrind-3.19.0\npositions: line\nevents: Ir\n\n"


def calls(*functions: str) -> Profile:
    """A callgrind file of functions, each ``name self`` and for each callee ``name cost``."""
    text = HEAD
    for each in functions:
        (name, own), *called = (part.split() for part in each.split(","))
        text += f"fl=a.c\nfn={name}\n1 {own}\n"
        text += "".join(f"cfn={callee}\ncalls=1 1\n2 {cost}\n" for callee, cost in called) + "\n"
    return read_profile(text.encode(), format="callgrind")


def test_a_level_of_recursion_makes_no_other_function() -> None:
    whole = calls("fib 10, fib'2 90", "fib'2 80, add 10", "add 10")
    inside = calls("fib'2 90, add 10", "add 10")
    changes = difference(whole, inside)
    assert (changes.functions[["change_self", "change_total"]] == 0).all(axis=None)
    assert changes.functions["name"].tolist() == ["fib", "add"]
    assert changes.functions["before_total"].tolist() == [100, 10]
    assert listed(changes) == {}
    assert not any("functions only" in note.what for note in changes.notes)
    tree = flame_graph(inside, before=whole).data
    assert tree.before is not None
    assert (tree.costs == tree.before).all()


def test_windows_that_begin_inside_a_function_say_no_change() -> None:
    before, after = (read_profile(beside(f"reported/cg-suffix-{side}.out")) for side in ("before", "after"))
    changes = difference(before, after)
    assert (changes.functions[["change_self", "change_total"]] == 0).all(axis=None)
    assert changes.functions["matched_by"].tolist() == [EXACT, EXACT]
    assert listed(changes) == {}
    assert "Only" not in difference_text(changes, changes.functions)


def test_a_window_that_begins_below_the_root_of_the_other_hangs_there() -> None:
    before = calls("main 5, run 105", "run 5, work 100", "work 100")
    after = calls("run 5, work 90", "work 90")
    for changes, sign in ((difference(before, after), 1), (difference(after, before), -1)):
        found = {path: (totals[1] - totals[0]) * sign for path, totals in listed(changes).items()}
        assert found == {"main": -15, "main;run": -10, "main;run;work": -10}
    assert "1 trees begin inside a function" in repr(flame_graph(after, before=before))


@pytest.mark.parametrize("other", ["service-step-400", "service-once-step-100"])
def test_windows_of_the_real_service_lie_over_each_other(other: str) -> None:
    before = read_profile(beside("real/service-step-100.callgrind.out.gz"))
    after = read_profile(beside(f"real/{other}.callgrind.out.gz"))
    changes = difference(before, after)
    functions = changes.functions
    only = functions["state"] != "both"
    assert functions.loc[only, "before_self"].sum() < 0.001 * changes.before_sum
    assert functions.loc[only, "after_self"].sum() < 0.001 * changes.after_sum
    nodes, names = changes.nodes, changes.frames["function"].to_numpy()
    if other == "service-step-400":
        assert nodes.loc[nodes["state"] == "removed", "before_self"].sum() < 0.001 * changes.before_sum
        assert nodes.loc[nodes["state"] == "added", "after_self"].sum() < 0.001 * changes.after_sum
        return
    assert changes.after_sum / changes.before_sum == pytest.approx(0.649, abs=5e-4)
    # one recovery less: the heaviest of what is gone, below what is on both sides
    state = nodes["state"].to_numpy()
    above = np.where(nodes["parent_id"] >= 0, state[nodes["parent_id"]], "both")
    gone = nodes[(state == "removed") & (above == "both")].sort_values("before_total")
    assert "recover_from_prehash" in names[gone["frame_id"].iloc[-1]]
    assert gone["before_total"].iloc[-1] == pytest.approx(0.344 * changes.before_sum, rel=0.01)


@given(stacks, stacks)
def test_the_sums_of_a_difference_are_those_of_its_sides(before: Stacks, after: Stacks) -> None:
    changes = difference(profile_of(before), profile_of(after))
    for side, rows in (("before", before), ("after", after)):
        whole = sum(cost for _, cost in rows)
        assert changes.functions[f"{side}_self"].sum() == whole
        assert changes.nodes[f"{side}_self"].sum() == whole
        roots = changes.nodes["parent_id"] < 0
        assert changes.nodes.loc[roots, f"{side}_total"].sum() == whole
