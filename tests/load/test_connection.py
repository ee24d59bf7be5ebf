"""One connection and every kind of answer, without a network: whole, cut, in pieces, and broken."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.load.wire import GOOD, REQUEST, Answer, Owner, answer, by_http_client, connected, end, feed, mutated, split
from workbench.load import connection as module
from workbench.load.connection import Connection
from workbench.load.outcome import OUTCOME_NAMES, OUTCOMES, Outcome
from workbench.load.outcome_cache import MAX_ANSWER_BYTES, MAX_HEAD_BYTES, MAX_HELD_BYTES, OutcomeCache

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(GOOD), GOOD)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (
    GOOD[:5],
    len(GOOD) - 5,
    GOOD[5:],
)
UNTIL_END = b"HTTP/1.1 200 OK\r\nServer: a\r\n\r\n" + GOOD
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def outcome(connection: Connection) -> str:
    return OUTCOME_NAMES[connection.outcome]


def asked() -> tuple[Owner, Connection, object, list[Connection]]:
    """A connection on which a first request was sent."""
    owner = Owner()
    connection, transport = connected(owner)
    done: list[Connection] = []
    connection.begin(7, 0, REQUEST, done.append)
    assert transport.written == REQUEST
    return owner, connection, transport, done


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by one at each reading."""
    ticks = itertools.count(1)
    monkeypatch.setattr(module, "monotonic_ns", lambda: next(ticks))


@pytest.mark.parametrize("raw", [LENGTH, CHUNKED, UNTIL_END, CONTINUE + LENGTH, CONTINUE + CHUNKED])
def test_a_service_that_closes_at_any_byte_has_answered_or_not(raw):
    head = raw.rindex(b"\r\n\r\n", 0, raw.index(GOOD[:5])) + 4
    for cut in range(len(raw) + 1):
        owner, connection, transport, done = asked()
        feed(connection, transport, [raw[:cut]] if cut else [])
        assert len(done) == (cut == len(raw) and raw is not UNTIL_END)
        end(connection, transport)
        assert done == owner.over == [connection]
        if cut == len(raw):
            assert (outcome(connection), connection.status, connection.bytes_in) == ("ok", 200, len(GOOD))
        elif raw is UNTIL_END and cut >= head:  # whole by the protocol, and not what a service says
            assert (outcome(connection), connection.status, connection.bytes_in) == ("http_error", 200, cut - head)
        else:
            assert (outcome(connection), connection.status, connection.bytes_in) == ("reset", 0, 0)
            assert not connection.usable
        assert owner.closed_idle == owner.surplus == 0  # the first request of a connection cannot meet an idle close


def test_10_000_answers_in_pieces_mean_what_they_mean_whole():
    dice = random.Random(1)
    for _ in range(10_000):
        given = answer(dice)
        owner, connection, transport, done = asked()
        feed(connection, transport, split(dice, given.raw))
        assert len(done) == (not given.until_end)
        if given.until_end:
            end(connection, transport)
        assert done == [connection]
        assert (connection.status, connection.bytes_in) == (given.status, len(given.body))
        assert connection.usable == given.keeps
        assert connection.outcome == owner.answers.code(given.status, given.body)
        assert owner.surplus == 0
        if b" 103 " not in given.raw:  # which the standard library takes for an answer
            assert by_http_client(given.raw) == (given.status, given.body)


@pytest.mark.slow
def test_100_000_broken_answers_end_once_and_harm_nothing_after_them():
    """Where we see a whole answer, the standard library sees the same one."""
    dice = random.Random(2)
    whole = [answer(dice) for _ in range(500)]
    compared = 0
    for number in range(100_000):
        raw = mutated(dice, whole[number % len(whole)].raw)
        owner, connection, transport, done = asked()
        feed(connection, transport, split(dice, raw, most=4))
        if not done:
            end(connection, transport)
        assert done == owner.over == [connection]
        assert connection.usable != transport.closed or not done
        assert connection.done_ns >= connection.first_byte_ns
        if connection.usable:
            connection.begin(8, 0, REQUEST, done.append)
            feed(connection, transport, [LENGTH])
            assert (len(done), outcome(connection)) == (2, "ok")
        elif connection.status and number % 4 == 0 and is_plain(raw) and not owner.surplus:
            seen = by_http_client(raw)
            assert seen is not None
            assert (seen[0], len(seen[1])) == (connection.status, connection.bytes_in)
            compared += 1
    assert compared > 2000


