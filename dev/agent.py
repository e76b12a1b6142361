"""`python -m dev.agent`: this checkout's pipelabs-agent, with its identity in `.local`."""

import os
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from types import ModuleType

from dev.places import ROOT, local_folder

NAME = "pipelabs_agent"
FOLDER = ROOT / "pipelabs" / "agent"
IDENTITY = "PIPELABS_AGENT_IDENTITY"


def load() -> ModuleType:
    """Return the agent, imported as on an engine's host: without the rest of the service."""
    os.environ.setdefault(IDENTITY, str(local_folder() / "agent" / "identity.json"))
    loader = SourceFileLoader(NAME, str(FOLDER / "__init__.py"))
    spec = ModuleSpec(NAME, loader, is_package=True)
    spec.submodule_search_locations = [str(FOLDER)]
    module = sys.modules[NAME] = module_from_spec(spec)
    loader.exec_module(module)
    return module


def main() -> int:
    """Run its command line and return the exit status."""
    load()
    return int(import_module(f"{NAME}.commands").main())


if __name__ == "__main__":
    sys.exit(main())
