import socket
from dataclasses import astuple

import pytest

from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.ports import ADDRESS, Ports


def test_the_ports_people_know() -> None:
    """Without a base, everything is where the documentation says it is."""
    assert astuple(Ports()) == (8080, 8081, 8082, 8083, 8084, 8085, 9092, 8025, 1025, 12111)


def test_a_base_moves_them_all() -> None:
    """Two installations on one machine need two bases ten apart."""
    assert astuple(Ports.from_base(20000)) == tuple(range(20000, 20010))


def test_free_ports_are_ten_different_ones() -> None:
    """Ports that the system gives out are held together until all are chosen."""
    assert len(set(astuple(Ports.free()))) == 10


def test_free_ports_are_different_however_many() -> None:
    """One after another the system would give out some of them twice; and what is spoken for is left out."""
    found = Ports.free_ones(300)
    assert len(set(found)) == 300
    assert not set(found) & set(Ports.free_ones(300, but_for=found))


def test_a_taken_port_is_named() -> None:
    """The line says which port, of which part, and what to do (G14); a part that is not started may be taken."""
    ports = Ports.free()
    with socket.create_server((ADDRESS, ports.worker)):
        ports.refuse_taken(("gateway", "sandbox"))
        with pytest.raises(CommandFailed) as caught:
            ports.refuse_taken(("gateway", "worker"))
    assert str(caught.value) == (
        f"port {ports.worker} (worker) is in use: stop what listens there, or move all ports with --port-base"
    )
    ports.refuse_taken(("worker",))