def is_plain(raw: bytes) -> bool:
    """Whether the standard library reads it by RFC 9112: it knows no 103, and of two codings only the first, and takes
    empty lines between messages and codings of answers without a body for errors."""
    text = raw.lower()
    return (
        b" 103 " not in text
        and text.count(b"transfer-encoding") + text.count(b"content-length") < 2
        and not raw.startswith((b"\r", b"\n"))
        and b"\n\r\n\r\nhttp" not in text
        and b"\n\r\n\nhttp" not in text
        and not (b"transfer-encoding" in text and (b" 204 " in text or b" 304 " in text))
    )


def test_the_first_byte_is_that_of_the_final_answer(clock):
    _, connection, transport, _ = asked()  # sent at 1
    feed(connection, transport, [CONTINUE, LENGTH[:3], LENGTH[3:20], LENGTH[20:]])  # at 2, 3, 4, 5
    assert (connection.intended_ns, connection.sent_ns, connection.first_byte_ns, connection.done_ns) == (1, 1, 3, 5)


def test_an_interim_answer_may_come_with_the_beginning_of_the_final_one(clock):
    _, connection, transport, _ = asked()
    feed(connection, transport, [CONTINUE + LENGTH[:1], LENGTH[1:]])
    assert (connection.first_byte_ns, connection.done_ns) == (2, 3)
    _, connection, transport, _ = asked()  # at 4
    feed(connection, transport, [CONTINUE + LENGTH])
    assert (connection.sent_ns, connection.first_byte_ns, connection.done_ns) == (4, 5, 5)


def test_an_interim_answer_alone_is_no_first_byte():
    _, connection, transport, done = asked()
    feed(connection, transport, [CONTINUE])
    end(connection, transport)
    assert (outcome(done[0]), done[0].first_byte_ns) == ("reset", 0)


@pytest.mark.parametrize("more", [LENGTH, b"HTTP/1.1 200 OK\r\n", b"garbage", LENGTH * 3])
@pytest.mark.parametrize("together", [True, False])
def test_what_nobody_asked_for_ends_the_connection_and_is_counted(more, together):
    owner, connection, transport, done = asked()
    feed(connection, transport, [LENGTH + more] if together else [LENGTH, more])
    assert len(done) == 1
    assert (outcome(connection), connection.status, connection.bytes_in) == ("ok", 200, len(GOOD))
    assert not connection.usable
    assert transport.closed
    assert owner.surplus == 1


def test_a_kept_connection_that_ends_without_a_byte_is_counted_apart():
    owner, connection, transport, done = asked()
    feed(connection, transport, [LENGTH])
    connection.begin(8, 0, REQUEST, done.append)
    end(connection, transport)
    assert [seen.position for seen in done] == [8, 8]
    assert (outcome(connection), owner.closed_idle) == ("reset", 1)


def test_a_kept_connection_that_ends_in_an_answer_is_a_reset_like_any():
    owner, connection, transport, done = asked()
    feed(connection, transport, [LENGTH])
    connection.begin(8, 0, REQUEST, done.append)
    feed(connection, transport, [CONTINUE])
    end(connection, transport)
    assert (outcome(connection), owner.closed_idle) == ("reset", 0)


def test_an_answer_that_lasts_until_the_end_is_not_whole_after_a_reset():
    _, connection, transport, _ = asked()
    feed(connection, transport, [UNTIL_END])
    connection.connection_lost(ConnectionResetError())
    assert outcome(connection) == "reset"


def test_after_an_answer_to_half_a_request_nothing_else_is_sent():
    _, connection, transport, _ = asked()
    connection.pause_writing()  # the service has not taken all of it
    feed(connection, transport, [LENGTH])
    assert outcome(connection) == "ok"
    assert not connection.usable
    assert transport.closed


