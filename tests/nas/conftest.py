"""Toy videos, and a tiny arch2 that was trained on their frames."""

import pytest

from tests.nas import toy_videos
from tfseg.runs.run_directory import load_run


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """Folder of records: 20 videos of 4 frames, of which every second one is numbered."""
    return toy_videos.write_videos(tmp_path_factory.mktemp("videos"), 20, 4, gap=2)


@pytest.fixture(scope="session")
def run(tmp_path_factory, videos):
    """The run directory of the tiny arch2."""
    return toy_videos.write_run(tmp_path_factory.mktemp("run"), videos, toy_videos.trained_network())


@pytest.fixture(scope="session")
def network(run):
    """The tiny arch2."""
    return load_run(run)[2]
