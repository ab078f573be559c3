"""The table of export formats: every record is whole, and what it makes says what the network says."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.export.serving.small_network import small_network
from tests.inference.engines import toy_panoptic
from tests.training.toy_run import toy_config
from tfseg import architectures
from tfseg.export import plan
from tfseg.export.format_table import ANY, FORMATS, PANOPTIC, RECURRENT, STATEFUL, WORDS, ExportFormat
from tfseg.export.making import entry, make
from tfseg.export.plan import ExportOptions
from tfseg.export.tflite import PRECISIONS
from tfseg.inference.predictor import Predictor
from tfseg.labels import DatasetInfo, default_colors

pytestmark = pytest.mark.usefixtures("warm_children")

INFO = DatasetInfo("toy", ("a", "b", "c"), default_colors(3))
SIZE = (49, 65)


def missing_in(kind, record):
    """What a record lacks, a sentence each."""
    sentences = []
    if not isinstance(record, ExportFormat):
        return [f"{kind} is no ExportFormat of tfseg/export/format_table.py"]
    if not record.text:
        sentences.append(f"{kind} has no text: export.py could not say what it is")
    if "{name}" not in record.path:
        sentences.append(f"{kind}: path {record.path!r} has no {{name}}: two models would write one file")
    if record.has_number_in_name and "{number}" not in record.path:
        sentences.append(f"{kind} has a file for each number of iterations, and no {{number}} in its path")
    if not set(record.precisions) <= set(PRECISIONS):
        sentences.append(f"{kind}: precisions {record.precisions} are not all of {PRECISIONS}")
    if record.network not in (ANY, RECURRENT, STATEFUL, PANOPTIC):
        sentences.append(f"{kind}: network is {record.network!r}, not ANY, RECURRENT, STATEFUL or PANOPTIC")
    if kind not in {one for kinds, _ in WORDS.values() for one in kinds}:
        sentences.append(f"{kind} is in no word of --format: add it to WORDS")
    return sentences


@pytest.mark.parametrize("kind", FORMATS)
def test_every_record_is_whole(kind):
    assert missing_in(kind, FORMATS[kind]) == []


def test_what_a_new_record_lacks_is_said_in_words():
    record = ExportFormat("", "{kind}.bin", make=None, precisions=("fp8",), has_number_in_name=True, network="small")
    assert missing_in("bin", record) == [
        "bin has no text: export.py could not say what it is",
        "bin: path '{kind}.bin' has no {name}: two models would write one file",
        "bin has a file for each number of iterations, and no {number} in its path",
        "bin: precisions ('fp8',) are not all of ('fp32', 'fp16', 'dynamic', 'int8')",
        "bin: network is 'small', not ANY, RECURRENT, STATEFUL or PANOPTIC",
        "bin is in no word of --format: add it to WORDS",
    ]


@pytest.fixture(scope="module")
def networks():
    return {
        RECURRENT: (small_network(3), INFO),
        PANOPTIC: (architectures.build(toy_panoptic.CONFIG, 3), toy_panoptic.INFO),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind, record in FORMATS.items() if record.has_engine])
def test_every_format_gives_the_networks_classes(networks, kind, monkeypatch, tmp_path):
    record = FORMATS[kind]
    network, info = networks[PANOPTIC if record.network == PANOPTIC else RECURRENT]
    config = dataclasses.replace(toy_config("records", {}), model=network.config)
    monkeypatch.setattr(plan, "load_model", lambda *_: (config, info, network))
    [word] = [word for word, (kinds, precision) in WORDS.items() if kind in kinds and precision == "fp32"]
    kinds = () if kind == "savedmodel" else (kind,)
    options = ExportOptions(formats=(word,), kinds=kinds, output_dir=str(tmp_path), size=SIZE)
    export = plan.Export(Path("toy"), options)
    [planned] = export.planned
    make(export, planned, tmp_path)
    facts = entry(export, planned, tmp_path)
    assert ("gflops" in facts) == (record.cost is not None)
    assert facts["kind"] == kind and facts["bytes"] > 0
    image = np.random.default_rng(4).integers(0, 256, [*SIZE, 3]).astype(np.uint8)
    expected, found = Predictor(network, info), Predictor.load(tmp_path / planned.path, trust=True)
    agreement = found.predict(image).class_ids == expected.predict(image).class_ids
    assert agreement.mean() > 0.99
