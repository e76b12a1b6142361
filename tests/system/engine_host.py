"""The host of an engine, with the agent as a program of its own, and the wire to the service."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import psutil

from tests.paths import ROOT
from tests.waiting import wait_for

ENGINE = """
import json, os, pathlib, signal, sys
target = pathlib.Path(sys.argv[1])
keys = {name: text for name, text in os.environ.items() if name.startswith("OKX_")}
part = target.with_suffix(".part")
part.write_text(json.dumps(keys | {"pid": os.getpid()}))
part.rename(target)
signal.pause()
"""
"""An engine that says which keys it has, and trades until it is ended."""


class Host:
    """The host of an engine: a folder with the agent, its identity and what its engine says."""

    def __init__(self, folder, port):
        folder.mkdir()
        (folder / "pipelabs_agent").symlink_to(ROOT / "pipelabs/agent")
        self.url, self.keys = f"http://127.0.0.1:{port}", folder / "keys.json"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(folder),
            "PIPELABS_AGENT_IDENTITY": str(folder / "identity.json"),
        }

    def agent(self, *words):
        """Run a command and return what it prints."""
        process = self._start(*words, stdout=subprocess.PIPE)
        output, _ = process.communicate()
        assert process.returncode == 0, output
        return output

    def enrol(self, code):
        """Enrol the host and return what is printed."""
        return self.agent("enroll", self.url, code)

    def start_engine(self, **options):
        """Start an engine with all keys that are granted, under its agent."""
        self.keys.unlink(missing_ok=True)
        engine = [sys.executable, "-c", ENGINE, str(self.keys)]
        return self._start("exec", "--map", "ccxt", "--", *engine, **options)

    def engine_keys(self):
        """Return what the engine has said, once it has."""
        wait_for(self.keys.exists)
        return json.loads(self.keys.read_text())

    def has_engine(self):
        """Return whether an engine runs, or is about to."""
        file = str(self.keys)
        return any(
            file in (each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])
        )

    def _start(self, *words, **options):
        command = [sys.executable, "-m", "pipelabs_agent", *words]
        return subprocess.Popen(command, env=self.environment, text=True, **options)


class Wire:
    """A proxy on the way from agents to an instance, which keeps all that passes."""

    def __init__(self, port, watch=None):
        """Call `watch` with the data of each direction before they go on, if it is given."""
        self.passed, self._target, self._watch = [], port, watch
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source, sink):
        with suppress(OSError), source, sink:
            while data := source.recv(65536):
                self.passed.append(data)
                if self._watch:
                    self._watch(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
