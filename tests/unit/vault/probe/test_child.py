import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipelabs.core.errors import Unavailable
from pipelabs.vault.probe import child
from tests.waiting import PATIENCE_S, wait_for


@pytest.fixture
def script(tmp_path):
    """Return a maker of scripts to run instead of `ask.py`."""

    def write(text):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.py"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        "print('nonsense')",
        "print('[1]')",
        "print('{\"raw\": ')",
        "raise SystemExit(3)",
        "import os; os.kill(os.getpid(), 9)",
        "print('\\xff')",
        "",
    ],
)
def test_run_returns_nothing_if_the_child_dies_or_prints_nonsense(script, text):
    assert child.run({}, PATIENCE_S, script(text)) == {}


def test_run_gives_the_child_only_the_question(script):
    text = "import os, sys, json; q = json.load(sys.stdin)"
    text += "; print(json.dumps(q | {'cwd': os.getcwd(), 'names': sorted(os.environ)}))"

    answer = dict(child.run({"one": 1}, PATIENCE_S, script(text)))

    names = answer.pop("names")
    assert answer == {"one": 1, "cwd": "/"}
    assert isinstance(names, list)
    assert set(names) <= {"PATH", "LC_CTYPE", "__CF_USER_TEXT_ENCODING"}


def test_run_kills_the_child_at_the_deadline(script, tmp_path):
    note = tmp_path / "pid"
    text = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"

    # It has to start before its deadline, which takes longer on a slow machine.
    for deadline_s in (1, 4, 16, 64):
        if not note.exists():
            with pytest.raises(TimeoutError):
                child.run({}, deadline_s, script(text))

    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_run_allows_four_children_and_rejects_a_fifth_soon(script, tmp_path):
    notes = tmp_path / "running"
    notes.mkdir()
    over = tmp_path / "over"
    text = f"""
import os, time
open(f'{notes}/{{os.getpid()}}', 'w')
while not os.path.exists({str(over)!r}): time.sleep(0.02)
"""
    path = script(text)

    with ThreadPoolExecutor(child.MAX_CHILDREN) as pool:
        for _ in range(child.MAX_CHILDREN):
            pool.submit(child.run, {}, PATIENCE_S, path)
        wait_for(lambda: len(list(notes.iterdir())) == child.MAX_CHILDREN)
        with pytest.raises(Unavailable, match="Try again"):
            child.run({}, 0.1, script("print('{}')"))
        over.touch()


def test_run_returns_nothing_if_the_process_can_not_start(script, monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")

    assert child.run({}, PATIENCE_S, script("")) == {}
