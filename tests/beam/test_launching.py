"""Pipelines that end, fail, or whose workers die; and what is said of a runner that cannot be used."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.beam.jobs import Squares
from tests.hanging import finish, wait_for
from tfseg.beam import launching
from tfseg.beam.launching import BeamRunner
from tfseg.beam.work_folder import WorkFolder
from tfseg.errors import InputError, RunError
from tfseg.system import child_process

HAS_BEAM = importlib.util.find_spec("apache_beam") is not None
needs_beam = pytest.mark.skipif(not HAS_BEAM, reason="Apache Beam is not installed here; make test-beam has it")
pytestmark = pytest.mark.filterwarnings("ignore:Please install grpcio-status:ImportWarning")  # while Beam is imported
TASKS = [[0, 1], [2, 3], [4], [5]]
SQUARES = [[0, 1], [4, 9], [16], [25]]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path):
    """run(options of Beam, **fields of Squares) -> the results of TASKS; how often each was done is in `run.times`."""
    (tmp_path / "notes").mkdir()

    def run_squares(options=(), **fields):
        runner = BeamRunner("DirectRunner", tuple(options), str(tmp_path / "beam.log"))
        return launching.run(Squares(tmp_path / "notes", **fields), TASKS, tmp_path / "place", runner, "squaring")

    run_squares.times = lambda: {
        int(path.name): len(path.read_text().splitlines()) for path in (tmp_path / "notes").iterdir()
    }
    return run_squares


@pytest.fixture
def processes(monkeypatch):
    """processes(*plans) replaces pipelines: each does its plan's number of tasks, then gives its answer or error."""

    def replace(*plans):
        plans = iter(plans)

        def run_child(module, job, timeout):
            num_tasks, answer = next(plans)
            work = WorkFolder(Path(job["work"]))
            for number in job["numbers"][:num_tasks]:
                work.complete(number, work.job())
            if isinstance(answer, Exception):
                raise answer
            return {"failure": None, "death": None} | answer

        monkeypatch.setattr(child_process, "run", run_child)

    return replace


def test_a_pipeline_whose_worker_died_is_started_again_for_what_is_left(run, processes, capsys):
    processes((1, {"death": "a worker process died"}), (3, {}))
    assert run() == SQUARES
    assert run.times() == {0: 1, 2: 1, 4: 1, 5: 1}
    assert (
        "DirectRunner: a worker process died; started again for what is left, 3 of 4 tasks\n" in capsys.readouterr().err
    )


def test_so_is_one_whose_own_process_died(run, processes):
    processes((2, child_process.ChildError("it ended by SIGKILL")), (2, {}))
    assert run() == SQUARES


def test_workers_that_die_without_doing_anything_end_the_job(run, processes, tmp_path):
    died = {"death": "a worker process died"}
    processes((0, died), (1, died), (0, died), (0, died), (0, died))
    with pytest.raises(RunError, match=r"DirectRunner: a worker process died, 3 times; see .*beam\.log"):
        run()
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_failure_is_not_tried_again(run, processes):
    processes((1, {"failure": "4: the disk is full"}))
    with pytest.raises(RunError, match=r"DirectRunner: 4: the disk is full; see .*beam\.log"):
        run()


def test_a_task_without_a_result_is_never_passed_over(run, processes):
    processes((3, {}))
    with pytest.raises(RunError, match="DirectRunner: 1 of 4 tasks have no result"):
        run()


def test_no_tasks_need_no_pipeline(processes, tmp_path):
    processes()
    assert launching.run(Squares(tmp_path), [], tmp_path / "place", BeamRunner("DirectRunner"), "squaring") == []


def test_processes_are_for_direct_runner_and_give_way_to_options():
    assert BeamRunner("DirectRunner").with_workers(3).words == ["--direct_num_workers=3"]
    chosen = BeamRunner("DirectRunner", ("--direct_num_workers=2",))
    assert chosen.with_workers(3).words == ["--direct_num_workers=2"]
    assert BeamRunner("FlinkRunner", ("flink_master=host:8081",)).with_workers(3).words == ["--flink_master=host:8081"]


def test_without_beam_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--runner=DirectRunner needs Apache Beam: .*requirements-beam\.txt"):
        BeamRunner("DirectRunner").check()


@needs_beam
@pytest.mark.parametrize(
    "runner, message",
    [
        (BeamRunner("FlinckRunner"), "--runner=FlinckRunner: none of Beam's runners, .*; did you mean FlinkRunner?"),
        (BeamRunner("DirectRunner", ("num_wokers=2",)), "--beam_option=num_wokers=2: Beam has no such option"),
        (BeamRunner("DirectRunner", ("direct_num_workers=two",)), "--beam_option: .*invalid int value: 'two'"),
    ],
    ids=["runner", "option", "value"],
)
def test_a_runner_or_an_option_that_does_not_exist_is_named(runner, message):
    with pytest.raises(InputError, match=message):
        runner.check()


@needs_beam
def test_options_of_servers_are_left_to_them():
    BeamRunner("FlinkRunner", ("flink_master=host:8081", "parallelism=4")).check()
    BeamRunner("DirectRunner", ("direct_num_workers=1", "direct_running_mode=in_memory")).check()


@needs_beam
def test_beam_does_every_task_once(run, tmp_path):
    assert run(["direct_num_workers=2"]) == SQUARES
    assert run.times() == {0: 1, 2: 1, 4: 1, 5: 1}
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


@needs_beam
def test_a_killed_worker_costs_only_its_task(run, capsys):
    assert run(["direct_num_workers=2"], deadly=4) == SQUARES
    assert run.times()[4] == 2 and max(run.times().values()) == 2
    assert "a worker process died, most likely for lack of memory; started again" in capsys.readouterr().err


@needs_beam
def test_an_error_in_a_worker_is_one_line_and_a_log(run, tmp_path):
    with pytest.raises(RunError, match=r"^DirectRunner: 4: the disk is full; see .*beam\.log$"):
        run(["direct_num_workers=2"], broken=4)
    assert "Traceback" in (tmp_path / "beam.log").read_text()


@needs_beam
def test_workers_end_with_a_command_that_is_killed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.beam.jobs import Squares\n"
        "from tfseg.beam import launching\n"
        "runner = launching.BeamRunner('DirectRunner', ('direct_num_workers=2',), sys.argv[1] + '/beam.log')\n"
        "launching.run(Squares(Path(sys.argv[1])), [[n] for n in range(100000)], sys.argv[1] + '/p', runner, 'x')\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    noted = wait_for(lambda: [path for path in tmp_path.iterdir() if path.name.isdigit() and path.read_text()], child)
    workers = {int(path.read_text().split()[0]) for path in noted}
    child.kill()
    finish(child)
    wait_for(lambda: not [one for one in workers if os.path.exists(f"/proc/{one}")])
