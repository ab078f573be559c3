"""Reports of evaluations: curves that are compared, and what publishing reads."""

from pathlib import Path

from tests.fuzz.data_sets import write_records
from tests.fuzz.kind import Kind, Target
from tests.training.toy_run import toy_config
from tfseg import architectures
from tfseg.data.manifest import read_manifest
from tfseg.evaluation import report
from tfseg.evaluation.publish import publish
from tfseg.profiling import flops
from tfseg.runs.run_directory import save_weights, write_config

CURVE = "iteration,gmacs,gflops,milliseconds,miou\n1,0.5,1.0,3.25,0.4\n2,0.75,1.5,4.5,0.5\n3,1.0,2.0,5.75,0.55\n"
LOG = "step,loss,images_per_second,val_miou\n4,2.0,8.0,\n4,,,0.5\n8,1.0,4.0,\n"


def _curve(folder):
    (folder / "report").mkdir()
    (folder / "report" / "curve.csv").write_text(CURVE)


def _evaluated_run(folder):
    """Writes a run with random weights and its report."""
    write_records(folder)
    config, info = toy_config(folder / "records", {}), read_manifest(folder / "records").info
    write_config(folder / "run", config, info)
    save_weights(folder / "run" / "weights" / "last.npz", architectures.build(config.model, info.num_classes))
    (folder / "run" / "metrics.csv").write_text(LOG)
    report.evaluate_run(folder / "run", report.ReportOptions(), flops.executed_gmacs)


def _published(prepared, path):
    """Publishes the run; returns what is written of it, without the files that are copied as they are."""
    publish("run", "run/report", "published", report.summary)
    return {name: Path("published", name).read_bytes() for name in ("README.md", "config.json")}


CURVES = Kind(
    "curve.csv",
    (Target("report/curve.csv", "text"),),
    _curve,
    lambda prepared, path: report.read_curve("report"),
    known_as=("report:",),
)
REPORT = Kind(
    "report",
    (Target("run/report/metrics.json", "json"), Target("run/metrics.csv", "log")),
    _evaluated_run,
    _published,
    known_as=("run/report:",),
)
KINDS = (CURVES, REPORT)
