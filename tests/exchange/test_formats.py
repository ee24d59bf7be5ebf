"""Requests as vegeta and k6 take them, by the shapes that those tools document."""

from __future__ import annotations

import base64
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.exchange import k6, vegeta
from workbench.exchange.post import Post
from workbench.exchange.sending import Sending

START = 1_795_980_661_519_000_000
URL = "http://127.0.0.1:7601/subgraphs/id/QmV4R5g7Go94bVFmKTVFG7vaMTb1ztUUWb45mNrsc7Yyqs"
receipts = st.lists(st.binary(max_size=200).map(lambda data: base64.b64encode(data).decode()), max_size=20)


@given(st.text(), st.text(max_size=200), receipts)
def test_vegeta_targets_are_json_with_what_was_given(path: str, query: str, headers: list[str]) -> None:
    post = Post(f"http://127.0.0.1/{path}", json.dumps({"query": query}).encode())
    lines = list(vegeta.targets(post, headers))
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    found = [json.loads(line) for line in lines]
    assert [target["header"]["Tap-Receipt"] for target in found] == [[header] for header in headers]
    for target in found:
        assert set(target) == {"method", "url", "body", "header"}
        assert (target["method"], target["url"]) == ("POST", post.url)
        assert base64.b64decode(target["body"]) == post.body
        assert target["header"]["Content-Type"] == ["application/json"]


@pytest.mark.parametrize(
    ("rate", "pace"),
    [
        (200.0, "-rate=200/s -duration=10s"),
        (0.5, "-rate=1/2000000000ns -duration=4000s"),
        (None, "-rate=0 -workers=7 -max-workers=7"),
    ],
)
def test_vegeta_is_told_the_pace(rate: float | None, pace: str) -> None:
    assert f" -lazy {pace} -targets=a.json " in vegeta.command("a.json", 2000, rate, 7)


def scenario_of(script: str) -> dict[str, object]:
    found = re.search(r"export const options = (\{.*?\n\});", script, re.DOTALL)
    assert found is not None
    scenario: dict[str, object] = json.loads(found[1])["scenarios"]["receipts"]
    return scenario


@given(st.integers(1, 1_000_000), st.floats(0.01, 20_000))
def test_k6_ends_between_the_last_receipt_and_one_more(count: int, rate: float) -> None:
    scenario = scenario_of(k6.script(Post(URL, b"{}"), Sending(count, rate, START, 15), data="a.receipts"))
    assert scenario["executor"] == "constant-arrival-rate"
    asked = int(str(scenario["rate"])) / int(str(scenario["timeUnit"]).removesuffix("s"))
    assert asked == pytest.approx(rate, rel=0.1 if rate < 0.1 else 0.001)
    seconds = int(str(scenario["duration"]).removesuffix("us")) / 1e6
    assert (count - 1) / rate < seconds + 1e-6
    assert seconds < max(1, count / rate) + 1e-6


def test_k6_without_a_rate_shares_the_receipts_among_its_users() -> None:
    planned = Sending(300, None, START, 15)
    scenario = scenario_of(k6.script(Post(URL, b"{}"), planned, data="a.receipts", concurrency=8))
    assert scenario == {"executor": "shared-iterations", "vus": 8, "iterations": 300, "maxDuration": "24h"}


@given(st.text(), st.text())
def test_nothing_of_a_query_or_file_name_is_taken_for_the_scripts_own(query: str, name: str) -> None:
    body = json.dumps({"query": f"@DATA@ {query}"}).encode()
    script = k6.script(Post(URL, body), Sending(5, 1.0, START, 15), data=name)
    assert f"open({json.dumps('./' + name)})" in script
    assert json.dumps(body.decode()) in script
