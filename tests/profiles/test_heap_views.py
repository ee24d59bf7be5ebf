"""Memory over time, allocators, growth and leaks, on files whose every byte is known."""

from __future__ import annotations

import html
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.samples import needs_samples, sample
from tests.report.browser import offline_page, open_offline
from tests.report.conftest import NOTEBOOKS
from workbench.charts.heap import memory_growth, memory_timeline
from workbench.errors import ReadError, WorkbenchError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.readers.massif.places import BELOW_THRESHOLD
from workbench.profiles.views.heap import (
    REST,
    Plumbing,
    allocation_sites,
    allocators_over_time,
    at_snapshot,
    growth,
    leak_candidates,
    timeline,
    top_allocators,
)
from workbench.report import read_parameters, run_notebook
from workbench.report.answers.massif import answer

EXAMPLE = Path(__file__).resolve().parents[2] / "data" / "profiles" / "demo-massif.out"
TOP = "(heap allocation functions) malloc/new/new[], --alloc-fns, etc."


def profile_of(
    trees: Sequence[Mapping[str, int] | None],
    *,
    times: Sequence[int] | None = None,
    peak: int = -1,
    extra: int = 0,
    module: str = "app::",
) -> Profile:
    """A massif file of flat trees: bytes of each place at each snapshot, ``small`` for what is below the threshold.
    None is a snapshot without a tree, as large as the one before."""
    out = "desc: --threshold=1\ncmd: ./a\ntime_unit: ms\n"
    heap = 0
    for number, tree in enumerate(trees):
        kind = "empty" if tree is None else "peak" if number == peak else "detailed"
        heap = heap if tree is None else sum(tree.values())
        time = number * 100 if times is None else times[number]
        out += f"#-----------\nsnapshot={number}\n#-----------\ntime={time}\nmem_heap_B={heap}\n"
        out += f"mem_heap_extra_B={extra}\nmem_stacks_B=0\nheap_tree={kind}\n"
        if tree is None:
            continue
        out += f"n{len(tree)}: {heap} {TOP}\n"
        for place, held in tree.items():
            if place == "small":
                out += f" n0: {held} in 3 places, all below massif's threshold (1.00%)\n"
            else:
                line = sum(place.encode())
                out += f" n1: {held} 0x1{line}: alloc (library/alloc/src/alloc.rs:95)\n"
                out += f"  n1: {held} 0x1{line}: alloc::vec::Vec<T>::push (library/alloc/src/vec/mod.rs:20)\n"
                out += (
                    f"   n1: {held} 0x2{line}: {module}{place} (app.rs:{line})\n    n0: {held} 0x3: main (app.rs:1)\n"
                )
    return read_profile(out.encode(), format="massif")


def test_the_timeline_tells_massifs_peak_from_the_largest_snapshot() -> None:
    table = timeline(profile_of([{"a": 5}, {"a": 99}, {"a": 100}], peak=1, extra=7))
    assert table["total_bytes"].tolist() == [12, 106, 107]
    assert table["is_peak"].tolist() == [False, True, False]
    assert table["is_largest"].tolist() == [False, False, True]


def test_sites_pass_over_what_only_hands_out_memory() -> None:
    profile = profile_of([{"a": 60, "b": 30, "small": 10}])
    sites = allocation_sites(profile)
    assert sites["function"].tolist() == ["app::a", "app::b", BELOW_THRESHOLD]
    assert sites["bytes"].tolist() == [60, 30, 10]
    assert sites["share_pct"].tolist() == [60, 30, 10]
    assert sites["skipped"].tolist() == ["alloc < alloc::vec::Vec::push", "alloc < alloc::vec::Vec::push", ""]
    assert sites["line"].tolist() == [ord("a"), ord("b"), 0]


def test_what_is_plumbing_can_be_said() -> None:
    profile = profile_of([{"a": 60, "b": 30}])
    own = Plumbing(crates=frozenset({"alloc"}), functions=("app::a",))
    assert allocation_sites(profile, plumbing=own)["function"].tolist() == ["main", "app::b"]
    assert allocation_sites(profile, plumbing=Plumbing(frozenset(), ()))["function"].tolist() == ["alloc"]
    # where all is plumbing, the function that called the allocator stands for it
    everything = Plumbing(frozenset({"alloc", "app"}), ("main",))
    assert allocation_sites(profile, plumbing=everything)["function"].tolist() == ["alloc::vec::Vec::push"]


