"""Signals end a run where nothing is lost."""

import os
import signal
import subprocess
import sys

import pytest

from rllib_configs.cli import main
from rllib_configs.run.interruption import SIGNALS, Interruption, Stopped


@pytest.fixture(autouse=True)
def _heeded():
    """Signals of a process that was started by `nohup` or in the background are ignored, and stay so."""
    before = {each: signal.signal(each, signal.SIG_DFL) for each in SIGNALS}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_raised_at_once(number):
    """With the exit code that a shell gives a program that the signal has ended."""
    with pytest.raises(Stopped, match=f"^stopped by {number.name}") as stopped, Interruption().listening():
        os.kill(os.getpid(), number)
    assert stopped.value.exit_code == 128 + number


def test_what_must_not_be_cut_is_finished_first():
    done, interruption = [], Interruption()

    def work():
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("whole")

    with pytest.raises(Stopped), interruption.listening(), interruption.postponed():
        work()
    assert done == ["whole"]


def test_an_error_in_it_is_not_hidden():
    interruption = Interruption()

    def fail():
        os.kill(os.getpid(), signal.SIGTERM)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), interruption.listening(), interruption.postponed():
        fail()


def test_signals_are_handled_as_before_in_the_end():
    before = [signal.getsignal(each) for each in SIGNALS]
    with Interruption().listening():
        assert [signal.getsignal(each) for each in SIGNALS] != before
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_a_signal_that_is_ignored_stays_so():
    """As nohup has it with the terminal's."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption().listening():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_ends_the_process_at_once():
    """Also where the first one waits for what may never end."""
    script = (
        "import os, signal, time\n"
        "from rllib_configs.run.interruption import Interruption\n"
        "interruption = Interruption()\n"
        "with interruption.listening(), interruption.postponed():\n"
        "    for each in range(2): os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(600)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", SIGNALS)
def test_every_command_listens(capsys, monkeypatch, number):
    """Also one that has nothing to keep, and while it still loads libraries."""
    monkeypatch.setattr("rllib_configs.cli.doctor.main", lambda arguments: os.kill(os.getpid(), number))
    assert main(["doctor"]) == 128 + number
    assert capsys.readouterr().err == f"vla doctor: stopped by {number.name}.\n"


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (Stopped(15, "Go on."), 143)])
def test_a_command_that_is_stopped_says_one_line(capsys, monkeypatch, error, code):
    """And no traceback, whatever the command."""

    def stopped(arguments):
        raise error

    monkeypatch.setattr("rllib_configs.cli.doctor.main", stopped)
    assert main(["doctor"]) == code
    assert capsys.readouterr().err.startswith("vla doctor: stopped by SIG")
