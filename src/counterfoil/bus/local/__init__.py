"""A real Kafka on this machine, for trying things out and for tests: its published jars, the system's Java, no Docker.

One node that is broker and controller at once (KRaft), on loopback. What was published stays in its home.
"""

from counterfoil.bus.local.broker import Broker as Broker
from counterfoil.bus.local.broker import BrokerFailed as BrokerFailed
from counterfoil.bus.local.broker import Program as Program
from counterfoil.bus.local.broker import are_fetched as are_fetched
from counterfoil.bus.local.broker import fetched as fetched
from counterfoil.bus.local.broker import missing_tools as missing_tools
from counterfoil.bus.local.broker import prepared as prepared
from counterfoil.bus.local.broker import start as start
