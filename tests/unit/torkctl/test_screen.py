"""Redrawing in place, as a terminal shows it."""

from __future__ import annotations

import os

import pytest

from torkctl.output.screen import Painter


def shown(text: str, height: int = 8) -> list[str]:
    """What a terminal has on it in the end, as far as it knows the few codes that are used."""
    lines = [""] * height
    row = column = 0
    while text:
        if text.startswith("\x1b["):
            end = next(index for index in range(2, len(text)) if text[index].isalpha())
            argument, code, text = text[2:end], text[end], text[end + 1 :]
            if code == "A":
                row -= int(argument)
            elif code == "H":
                row = column = 0
            elif code == "K":
                lines[row] = lines[row][:column]
            elif code == "J":
                lines[row:] = [lines[row][:column] if argument != "2" else "", *[""] * (height - row - 1)]
                lines = [""] * height if argument == "2" else lines
            continue
        letter, text = text[0], text[1:]
        if letter == "\n":
            row, column = row + 1, 0
        elif letter == "\r":
            column = 0
        else:
            lines[row] = lines[row][:column].ljust(column) + letter + lines[row][column + 1 :]
            column += 1
    return [line for line in lines if line]


def test_the_next_lines_take_the_place_of_the_ones_before(capsys: pytest.CaptureFixture[str]) -> None:
    painter = Painter()
    painter.draw(["head", "a longer line", "third"])
    painter.draw(["head 2", "short"])
    assert shown(capsys.readouterr().out) == ["head 2", "short"]


def test_a_terminal_of_another_size_is_drawn_anew(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    painter = Painter()
    painter.draw(["one", "two"])
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((40, 10)))
    painter.draw(["three"])
    assert shown(capsys.readouterr().out) == ["three"]