def test_another_protocol_is_no_answer():
    _, connection, transport, done = asked()
    raw = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\0\0\0"
    feed(connection, transport, [raw])
    assert (outcome(done[0]), done[0].status, done[0].usable) == ("http_error", 101, False)


@pytest.mark.parametrize(
    "piece", [b"X-A: " + b"a" * 1000 + b"\r\n", CONTINUE, b"a" * 4096, b"HTTP/1.1 103 Early Hints\r\n\r\n"]
)
def test_a_head_without_end_is_not_kept(piece):
    _, connection, transport, done = asked()
    sent = 0
    feed(connection, transport, [b"HTTP/1.1 100 C\r\n\r\n" if b"1.1" in piece else b"HTTP/1.1 200 OK\r\nX: a"])
    while not done:
        feed(connection, transport, [piece])
        sent += len(piece)
        assert sent < MAX_HEAD_BYTES + 10_000
    assert outcome(connection) == "http_error"


@pytest.mark.parametrize("framing", [b"Content-Length: 10000000000", b"Server: a", b"Transfer-Encoding: chunked"])
def test_an_answer_without_end_has_an_outcome_of_its_own(framing):
    _, connection, transport, done = asked()
    chunk = bytes(1 << 20)
    if b"chunked" in framing:
        chunk = b"100000\r\n" + chunk + b"\r\n"
    feed(connection, transport, [b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n"])
    for _ in range(MAX_ANSWER_BYTES >> 20):
        assert not done
        feed(connection, transport, [chunk])
    feed(connection, transport, [chunk])
    assert (outcome(connection), connection.status) == (Outcome.TOO_LARGE.value, 200)
    assert transport.closed


def test_all_answers_under_way_together_have_a_bound():
    owner, ended = Owner(), 0
    head, piece = b"HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\n", bytes(8 << 20)
    pairs = [connected(owner) for _ in range(64)]
    for connection, transport in pairs:
        connection.begin(0, 0, b"", lambda _: None)
        feed(connection, transport, [head, piece])
        assert owner.answers.held <= MAX_HELD_BYTES
        ended += not connection.busy
    assert ended == 64 - (MAX_HELD_BYTES - 64) // (8 << 20)
    assert {outcome(connection) for connection, _ in pairs if not connection.busy} == {Outcome.TOO_LARGE.value}
    for connection, _ in pairs:
        if connection.busy:
            connection.fail(0, 0)
    assert owner.answers.held == 0


@pytest.mark.parametrize("brackets", [b"{}", b"[]"])
def test_an_answer_of_brackets_alone_is_not_judged(brackets):
    answers = OutcomeCache()
    large = b"[" + (brackets + b",") * (14 << 20) + brackets + b"]"
    assert OUTCOMES[answers.code(200, large)] is Outcome.TOO_LARGE
    assert OUTCOMES[answers.code(200, large[: 3 << 18])] is Outcome.HTTP_ERROR


def test_a_large_answer_in_very_small_chunks_is_read():
    body = GOOD + b" " * 300_000
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw += b"".join(b"2\r\n" + body[at : at + 2] + b"\r\n" for at in range(0, len(body) // 2 * 2, 2)) + b"0\r\n\r\n"
    _, connection, transport, _ = asked()
    feed(connection, transport, [raw[at : at + 65536] for at in range(0, len(raw), 65536)])
    assert (outcome(connection), connection.bytes_in) == ("ok", len(body) // 2 * 2)


def test_a_connection_carries_one_answer_after_another():
    dice = random.Random(3)
    owner = Owner()
    connection, transport = connected(owner)
    done: list[Connection] = []
    kept: list[Answer] = [given for given in (answer(dice) for _ in range(500)) if given.keeps]
    for number, given in enumerate(kept):
        connection.begin(number, 5, REQUEST, done.append)
        feed(connection, transport, split(dice, given.raw))
        assert len(done) == number + 1
        assert (connection.position, connection.intended_ns) == (number, 5)
        assert (connection.status, connection.bytes_in) == (given.status, len(given.body))
    assert transport.written == REQUEST * len(kept)
