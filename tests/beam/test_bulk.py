"""A bulk job whose workers are killed, and then the command itself: nothing is lost, nothing is there twice."""

import importlib.util

import pytest

from tfseg.benchmarks import bulk

NUM_PHOTOS, WORKERS = 400, 2


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None, reason="Apache Beam is not installed here; make test-beam has it"
)
def test_a_job_that_was_killed_twice_ends_as_one_that_was_not(tmp_path):
    counts = bulk.measure(tmp_path, NUM_PHOTOS, "zoo:camvid_rnn_mobilenet_v2", WORKERS, num_compared=30)
    assert (counts.num_lost, counts.num_other, counts.num_different, counts.num_orphans) == (0, 0, 0, 0)
    # The photos of the task that each of the workers had in hand, with two files each.
    assert counts.num_written_again <= 2 * WORKERS * (NUM_PHOTOS // 64)
    assert "failed 0" in counts.summary


def test_pictures_are_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        bulk.write_photos(tmp_path / name, 3)
    one, two = ([path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("one", "two"))
    assert one == two and len(set(one)) == 3