def test_top_allocators_and_the_rest_add_up_to_the_heap() -> None:
    profile = profile_of([{"a": 10, "b": 20}, None, {"a": 50, "b": 5, "c": 4, "small": 1}])
    top = top_allocators(profile, 1)
    assert top[["snapshot", "time", "allocator", "bytes"]].to_numpy().tolist() == [
        [0, 0, "app::a", 10], [0, 0, REST, 20], [2, 200, "app::a", 50], [2, 200, REST, 10],
    ]  # fmt: skip
    assert top_allocators(profile, 9, by="site")["allocator"].unique().tolist() == [
        "app::a (app.rs:97)", "app::b (app.rs:98)", "app::c (app.rs:99)", REST,
    ]  # fmt: skip
    with pytest.raises(WorkbenchError, match="by function or site"):
        top_allocators(profile, by="crate")  # type: ignore[arg-type]


heaps = st.lists(
    st.one_of(st.none(), st.dictionaries(st.sampled_from(["a", "b", "c", "d", "small"]), st.integers(1, 10**12))),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(heaps, st.integers(0, 3))
def test_every_view_adds_up_to_the_heap(trees: list[dict[str, int] | None], n: int) -> None:
    profile = profile_of([{"a": 1}, *trees])
    heap = profile.tables["snapshots"].set_index("snapshot")["heap_bytes"]
    detailed = profile.meta["detailed"]
    top = top_allocators(profile, n).groupby("snapshot")["bytes"].sum()
    assert top.to_dict() == heap[detailed].to_dict()
    over = allocators_over_time(profile, n)
    assert over.groupby("snapshot")["bytes"].sum().to_dict() == pytest.approx(heap.to_dict())
    assert over["bytes"].min() >= -1e-3
    for number in detailed:
        assert allocation_sites(profile, number)["bytes"].sum() == heap[number]
        assert at_snapshot(profile, number).total() == heap[number]
    if len(detailed) > 1:
        grown = growth(profile)
        assert grown["change_bytes"].sum() == heap[detailed[-1]] - heap[detailed[0]]
        assert (grown["after_bytes"] - grown["before_bytes"]).tolist() == grown["change_bytes"].tolist()


def test_growth_names_what_grew_and_how_unsure_it_is() -> None:
    profile = profile_of([{"a": 10, "b": 90, "small": 4}, {"a": 40, "c": 30, "small": 2}])
    grown = growth(profile).set_index("function")
    assert grown["change_bytes"].to_dict() == {"app::a": 30, "app::c": 30, BELOW_THRESHOLD: -2, "app::b": -90}
    # c may have had up to 4 bytes below the threshold before, b up to 2 after
    assert grown["unsure_bytes"].to_dict() == {"app::a": 0, "app::c": 4, BELOW_THRESHOLD: 0, "app::b": 2}
    assert growth(profile, 1, 0)["change_bytes"].sum() == 32
    with pytest.raises(WorkbenchError, match="needs two"):
        growth(profile_of([{"a": 1}]))
    with pytest.raises(ReadError, match="Snapshots with one: 0, 1"):
        growth(profile, 0, 7)


def rising(count: int, **places: float) -> list[dict[str, int] | None]:
    """Snapshots in which each place grows by so many bytes from 1000 on."""
    return [{place: int(1000 + slope * number) for place, slope in places.items()} for number in range(count)]


def test_a_leak_is_found_with_its_slope() -> None:
    found = leak_candidates(profile_of(rising(15, kept=50, steady=0, shrinking=-20)))
    assert found.enough
    assert found.snapshots == tuple(range(5, 15))
    row = found.candidates.iloc[0]
    assert found.candidates["function"].tolist() == ["app::kept"]
    assert (row["first_bytes"], row["last_bytes"], row["snapshots"]) == (1250, 1700, 10)
    assert row["slope"] == pytest.approx(0.5)  # 50 bytes a snapshot, 100 ms apart
    assert (row["rank_correlation"], row["r2"]) == pytest.approx((1, 1))
    assert row["share_pct"] == pytest.approx(100 * 450 / (450 - 180))
    assert "There may be a leak" in found.sentence
    assert "app::kept" in found.sentence


def test_no_leak_where_memory_goes_up_and_down() -> None:
    trees: list[dict[str, int] | None] = [{"buffer": 1000 + 500 * (number % 3), "kept": 2000} for number in range(20)]
    found = leak_candidates(profile_of(trees))
    assert found.enough
    assert found.candidates.empty
    assert "Nothing looks like a leak" in found.sentence


def test_too_few_snapshots_say_nothing() -> None:
    found = leak_candidates(profile_of([None, *rising(5, kept=50)]))
    assert not found.enough
    assert found.candidates.empty
    assert "Too few snapshots" in found.sentence
    assert not leak_candidates(profile_of([None, None])).enough


def test_the_end_of_the_program_hides_no_leak() -> None:
    found = leak_candidates(profile_of([*rising(15, kept=50), {"kept": 10}]))
    assert found.teardown == (15,)
    assert found.candidates["function"].tolist() == ["app::kept"]
    assert "without the last 1" in found.sentence


def test_a_place_that_appears_late_is_measured_from_where_it_is_listed() -> None:
    trees = [{"a": 1000, **({"late": 100 * number} if number > 8 else {})} for number in range(15)]
    row = leak_candidates(profile_of(trees)).candidates.iloc[0]
    assert (row["function"], row["snapshots"], row["first_bytes"]) == ("app::late", 6, 900)


def test_another_snapshot_gives_another_tree() -> None:
    profile = profile_of([{"a": 10}, {"a": 20, "b": 5}, {"b": 7}], peak=1)
    assert profile.total() == 25
    other = at_snapshot(profile, "last")
    assert other.meta["nodes_snapshot"] == 2
    assert dict(zip(other.functions["function"], other.functions["total_heap"], strict=True))["main"] == 7
    assert [at_snapshot(profile, word).total() for word in ("first", "peak", "largest", "0")] == [10, 25, 25, 10]


def test_the_wrong_profile_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="not a massif profile"):
        timeline(read_profile(b"a;b 1\n", format="folded"))


