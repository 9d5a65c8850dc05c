"""What a person sees while a run works, on a terminal and off it."""

import io
import sys
import time

import pytest

from evalharness.cli.console import ConsoleProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def progress(request):
    made = ConsoleProgress("model", seconds=0.05)
    yield made
    made.close()


def lines_until(capsys, wanted):
    """Wait for a line that holds `wanted`, at most 5 s, and return all that was said."""
    said = ""
    for _ in range(500):
        said += capsys.readouterr().err
        if wanted in said:
            break
        time.sleep(0.01)
    return said


def test_off_a_terminal_a_slow_part_is_named_with_what_is_done_and_the_time_left(progress, capsys):
    progress.part("gsm8k: ter", 100)
    progress.advance(n_items=25)
    assert "model: gsm8k: ter: 25/100, about 0:00:0" in lines_until(capsys, "left")


def test_off_a_terminal_a_quick_part_is_not_worth_a_line(capsys):
    progress = ConsoleProgress(seconds=60)
    progress.part("gsm8k: ter", 2)
    progress.advance(n_items=2)
    progress.close()
    assert capsys.readouterr().err == ""


def test_off_a_terminal_even_one_long_item_is_not_waited_for_in_silence(progress, capsys):
    progress.part("gsm8k: bertscore, its interval")
    assert "model: gsm8k: bertscore, its interval: 0:00:00 so far" in lines_until(capsys, "so far")


def test_off_a_terminal_a_stage_says_its_beginning_and_its_end(progress, capsys):
    progress.stage("asking the model", 2)
    progress.advance(7)
    progress.advance(7)
    said = lines_until(capsys, "done")
    assert "model: asking the model (2 requests)" in said
    assert "2/2, " in said
    assert "tokens/s, done" in said


def test_nothing_is_said_after_the_end(capsys):
    progress = ConsoleProgress(seconds=0.01)
    progress.part("gsm8k: ter", 10)
    progress.close()
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_a_part_is_a_bar_with_its_count(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    progress = ConsoleProgress("model")
    progress.part("gsm8k: ter", 4)
    progress.advance()
    progress.part("gsm8k: meteor", 8)
    progress.advance(n_items=8)
    progress.close()
    assert "gsm8k: meteor" in terminal.getvalue()
    assert "8/8" in terminal.getvalue()
