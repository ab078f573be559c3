"""Writes the records of a data set on a runner's workers: the same files as without Beam."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from tfseg.beam import launching
from tfseg.beam.launching import BeamRunner
from tfseg.data.tfrecord import WrittenSplit, shard_slices, write_shard
from tfseg.system.files import remove_unfinished, whole_file
from tfseg.system.parallel import Attempt, num_cores


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """Writes shards; a task is (name of a shard, its items in the order of the records). See `work_folder.Job`.

    Which items a shard holds, and in which order, is settled before the pipeline starts, so the files do not depend on
    which worker was faster, and trainings on them have the same losses.
    """

    data_dir: Path
    encode: Callable
    loads_model = False

    def load(self):
        return None

    def work(self, task, loaded) -> WrittenSplit:
        name, items = task
        with whole_file(self.data_dir / name) as part:
            written = write_shard(part, map(Attempt(self.encode), items))
        written.shards = [dataclasses.replace(shard, file=name) for shard in written.shards]
        return written


def write_splits(
    data_dir, splits: dict[str, list], encode, num_workers=None, *, runner: BeamRunner
) -> dict[str, WrittenSplit]:
    """Writes the shards of all splits in one pipeline; the files and the result are those of `tfrecord.write_splits`.

    Args:
      data_dir, splits, encode: see `tfrecord.write_splits`. All workers must see the folder under this path.
      num_workers: number of worker processes of DirectRunner; None starts one per core. Other runners have own options.
      runner: a BeamRunner that was checked.
    Raises:
      RunError: the disk is full, or the pipeline failed.
    """
    data_dir = Path(data_dir).absolute()
    runner = runner.with_workers(num_workers or num_cores())
    parts = {split: shard_slices(split, len(items)) for split, items in splits.items()}
    tasks = [(name, splits[split][part]) for split, slices in parts.items() for name, part in slices.items()]
    job = ShardJob(data_dir, encode)
    written = iter(launching.run(job, tasks, data_dir / "beam", runner, "converting", lambda task: len(task[1])))
    remove_unfinished(data_dir)
    return {split: WrittenSplit.joined([next(written) for _ in slices]) for split, slices in parts.items()}
