"""Processes that load before it is known where they run: what they say, what they are told, and that none is left."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from proxy.processes.early import Early

SAYS = """
import json, os, sys
sys.path.insert(0, {root!r})
from proxy.processes.early import Wait
wait = Wait(int(sys.argv[-1]))
wait.tell({{"pid": os.getpid()}})
order = wait.ordered()
if order is None:
    sys.exit(0)
given, (out, *_) = order
os.write(out, json.dumps([given, os.get_inheritable(out)]).encode())
"""
PROGRAM = (sys.executable, "-c", SAYS.format(root=str(Path(__file__).parents[3])))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_it_says_what_it_found_and_runs_with_the_arguments_and_descriptors_it_is_given() -> None:
    early = Early("control", PROGRAM, ("--config", "weir.yaml"))
    said = early.hear()
    assert isinstance(said, dict)
    ours, theirs = os.pipe()
    assert early.order((*PROGRAM, "--run", "here"), (theirs,)) == said["pid"]
    early.dismiss()  # it is ordered to run, so nothing happens to it
    os.close(theirs)
    with open(ours) as told:
        assert told.read() == '[["--run", "here"], false]'
    assert os.waitpid(said["pid"], 0)[1] == 0


def test_one_that_is_not_wanted_leaves_nothing() -> None:
    early = Early("worker", PROGRAM)
    said = early.hear()
    assert isinstance(said, dict)
    early.dismiss()
    assert gone(said["pid"])
    early.dismiss()


@pytest.mark.parametrize(("ending", "code"), [("sys.exit(2)", 2), ("sys.exit(0)", 1), ("os.kill(os.getpid(), 9)", 9)])
def test_one_that_ends_instead_gives_its_exit_code(ending: str, code: int) -> None:
    early = Early("control", (sys.executable, "-c", f"import os, sys; {ending}"))
    assert early.hear() == code
    early.dismiss()


def test_one_that_died_before_its_orders_is_left_to_whoever_waits_for_it() -> None:
    early = Early("worker", (sys.executable, "-c", "import sys; sys.exit(3)"))
    ready, far = os.pipe()
    pid = early.order((sys.executable, "-c", "", "--run", "here"), (far,))
    os.close(far)
    assert os.read(ready, 1) == b"", "its end of the pipe is nobody's: the death is seen"
    os.close(ready)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_it_ends_by_itself_where_whoever_started_it_is_gone() -> None:
    early = Early("control", PROGRAM)
    said = early.hear()
    assert isinstance(said, dict)
    early._talk.close()
    assert os.waitpid(said["pid"], 0)[1] == 0