@needs_samples
def test_an_xtree_file_has_no_timeline() -> None:
    profile = read_profile(sample("massif/generated__xtree.ms"), format="massif")
    for view in (timeline, top_allocators, growth, leak_candidates, allocation_sites):
        with pytest.raises(WorkbenchError, match="xtree"):
            view(profile)  # type: ignore[operator]


@needs_samples
def test_the_services_memory_is_held_by_its_own_code() -> None:
    profile = read_profile(sample("massif/generated__service-flags.out"), format="massif")
    first = allocation_sites(profile).iloc[0]
    assert (first["function"], first["file"], first["line"]) == ("demo::work", "demo.rs", 11)
    assert first["bytes"] == 1_126_432
    assert "hashbrown::raw::RawTable::reserve_rehash" in first["skipped"]
    assert "demo" not in first["skipped"]


# charts


def test_the_timeline_is_drawn_in_steps_and_not_by_colour_alone() -> None:
    profile = profile_of([{"a": 10, "b": 4}, None, {"a": 20, "b": 5}], peak=2, extra=3)
    chart = memory_timeline(profile)
    stacked = [trace for trace in chart.data if trace.stackgroup]
    assert [trace.name for trace in stacked] == ["app::a", "app::b", REST]
    assert all(trace.line.shape == "hv" for trace in chart.data if trace.mode == "lines")
    looks = [(trace.fillcolor, trace.fillpattern.shape) for trace in stacked]
    assert len({shape for _, shape in looks}) == len(stacked)
    assert [list(trace.x) for trace in stacked] == [[0, 100, 200]] * 3
    assert list(stacked[0].customdata[1])[1:] == [10, "app::a", "about "]
    mark = chart.data[-1]
    assert (mark.name, list(mark.x), list(mark.text)) == ("peak", [200], ["peak: snapshot 2"])
    assert chart.layout.meta["caption"]
    assert "KiB" in chart.layout.yaxis.title.text
    assert "ms" in chart.layout.xaxis.title.text


def test_growth_is_drawn_by_side() -> None:
    chart = memory_growth(growth(profile_of([{"a": 10, "b": 90}, {"a": 40, "c": 30}])))
    assert [(trace.name, len(trace.x), bool(trace.marker.pattern.shape)) for trace in chart.data] == [
        ("grew", 2, False), ("shrank", 1, True),
    ]  # fmt: skip
    unchanged = growth(profile_of([{"a": 10}, {"a": 10}]))
    assert memory_growth(unchanged).layout.annotations


