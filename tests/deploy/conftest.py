"""The fixtures of the wire tests (stand-in provider, real server), for the files an operator uses."""

import importlib.util
import pathlib
import sys

WIRE = pathlib.Path(__file__).resolve().parent.parent / "wire"
sys.path.insert(0, str(WIRE))
# By path: this file has the same name as the one it takes its fixtures from.
_spec = importlib.util.spec_from_file_location("wire_conftest", WIRE / "conftest.py")
_wire = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_wire)

pytest_configure = _wire.pytest_configure
pytest_collection_modifyitems = _wire.pytest_collection_modifyitems
standin_process = _wire.standin_process
standin = _wire.standin
shared_server = _wire.shared_server
server = _wire.server
start_server = _wire.start_server
key = _wire.key
