"""A stream of a recurrent network with a learned gate, whatever holds the model."""

import numpy as np
import pytest
import tensorflow as tf

import tfseg
from tests import dynamic_cells
from tests.backbones.random_weights import randomize
from tests.inference.test_stream import all_of, frames, same
from tests.inference.test_stream_of_cells import run_streams
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.export.exporting import export_model
from tfseg.export.plan import ExportOptions
from tfseg.inference.motion import Carrier, MotionEstimator, motion_image
from tfseg.inference.predictor import Predictor
from tfseg.models.rnn import RNNConfig
from tfseg.models.segmenter import CarryConfig
from tfseg.profiling import frame_cost

pytestmark = [pytest.mark.usefixtures("warm_children"), pytest.mark.slow]

SIZE = dynamic_cells.SIZE


@pytest.fixture(scope="module")
def exported(toy_records, tmp_path_factory):
    """The run of a network with random weights, its exports' rows, and predictors of network, SavedModel and file."""
    config = RNNConfig(
        tiny(), iterations=2, widths=(6, 4), canvas_stride=8, carry=CarryConfig(scale=1.0, has_gate=True)
    )
    network, folder = architectures.build(config, dynamic_cells.NUM_CLASSES), tmp_path_factory.mktemp("gate")
    for layer in (network.backbone, network.projection, network.state_gate):
        randomize(layer)
    run = dynamic_cells.write_run(folder / "gated", network, toy_records)
    options = ExportOptions(("savedmodel", "tflite"), ("stream",), output_dir=str(folder / "exports"), check_images=2)
    rows = export_model(run, options, tfseg.load, lambda _: None)
    paths = ("serving/gated/1", "gated_stream_fp32.tflite")
    return rows, (Predictor.load(run), *(tfseg.load(folder / "exports" / "gated" / path) for path in paths))


def test_network_saved_model_and_stream_file_give_the_same_maps(exported):
    _, predictors = exported
    images = frames(6, *SIZE)
    found = run_streams(predictors, [*images[:4], None, *images[4:]])
    assert [frame.reset for frame in found] == ["first frame", "", "", "", "frame lost", ""]


def test_a_frame_starts_from_what_the_gate_leaves(exported):
    """The network's own functions, called without anything that runs streams."""
    predictor = exported[1][0]
    network = predictor.engine.segmenter
    first, second = frames(2, *SIZE)
    features = [network.encode(tf.cast(image[np.newaxis], tf.float32)) for image in (first, second)]
    state = network.refine_for(features[0], tf.constant(2))
    motion = MotionEstimator().between(motion_image(first), motion_image(second))
    start = Carrier(motion, network.carry).start({name: maps.numpy() for name, maps in state.items()})
    gated = network.gated(features[1], start)
    assert set(gated) == set(state)
    shares = gated["canvas"] / start["canvas"]
    assert np.min(shares) > 0 and np.max(shares) < 1 and np.std(shares) > 0.01
    expected = network.refine(features[1], gated)["canvas"]
    for one in exported[1]:
        stream = one.stream(iters=1)
        all_of(stream, [first, second])
        np.testing.assert_allclose(stream.state()["state/canvas"], expected, atol=1e-4 * np.abs(expected).max())


def test_the_comparison_of_an_export_runs_the_gate(exported):
    rows, _ = exported
    firsts = [row for row in rows if row.iterations == 1]
    assert len(firsts) == 2 and all(row.next_frame >= 0.999 and row.is_good for row in firsts)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["network", "saved model", "stream file"])
def test_a_stream_that_is_saved_continues_exactly(exported, place, tmp_path):
    predictor, images = exported[1][place], frames(5, *SIZE)
    whole = all_of(predictor.stream(), images)
    stream = predictor.stream()
    begun = all_of(stream, images[:3])
    np.savez(tmp_path / "stream.npz", **stream.state())
    continued = predictor.stream()
    with np.load(tmp_path / "stream.npz") as arrays:
        continued.restore(arrays)
    assert same(begun + all_of(continued, images[3:]), whole)


def test_the_gate_is_a_signature_of_its_own(exported):
    _, saved, file = (predictor.engine for predictor in exported[1])
    signatures = file._program.signatures
    assert set(signatures) == {"encode", "gate", "refine", "decode"}
    state = set(signatures["refine"].outputs)
    assert set(signatures["gate"].outputs) == state
    assert set(signatures["gate"].inputs) == set(signatures["encode"].outputs) | state | {"error"}
    assert saved.segmenter.has_gate and set(saved.segmenter.start_spec()) == state | {"error"}


def test_the_gate_is_counted_where_a_frame_starts_from_the_one_before(exported):
    own, saved, file = (frame_cost.of_engine(predictor.engine, SIZE) for predictor in exported[1])
    assert saved.seeded == pytest.approx(own.seeded, rel=1e-6)
    assert file.seeded - file.first > 0 and file.seeded == pytest.approx(own.seeded, rel=0.05)


def test_another_carry_leaves_the_gate_where_it_is(exported):
    """How much is carried is the caller's choice; whether there is a gate is the network's."""
    images = frames(3, *SIZE)
    for predictor in exported[1]:
        own = all_of(predictor.stream(carry=CarryConfig(scale=1.0)), images)
        assert same(own, all_of(predictor.stream(), images))