def test_a_file_without_trees_is_drawn_all_the_same() -> None:
    chart = memory_timeline(profile_of([None, None]))
    assert [trace.name for trace in chart.data] == [REST, "total", "largest"]


MARKUP = ('<a href="https://evil.example/x">legit</a>', "Foo<b>evil</b>", "a &amp; b", "operator<(T & U)")


@pytest.mark.browser
async def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    """In Chromium: the legend, the axis and what is shown under the mouse."""
    first, last = dict.fromkeys(MARKUP, 1000), {name: 5000 + 1000 * at for at, name in enumerate(MARKUP)}
    profile = profile_of([first, last], module="")
    hovered: set[tuple[int, str]] = set()
    for number, chart in enumerate((memory_timeline(profile), memory_growth(growth(profile)))):
        page = tmp_path / f"{number}.html"
        chart.write_html(page)
        async with offline_page(page) as offline:
            await offline.page.wait_for_selector(".js-plotly-plot .main-svg .xtick", state="attached")
            assert await offline.page.locator(".main-svg a").count() == 0
            shown = " ".join(await offline.page.locator(".legendtext, .ytick text").all_text_contents())
            assert [name for name in MARKUP if name not in shown] == [], shown
            for curve, trace in enumerate(chart.data):
                said = [str(row) for row in trace.customdata]
                for name, point in [
                    (name, at) for name in MARKUP for at, row in enumerate(said) if escape(name) in row
                ]:
                    await offline.page.evaluate(
                        "point => Plotly.Fx.hover(document.querySelector('.js-plotly-plot'), [point])",
                        {"curveNumber": curve, "pointNumber": point},
                    )
                    await offline.page.wait_for_function(
                        "name => document.querySelector('.hoverlayer').textContent.includes(name)", arg=name
                    )
                    assert await offline.page.locator(".hoverlayer a").count() == 0
                    hovered.add((number, name))
    assert hovered == {(number, name) for number in (0, 1) for name in MARKUP}


def escape(name: str) -> str:
    return html.escape(name, quote=False)


# the answer, and the notebook


def test_the_answer_is_in_words() -> None:
    text = repr(answer(profile_of(rising(15, kept=50, steady=0), peak=14)))
    assert "There may be a leak" in text
    assert "Snapshot 14 (massif's peak) holds 2,700 bytes of heap" in text
    assert "app::kept (app.rs:436) with 1,700 bytes (63.0 %)" in text
    assert "exact to 1 %" in text
    page = answer(profile_of([{"a & b": 10}])).as_html
    assert "app::a &amp; b (app.rs" in page
    assert "a & b" not in page


@pytest.mark.parametrize("trees", [[None], [{}], [{"small": 5}], [{"a": 5}, {"a": 0}]])
def test_there_is_an_answer_for_little_data(trees: list[dict[str, int] | None]) -> None:
    assert "Is there a memory leak?" in repr(answer(profile_of(trees)))


def test_memory_that_was_freed_is_said_to_be() -> None:
    text = repr(answer(profile_of([*rising(15, kept=50), {"kept": 10}])))
    assert "had freed nearly everything" in text
    assert "B: the x axis" not in text


@pytest.mark.browser
async def test_the_notebook_opens_offline(tmp_path: Path) -> None:
    path = tmp_path / "massif.out"
    shutil.copy(EXAMPLE, path)
    notebook = NOTEBOOKS / "massif.ipynb"
    assert all(parameter.help for parameter in read_parameters(notebook))
    report = tmp_path / "report.html"
    record = await run_notebook(
        notebook, {"path": str(path)}, tmp_path / "notebook.ipynb", report, title="Memory", timeout_s=200
    )
    assert record.status == "ok", record
    opened = await open_offline(report)
    assert opened.complaints == []
    assert opened.requests == []
    assert opened.charts_drawn == opened.charts_wanted == 2
    assert "Is there a memory leak?" in opened.text
    assert "receipt_demo::Store::remember" in opened.text
    assert "not time" in opened.text


def test_tables_have_plain_columns() -> None:
    profile = read_profile(EXAMPLE, format="massif")
    for frame in (allocation_sites(profile), top_allocators(profile), growth(profile), timeline(profile)):
        assert all(str(dtype) in ("int64", "float64", "str", "bool") for dtype in frame.dtypes), frame.dtypes
        assert isinstance(frame.index, pd.RangeIndex)
