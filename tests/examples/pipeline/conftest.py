from tests.acceptance.conftest import environment, port_base

__all__ = ["environment", "port_base"]
