"""Ports of services: chosen once, and when taken, by whom."""

from __future__ import annotations

import os
import socket

import pytest

from pulumi_mlserve.clients.processes.ports import listen_anywhere, listen_at, port_holder, port_of, port_problem
from pulumi_mlserve.core.problems import OperationError


def test_free_port_listens_at_once():
    """A chosen port accepts connections before anybody serves them, on the loopback address alone."""
    with listen_anywhere() as listener, socket.create_connection(("127.0.0.1", port_of(listener)), timeout=5):
        assert "127.0.0.1" == listener.getsockname()[0]
        assert not listener.get_inheritable()


def test_chosen_port_is_none_to_avoid(monkeypatch):
    """Ports of other services are not chosen, even while those do not run."""
    choices = range(20_000, 20_050)
    monkeypatch.setattr("pulumi_mlserve.clients.processes.ports._CHOICES", choices)
    with listen_anywhere(avoid=frozenset(choices)) as listener:
        assert port_of(listener) not in choices


def test_taken_port_names_who_has_it():
    """A port that somebody listens at is refused, with the number and name of the process."""
    with listen_anywhere() as listener:
        port = port_of(listener)
        with pytest.raises(OperationError) as caught:
            listen_at(port)

        assert f"port: {port} is taken by process {os.getpid()} (" in str(caught.value)
        assert str(caught.value) == port_problem(port)


def test_port_taken_on_all_addresses_is_taken():
    """A listener on every address, of the newer protocol too, has the port."""
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        problem = port_problem(listener.getsockname()[1])

    assert problem is not None
    assert f"process {os.getpid()}" in problem


def test_port_is_free_right_after_its_connections():
    """Connections that still time out do not keep the next process from the port."""
    with listen_anywhere() as listener:
        port = port_of(listener)
        with socket.create_connection(("127.0.0.1", port)):
            listener.settimeout(60)  # it does not block, and the kernel may be behind
            listener.accept()[0].close()  # the side that closes first keeps the connection in TIME_WAIT

    assert port_problem(port) is None
    listen_at(port).close()


def test_free_port_has_no_holder():
    """Nobody is named for a port that nobody has."""
    with listen_anywhere() as listener:
        port = port_of(listener)

    assert port_holder(port) is None
