"""Ports that are chosen for the two programs."""

from __future__ import annotations

import socket

import pytest

from workbench.errors import TargetError
from workbench.network.ports import choose_ports
from workbench.ports import outgoing_ports

WANTED = [("service-port", "127.0.0.1", 0), ("agent-metrics-port", "0.0.0.0", 0)] * 20


def test_free_ones_are_all_different_and_none_that_a_client_gets() -> None:
    ports = choose_ports(WANTED)
    assert len(set(ports)) == len(ports)
    assert not set(ports) & set(outgoing_ports())
    for (_, host, _), port in zip(WANTED, ports, strict=True):
        with socket.socket() as listener:
            listener.bind((host, port))


def test_given_ones_are_kept_and_a_taken_one_is_named() -> None:
    (port,) = choose_ports([("service-port", "127.0.0.1", 0)])
    assert choose_ports([("service-port", "127.0.0.1", port)]) == [port]
    with pytest.raises(TargetError) as caught:
        choose_ports([("service-port", "127.0.0.1", port), ("agent-metrics-port", "0.0.0.0", port)])
    assert str(caught.value) == (
        f"0.0.0.0:{port}: cannot listen: address already in use. "
        "Give another port with --agent-metrics-port (0 takes a free one)"
    )


def test_a_host_that_is_not_this_machines() -> None:
    with pytest.raises(TargetError, match=r"192\.0\.2\.1:0: cannot listen: cannot assign requested address"):
        choose_ports([("service-port", "192.0.2.1", 0)])
