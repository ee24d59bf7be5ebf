"""Flame graph SVGs of several writers: titles, geometry, what a picture loses, and files made to do harm."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from html import escape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.samples import needs_samples, sample
from tests.profiles.stacks import stacks_of
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.readers.flamegraph import reader as flamegraph
from workbench.profiles.readers.flamegraph.svg import Title, parse_title

EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "profiles"


def read(svg: str | bytes) -> Profile:
    return read_profile(svg.encode() if isinstance(svg, str) else svg, format="flamegraph")


def notes_of(profile: Profile) -> str:
    return "\n".join(map(str, profile.notes))


def inferno(
    frames: Sequence[tuple[str, int, int, int]],
    *,
    total: int | None = None,
    inverted: bool = False,
    tail: str = "samples",
) -> str:
    """An SVG as inferno draws it, of (title or name, level, start, width)."""
    total = total or max(start + width for _, _, start, width in frames)
    levels = max(level for _, level, _, _ in frames)
    boxes = "".join(
        f"<g><title>{escape(name)} ({width:,} {escape(tail)}, {100 * width / total:.2f}%)</title>"
        f'<rect x="{100 * start / total:.4f}%" y="{16 * (level if inverted else levels - level)}" '
        f'width="{100 * width / total:.4f}%" height="15" fg:x="{start}" fg:w="{width}"/><text>..</text></g>'
        for name, level, start, width in frames
    )
    return (
        '<?xml version="1.0" standalone="no"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" '
        '"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"><svg xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:fg="http://github.com/jonhoo/inferno"><script><![CDATA[var inverted = {str(inverted).lower()};]]>'
        f'</script><text id="title">Flame Graph</text><svg id="frames" total_samples="{total}">{boxes}</svg></svg>'
    )


TREE = [("all", 0, 0, 10), ("a", 1, 0, 7), ("b", 1, 7, 3), ("x", 2, 2, 5), ("y", 2, 8, 2)]
TREE_STACKS = {("a",): 2, ("a", "x"): 5, ("b",): 1, ("b", "y"): 2}


@needs_samples
@pytest.mark.parametrize(
    ("name", "total", "metrics"),
    [
        ("inferno__default", 513, ("samples", "delta")),
        ("inferno__diff", 513, ("samples", "delta")),
        ("inferno__count_name_with_symbols", 513, ("test-samples <& ' \"", "delta")),
        ("inferno__nameattr", 333, ("samples",)),
        ("inferno__inverted", 286, ("samples",)),
        ("inferno__factor-2.5", 286, ("samples",)),
        ("inferno__narrow-blocks", 386_001, ("samples",)),
        ("py-spy__flamegraph", 2893, ("samples",)),
        ("gungraun__flamegraph_regular", 164, ("Instructions",)),
    ],
)
def test_public_files_sum_to_the_pictures_total(name: str, total: int, metrics: tuple[str, ...]) -> None:
    profile = read_profile(sample(f"svg/{name}.svg"), format="flamegraph")
    assert profile.total() == total
    assert profile.metric_names == metrics


@needs_samples
def test_the_folded_twin_is_equal() -> None:
    """inferno takes the marks of kernel and JIT frames out of the titles, and draws a frame for a ``;`` at the end."""
    folded = stacks_of(read_profile(sample("folded/inferno__vertx-unsorted.txt"), format="folded"))
    unmarked: dict[tuple[str, ...], float] = {}
    for stack, count in folded.items():
        plain = tuple(name[:-4] if name[-4:] in ("_[k]", "_[j]", "_[i]", "_[w]") else name for name in stack)
        unmarked[plain] = unmarked.get(plain, 0) + count
    drawn: dict[tuple[str, ...], float] = {}
    for stack, count in stacks_of(read_profile(sample("svg/inferno__inverted.svg"), format="flamegraph")).items():
        named = stack if stack[-1] else stack[:-1]
        drawn[named] = drawn.get(named, 0) + count
    assert drawn == unmarked


@needs_samples
def test_the_two_column_twin_is_equal_in_both_columns() -> None:
    twin = read_profile(sample("folded/inferno__diff-2col.txt"), format="folded")
    ours = read_profile(sample("svg/inferno__diff.svg"), format="flamegraph")
    after = {tuple(name.removesuffix("_[k]") for name in stack): n for stack, n in stacks_of(twin, "after").items()}
    assert stacks_of(ours) == after
    assert ours.total("delta") == twin.total("after") - twin.total("before")
    assert stacks_of(ours, "delta")["cksum", "_start", "__libc_start_main", "main", "cksum"] == 56 - 31


@needs_samples
def test_the_empty_picture_is_refused_with_its_own_words() -> None:
    with pytest.raises(ReadError, match="ERROR: No valid input provided to flamegraph"):
        read_profile(sample("svg/inferno__empty.svg"), format="flamegraph")


@needs_samples
def test_a_staircase_is_not_taken_for_stacks() -> None:
    profile = read_profile(sample("svg/gungraun__flamegraph_diff.svg"), format="flamegraph")
    assert not profile.nodes["exact"].any()
    assert "not a call tree" in notes_of(profile)


@needs_samples
def test_factor_is_said_and_not_applied() -> None:
    profile = read_profile(sample("svg/inferno__factor-2.5.svg"), format="flamegraph")
    assert profile.meta["factor"] == 2.5
    assert "counts times 2.5" in notes_of(profile)


@needs_samples
def test_py_spy_names_are_taken_apart() -> None:
    profile = read_profile(sample("svg/py-spy__flamegraph.svg"), format="flamegraph")
    fit = profile.functions[profile.functions["function"] == "fit"]
    assert fit["file"].tolist() == ["implicit/als.py"]
    assert profile.meta["inverted"] is True


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_example_pictures_of_pprof_rs_are_recognised(number: int) -> None:
    profile = read_profile(EXAMPLES / f"demo-flamegraph-{number}.svg")
    assert profile.format == "flamegraph"
    assert profile.total() == profile.meta["total_samples"]
    assert "all" not in set(profile.functions["function"])


@pytest.mark.parametrize("inverted", [False, True])
def test_geometry_is_turned_into_a_tree(inverted: bool) -> None:
    profile = read(inferno(TREE, inverted=inverted))
    assert stacks_of(profile) == TREE_STACKS
    assert profile.nodes["exact"].all()
    assert not profile.notes


@pytest.mark.parametrize("inverted", [False, True])
def test_without_a_script_the_root_tells_which_way_is_up(inverted: bool) -> None:
    svg = inferno(TREE, inverted=inverted).replace("var inverted", "var other")
    assert stacks_of(read(svg)) == TREE_STACKS
    assert stacks_of(read(svg.replace("all (", "every ("))) == {
        ("every", *stack): n for stack, n in TREE_STACKS.items()
    }


def test_pixels_of_older_writers_are_enough() -> None:
    """FlameGraph (Perl): classes and handlers on groups, pixels, no exact counts."""
    places = {"all": (10, 1180), "a": (10, 826), "b": (836, 354), "x": (246, 590), "y": (954, 236)}
    svg = "".join(
        f'<g class="func_g" onmouseover="s(this)"><title>{name} ({width} samples, {10 * width}%)</title>'
        f'<a xlink:href="http://example.org/"><rect x="{places[name][0]}.0" y="{100 - 16 * level}" '
        f'width="{places[name][1]}.0" height="15.0"/><text>{name}</text></a></g>'
        for name, level, _, width in TREE
    )
    profile = read(f'<svg xmlns:xlink="x"><g id="frames">{svg}</g></svg>')
    assert stacks_of(profile) == TREE_STACKS


def test_what_was_too_narrow_is_weighed() -> None:
    frames = [("all", 0, 0, 100), ("a", 1, 0, 60), ("b", 1, 70, 20), ("x", 2, 10, 30)]
    profile = read(inferno(frames))
    assert "no frame is drawn for it: too narrow, weight 20 samples" in notes_of(profile)
    # behind x, and between a and b and behind b
    assert "counted as self cost of their caller: at least, weight 40 samples" in notes_of(profile)
    missing = read(inferno(frames[1:3], total=100))
    assert "first level that are not drawn: too narrow, weight 20 samples" in notes_of(missing)


def test_frames_split_inside_an_array_type_are_joined() -> None:
    frames = [
        ("all", 0, 0, 9), ("main", 1, 0, 9), ("<[u8", 2, 0, 8), (" 32] as Hash>::hash", 3, 0, 5),
        (" 64] as Hash>::hash", 3, 5, 3), ("core::fill", 4, 0, 2),
    ]  # fmt: skip
    assert stacks_of(read(inferno(frames))) == {
        ("main",): 1,
        ("main", "<[u8; 32] as Hash>::hash"): 3,
        ("main", "<[u8; 32] as Hash>::hash", "core::fill"): 2,
        ("main", "<[u8; 64] as Hash>::hash"): 3,
    }


def test_runaway_recursion_is_cut_at_the_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flamegraph, "MAX_DEPTH", 50)
    profile = read(inferno([("f", level, 0, 5) for level in range(53)]))
    assert (len(profile.nodes), profile.total()) == (50, 5)
    assert "counted as cost of its caller, 3 times, weight 5 samples" in notes_of(profile)


@pytest.mark.parametrize(
    ("title", "parsed"),
    [
        ("main (5 samples, 12.50%)", Title("main", 5, "samples", 12.5)),
        ("f(int (*)(a)) (1,234,567 samples, 3%; -0.50%)", Title("f(int (*)(a))", 1_234_567, "samples", 3, -0.5)),
        ("a (5 x, 1%) (2 of (these), or so, 4%)", Title("a (5 x, 1%)", 2, "of (these), or so", 4)),
        ("foo", Title("foo")),
        ("foo (bar, 5%)", Title("foo (bar, 5%)")),
        ("foo (1 x, 1.2.3%)", Title("foo (1 x, 1.2.3%)")),
        ("", Title("")),
    ],
)
def test_titles_are_read_from_their_end(title: str, parsed: Title) -> None:
    assert parse_title(title) == parsed


def test_long_titles_of_brackets_take_no_time() -> None:
    profile = read(inferno([(" (1 a" * 50_000, 0, 0, 3), ("b", 1, 0, 1)]))
    assert profile.total() == 3


@pytest.mark.parametrize("system", ["file:///etc/passwd", "http://127.0.0.1:{port}/x.dtd"])
def test_nothing_outside_is_ever_opened(system: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = system.format(port=server.getsockname()[1])
        head, _, rest = inferno(TREE).partition("http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd")
        assert stacks_of(read(head + address + rest)) == TREE_STACKS
        with pytest.raises(TimeoutError):
            server.accept()


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "doctype",
    [
        f'<!DOCTYPE svg [<!ENTITY e0 "x">{BOMB}]>',
        '<!DOCTYPE svg [<!ENTITY e9 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE svg [<!ENTITY % p SYSTEM "http://127.0.0.1/p"> %p;]>',
    ],
)
def test_entities_are_refused(doctype: str) -> None:
    svg = f"{doctype}<svg><g><title>&e9; (1 samples, 100%)</title><rect x='0' y='0' width='1'/></g></svg>"
    with pytest.raises(ReadError, match="no flame graph has that"):
        read(svg)


def test_a_picture_cut_in_its_frames_is_refused_and_one_cut_behind_them_is_read() -> None:
    svg = inferno(TREE).encode()
    frames = svg.index(b"</svg>") + len(b"</svg>")
    for end in range(1, frames):
        with pytest.raises(ReadError, match=r"cut off|not whole XML"):
            read(svg[:end])
    for end in range(frames, len(svg)):
        profile = read(svg[:end])
        assert stacks_of(profile) == TREE_STACKS
        assert "cut off after its last frame" in notes_of(profile)


def test_what_a_raised_minimum_width_may_have_left_out_is_said() -> None:
    hub = [("all", 0, 0, 100), ("main", 1, 0, 100), ("hub", 2, 0, 90), ("other", 2, 90, 10)]
    said = notes_of(read(inferno(hub)))
    assert "no frame narrower than 10 samples (10 %) is drawn" in said
    assert "weight 100 samples" in said
    assert "no frame narrower" not in notes_of(read(inferno([*hub, ("leaf", 3, 0, 1)])))


@pytest.mark.parametrize(
    ("svg", "says"),
    [
        ("<svg><rect/></svg>", "without flame graph frames"),
        ("not xml", "<bytes>:1: not whole XML"),
        (inferno(TREE).replace('fg:w="7"', 'fg:w="9223372036854775808"'), "'9223372036854775808' is not a count"),
        (inferno(TREE).replace('fg:w="7"', 'fg:w="-7"'), "'-7' is not a count"),
        (inferno(TREE).replace('y="0"', 'y="nan"'), "'nan' is not a length"),
        (inferno(TREE).replace('fg:x="8" fg:w="2"', 'fg:x="8" fg:w="9"'), "has no caller below it"),
        (inferno([("a", 0, 0, 2**62), ("b", 0, 2**62, 2**62)], total=2**62), "more than 64 bits can hold"),
        ('<?xml version="1.0" encoding="utf-7"?><svg/>', "<bytes>"),
        (inferno(TREE).replace("fg:", "no:").replace(" samples,", ","), "neither exact widths nor counts"),
    ],
)
def test_damaged_pictures_are_refused_by_name(svg: str, says: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(svg)
    assert says in str(caught.value)


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
    lambda name: name != "all" and "\ufffe" not in name and "\uffff" not in name
)
TREES = st.recursive(
    st.tuples(NAMES, st.integers(0, 9), st.just(())),
    lambda children: st.tuples(NAMES, st.integers(0, 9), st.lists(children, max_size=3).map(tuple)),
    max_leaves=12,
)


@given(TREES)
def test_a_drawn_tree_is_read_as_it_was(tree: tuple[str, int, tuple]) -> None:
    frames: list[tuple[str, int, int, int]] = []
    wanted: dict[tuple[str, ...], float] = {}

    def lay(node: tuple[str, int, tuple], level: int, start: int, path: tuple[str, ...]) -> int:
        name, own, children = node
        own = own if children else own + 1
        place = len(frames)
        frames.append((name, level, start, 0))
        width = own
        for child in children:
            width += lay(child, level + 1, start + width, (*path, name))
        frames[place] = (name, level, start, width)
        if own:
            wanted[*path, name] = wanted.get((*path, name), 0) + own
        return width

    total = lay(tree, 1, 0, ())
    assert stacks_of(read(inferno([("all", 0, 0, total), *frames]))) == wanted
