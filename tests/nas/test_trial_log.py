"""The log of a search: whole lines stay, a line that was cut is dropped, damage is named."""

import dataclasses

import pytest

from tfseg.errors import InputError
from tfseg.nas.trial_log import FILE_NAME, Trial, TrialLog

FIRST = Trial(1, 0.123456789012345678, 3, "finished", 1234, 31.5, 0.1, "3 4 5 5 1")
SECOND = Trial(2, 0.0, 1, "failed", 99, 2.0, None, "2 2 0 0 0")


@pytest.fixture
def log(tmp_path):
    log = TrialLog(tmp_path / "ppo")
    for trial in (FIRST, SECOND):
        log.append(trial)
    return log


def test_lines_are_read_as_they_were_written(log):
    assert TrialLog(log.path.parent).trials == [FIRST, SECOND]
    assert FIRST.cell.tokens == (3, 4, 5, 5, 1)
    assert log.path.read_text().splitlines()[0].startswith("number,reward,epoch,outcome,num_parameters,seconds")


def test_a_folder_without_a_log_has_no_trials(tmp_path):
    assert TrialLog(tmp_path / "nothing").trials == []


@pytest.mark.parametrize("num_bytes", [1, 10, 30])
def test_a_line_that_a_kill_cut_short_is_dropped_and_written_again(log, num_bytes):
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:-num_bytes])
    again = TrialLog(log.path.parent)
    assert again.trials == [FIRST]
    again.append(SECOND)
    assert log.path.read_bytes() == whole


def test_a_header_that_a_kill_cut_short_is_written_again(log):
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:7])
    again = TrialLog(log.path.parent)
    for trial in (FIRST, SECOND):
        again.append(trial)
    assert log.path.read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward": 1.5}, "line 3, reward is 1.5; it must be at most 1"),
        ({"number": 3}, "line 3, number is 3; 2 comes next"),
        ({"genotype": "9 9 9 9 9"}, "line 3 has no genotype"),
        ({"epoch": "x"}, "line 3, epoch is 'x', not a number"),
    ],
)
def test_damage_is_one_line(tmp_path, change, message):
    log = TrialLog(tmp_path)
    log.append(FIRST)
    log.append(dataclasses.replace(SECOND, **change))
    with pytest.raises(InputError, match=f"{FILE_NAME}: damaged .{message}"):
        TrialLog(tmp_path)


def test_another_table_is_refused(tmp_path):
    (tmp_path / FILE_NAME).write_text("step,loss\n1,2\n")
    with pytest.raises(InputError, match="line 1 names other columns than number, reward"):
        TrialLog(tmp_path)
