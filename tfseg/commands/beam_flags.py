"""The flags that let a command run on many machines."""

from absl import flags

from tfseg.beam.launching import BeamRunner
from tfseg.errors import InputError

RUNNER = flags.DEFINE_string(
    "runner",
    None,
    "Runner of Apache Beam: DirectRunner (processes of this machine), FlinkRunner, SparkRunner, DataflowRunner, "
    "PortableRunner. All machines must see the files under the same paths. Default: without Beam.",
)
BEAM_OPTION = flags.DEFINE_multi_string(
    "beam_option",
    [],
    "Beam's option for --runner, name=value, e.g. direct_num_workers=4; may be given several times.",
)


def checked_runner(log) -> BeamRunner | None:
    """Returns the runner that the flags name, None without --runner; `log` is its attribute.

    Raises:
      InputError: the runner cannot be used.
    """
    if RUNNER.value is None:
        if BEAM_OPTION.value:
            raise InputError("--beam_option does nothing here: it is for --runner")
        return None
    runner = BeamRunner(RUNNER.value, tuple(BEAM_OPTION.value), log)
    runner.check()
    return runner
