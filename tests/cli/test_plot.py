"""The plot in plain characters, whose pictures are known in advance."""

from tapeout.cli.plot import plot

FALLING = """
  4 |*
    |     *
    |          *
  1 |               *
    +--------------------
     1                  4
"""


def test_a_falling_line() -> None:
    lines = plot({"*": {1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}}, last=4, width=23, height=4)
    expected = FALLING.strip("\n").splitlines()
    assert [f"  {line}" for line in lines] == expected
    assert max(map(len, lines)) == 23


def test_a_column_shows_the_mean_of_its_steps_and_a_later_series_covers_an_earlier_one() -> None:
    losses = {step: 10.0 if step % 2 else 0.0 for step in range(1, 101)}  # the mean of each pair is 5
    top, middle, bottom, *_ = plot({"*": losses, "o": {100: 5.0, 1: 10.0}}, last=100, width=54, height=3)
    assert top == "10 |o" and bottom == " 0 |"
    assert middle == "   |" + "*" * 49 + "o"


def test_the_part_to_come_is_empty_and_one_value_is_a_line() -> None:
    lines = plot({"*": {1: 2.5, 2: 2.5}}, last=20, width=25, height=3)
    assert lines == ["    |", "    |", "2.5 |**", "    +--------------------", "     1                 20"]


def test_without_values_there_is_no_plot() -> None:
    assert plot({"*": {}}, last=10, width=80, height=5) == []
