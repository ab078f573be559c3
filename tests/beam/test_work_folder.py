"""Tasks and results on disk."""

import pytest

from tests.beam.jobs import Squares
from tfseg.beam.work_folder import WorkFolder
from tfseg.errors import RunError


@pytest.fixture
def create(tmp_path):
    """create(**fields of Squares) -> WorkFolder with the tasks [0, 1], [2, 3], [4]."""
    for name in ("notes", "work"):
        (tmp_path / name).mkdir()

    def create_work(**fields):
        return WorkFolder.create(tmp_path / "work", Squares(tmp_path / "notes", **fields), [[0, 1], [2, 3], [4]])

    return create_work


def test_results_come_in_the_order_of_the_tasks_whoever_was_first(create):
    work = create()
    for number in (2, 0, 1):
        work.complete(number, work.job())
    assert list(work.results()) == [[0, 1], [4, 9], [16]]
    assert work.missing() == []


def test_what_is_missing_can_be_seen_after_a_kill(create):
    work = create()
    work.complete(1, work.job())
    (work.path / "results" / ".0000002.pickle.1-00000000.part").write_bytes(b"half of a result")
    assert work.missing() == [0, 2] and work.done() == {1}


def test_a_task_that_fails_has_no_result(create):
    work = create(broken=3)
    with pytest.raises(RunError, match="3: the disk is full"):
        work.complete(1, work.job())
    assert work.missing() == [0, 1, 2]


def test_nobody_else_can_put_in_what_workers_unpickle(create):
    assert create().path.stat().st_mode & 0o077 == 0
