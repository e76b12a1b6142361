"""How a process becomes an engine that ends with its agent."""

import ctypes
import os
import signal
import subprocess
import sys

import pytest

from pipelabs.agent.engine import IS_LINUX, tie_to_agent
from pipelabs.agent.launcher import IGNORED, PR_SET_PDEATHSIG, main
from tests.paths import ROOT

pytestmark = pytest.mark.skipif(not IS_LINUX, reason="only Linux can end a child with its parent")
AGENT = """
import signal, subprocess, sys
from pipelabs.agent.engine import tie_to_agent
subprocess.Popen(tie_to_agent([sys.executable, "-c", sys.argv[1]]), start_new_session=True)
signal.pause()
"""
ENGINE = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
SHOW_IGNORED = ["grep", "SigIgn", "/proc/self/status"]


@pytest.fixture
def _undo():
    """Undo what the launcher asks of this process."""
    handlers = {number: signal.getsignal(number) for number in IGNORED}
    yield
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_engine_is_killed_when_its_agent_is_killed():
    command = [sys.executable, "-c", AGENT, ENGINE]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout
        engine = int(agent.stdout.readline())
        os.kill(engine, 0)

        agent.kill()

        # The end of the pipe, which the engine has too.
        assert agent.stdout.read() == ""


@pytest.mark.usefixtures("_undo")
def test_engine_does_not_start_after_its_agent_has_ended(capfd):
    assert main([str(os.getpid()), sys.executable, "-c", "print('started')"]) == 78
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("_undo")
def test_launcher_reports_a_command_that_cannot_be_started(capfd):
    assert main([str(os.getppid()), "/no/such"]) == 78
    assert capfd.readouterr().err == (
        "pipelabs-agent: /no/such can't be started: No such file or directory.\n"
    )


def test_engine_ignores_the_same_signals_as_without_the_launcher():
    tied, direct = (
        subprocess.run(command, check=True, capture_output=True).stdout
        for command in (tie_to_agent(SHOW_IGNORED), SHOW_IGNORED)
    )

    assert tied == direct
