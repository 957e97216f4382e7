"""What ``make bench`` makes of its measurements, and that the document has the same rows and targets."""

import json
import re
from itertools import count

import pytest

from benchmarks import __main__ as command
from benchmarks.figures import Aim, Figure, Row, chosen, in_turn, line, median_ratio, rows, summary, table
from benchmarks.rows import EXPERIMENTS, Experiment

AT_MOST = Aim("time against the floor", 1.1, "times")
AT_LEAST = Aim("times faster", 8, "times", at_least=True)
TOLD = Aim("for information", None, "calls")


@pytest.mark.parametrize(
    ("aim", "value", "falls_short"),
    [
        pytest.param(AT_MOST, 1.09, False, id="below"),
        pytest.param(AT_MOST, 1.1, False, id="just-reached"),
        pytest.param(AT_MOST, 1.11, True, id="above"),
        pytest.param(AT_LEAST, 17.0, False, id="more-than-enough"),
        pytest.param(AT_LEAST, 8, False, id="just-enough"),
        pytest.param(AT_LEAST, 7.9, True, id="too-few"),
        pytest.param(TOLD, 99.0, False, id="no-target"),
        pytest.param(AT_MOST, None, True, id="not-measured"),
        pytest.param(TOLD, None, True, id="no-target-not-measured"),
    ],
)
def test_the_verdict(aim, value, falls_short):
    assert Row("P1", aim, Figure(value)).falls_short is falls_short


def test_measurements_are_taken_in_turn():
    order = count()
    assert in_turn(3, lambda: next(order), lambda: next(order)) == [(0, 1), (2, 3), (4, 5)]


@pytest.mark.parametrize(
    ("pairs", "ratio"),
    [
        pytest.param([(3, 2)], 1.5, id="one"),
        pytest.param([(2, 2), (3, 2), (4, 2)], 1.5, id="odd"),
        pytest.param([(2, 2), (3, 2), (4, 2), (5, 2)], 1.75, id="even"),
        pytest.param([(2, 2), (200, 2), (2, 2)], 1, id="disturbed-once"),
        pytest.param([(1, 1), (20, 20), (3, 3)], 1, id="each-pair-slower-or-faster"),
    ],
)
def test_the_ratio_is_that_of_the_median_pair(pairs, ratio):
    assert median_ratio(pairs) == ratio


@pytest.mark.parametrize(
    ("names", "selection"),
    [
        pytest.param([], ["P1", "P2", "more"], id="all"),
        pytest.param(["P2"], ["P2"], id="one"),
        pytest.param(["more", "P1", "P1"], ["P1", "more"], id="each-once-in-order"),
    ],
)
def test_rows_are_chosen_by_name(names, selection):
    assert chosen(names, ["P1", "P2", "more"]) == selection


def test_an_unknown_row_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"^no row P3, p1: the rows are P1 P2$"):
        chosen(["P3", "P1", "p1"], ["P1", "P2"])


def test_an_experiment_that_fails_leaves_rows_that_say_why():
    def measure():
        yield Figure(1.0)
        raise RuntimeError("the scheduler\n ended")

    found = rows("P4", [AT_MOST, TOLD], measure)
    assert [row.figure for row in found] == [Figure(None, "the scheduler ended")] * 2
    assert summary(found) == "2 of 2 rows with a target fall short: P4"


def test_a_figure_that_is_missing_is_no_verdict():
    with pytest.raises(ValueError, match="shorter"):
        rows("P4", [AT_MOST, TOLD], lambda: [Figure(1.0)])


def test_the_summary_counts_what_falls_short():
    found = [Row("P1", AT_MOST, Figure(2.0)), Row("P2", AT_LEAST, Figure(9.0)), Row("P2", TOLD, Figure(1.0))]
    assert summary(found) == "1 of 2 rows with a target fall short: P1"
    assert summary(found[1:]) == "0 of 1 rows with a target fall short"


def test_a_line_has_the_verdict_and_the_target():
    assert re.search(r"^P1 +SHORT time .* 2 times +<= 1.1 +why$", line(Row("P1", AT_MOST, Figure(2.0, "why"))))
    assert re.search(r"^P2 +ok .* 9 times +>= 8", line(Row("P2", AT_LEAST, Figure(9.0))))


@pytest.fixture
def bench(monkeypatch):
    """Return a function that runs the command with arguments, on two experiments of which one may fall short."""

    def run(value, *arguments):
        fakes = {
            "P1": Experiment("one", (AT_MOST,), lambda lab: iter([Figure(value)])),
            "P2": Experiment("two", (AT_LEAST,), lambda lab: iter([Figure(9.0)])),
        }
        monkeypatch.setattr(command, "EXPERIMENTS", fakes)
        monkeypatch.setattr(command, "use_home", lambda folder: None)
        monkeypatch.setattr(command, "curves", lambda lab: {})
        monkeypatch.setattr(command, "write", lambda found, drawn: print("written", len(found)))
        monkeypatch.setattr("sys.argv", ["benchmarks", *arguments])
        return command.main()

    return run


def test_a_row_that_falls_short_is_the_exit_code(bench, capsys):
    assert bench(2.0, "P1") == 1
    assert capsys.readouterr().out.endswith("1 of 1 rows with a target fall short: P1\n")
    assert bench(1.0, "P1", "P2") == 0
    assert capsys.readouterr().out.endswith("0 of 2 rows with a target fall short\n")


def test_only_a_whole_run_writes(bench, capsys):
    bench(1.0, "P1", "P2")
    assert "written" not in capsys.readouterr().out
    bench(1.0)
    assert "written 2" in capsys.readouterr().out


def test_what_is_measured_now_is_told_first(bench, capsys):
    bench(1.0, "P2")
    assert re.match(r"\[ +0\.\d s\] P2: two\nP2 +ok ", capsys.readouterr().out)


def test_an_unknown_row_ends_the_command_before_it_begins(bench, capsys):
    with pytest.raises(SystemExit) as exit:
        bench(1.0, "P99")
    assert exit.value.code == 2
    assert capsys.readouterr().err.endswith("error: no row P99: the rows are P1 P2\n")


def results():
    return [Row.of(plain) for plain in json.loads((command.FOLDER / "results.json").read_text())["rows"]]


def test_the_results_are_those_of_the_rows_and_targets():
    declared = [(name, aim) for name, experiment in EXPERIMENTS.items() for aim in experiment.aims]
    assert [(row.name, row.aim) for row in results()] == declared


def test_the_document_has_the_table_of_the_results():
    assert [found.group() for found in command.TABLE.finditer(command.DOCUMENT.read_text())] == [table(results())]


def test_a_row_keeps_what_it_is_as_json():
    row = Row("P2", AT_LEAST, Figure(9.0, "why"))
    assert Row.of(json.loads(json.dumps(row.plain()))) == row
