"""A stream of arch2_video: its first frame runs the static decoder, the others the cell, whatever holds the model."""

import numpy as np
import pytest
import tensorflow as tf

import tfseg
from tests import dynamic_cells
from tests.dynamic_cells import AGGREGATIONS, DEFORMABLE, SIZE
from tests.inference.test_motion import texture
from tests.inference.test_stream import all_of, frames, same
from tfseg.errors import InputError
from tfseg.export.exporting import export_model
from tfseg.export.plan import ExportOptions
from tfseg.inference.predictor import Predictor
from tfseg.profiling import frame_cost

pytestmark = pytest.mark.usefixtures("warm_children")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(DEFORMABLE, marks=pytest.mark.slow, id="deformable"),
        pytest.param(AGGREGATIONS, id="aggregations"),
    ],
)
def predictors(request, toy_records, tmp_path_factory):
    """Of the network, of its SavedModel, which takes any size, and of its float32 stream file."""
    network, folder = dynamic_cells.network_of(request.param), tmp_path_factory.mktemp("cells")
    run = dynamic_cells.write_run(folder / "cells", network, toy_records)
    options = ExportOptions(("savedmodel", "tflite"), ("stream",), output_dir=str(folder / "exports"), check_images=0)
    export_model(run, options, tfseg.load, lambda _: None)
    paths = ("serving/cells/1", "cells_stream_fp32.tflite")
    return Predictor.load(run), *(tfseg.load(folder / "exports" / "cells" / path) for path in paths)


def run_streams(predictors, steps):
    """Runs streams of all predictors beside each other; an image of None is a lost frame. Compares them frame by frame.

    Returns:
      The frames of the first.
    """
    streams, found = [predictor.stream() for predictor in predictors], []
    for image in steps:
        if image is None:
            for stream in streams:
                stream.reset()
            continue
        own, *others = (stream.next(image) for stream in streams)
        found.append(own)
        for stream, other in zip(streams[1:], others, strict=True):
            assert (other.iterations, other.reset) == (own.iterations, own.reset)
            assert np.mean(other.class_ids == own.class_ids) >= 0.999
            canvas = streams[0].state()["state/canvas"]
            np.testing.assert_allclose(stream.state()["state/canvas"], canvas, atol=1e-4 * np.abs(canvas).max())
    return found


def test_network_saved_model_and_stream_file_give_the_same_maps(predictors):
    images = frames(6, *SIZE)
    found = run_streams(predictors, [*images[:4], None, *images[4:]])
    assert [frame.reset for frame in found] == ["first frame", "", "", "", "frame lost", ""]
    assert len(np.unique(found[0].class_ids)) > 1 and len(np.unique(found[1].class_ids)) > 1
    alone = predictors[0].predict(images[1]).class_ids
    assert np.any(found[1].class_ids != alone)  # the cell ran


def test_another_size_starts_afresh_where_sizes_are_open(predictors):
    small = [texture(41, 67, across=3 * number) for number in range(3)]
    found = run_streams(predictors[:2], [*frames(2, *SIZE), *small])
    assert [frame.reset for frame in found] == ["first frame", "", "frame size", "", ""]
    assert found[-1].class_ids.shape == (41, 67)


def test_a_frame_is_what_the_network_makes_of_it_and_of_the_state_before(predictors):
    """The network's own functions, called without anything that runs streams."""
    network = predictors[0].engine.segmenter
    first, second = (network.encode(tf.cast(image[np.newaxis], tf.float32)) for image in frames(2, *SIZE))
    expected = network.refine(second, network.refine(first))["canvas"]
    for predictor in predictors:
        stream = predictor.stream()
        all_of(stream, frames(2, *SIZE))
        np.testing.assert_allclose(stream.state()["state/canvas"], expected, atol=1e-4 * np.abs(expected).max())


def test_deformable_convolutions_read_at_real_offsets(predictors):
    network = predictors[0].engine.segmenter
    layers = [layer for layer in network.cell.submodules if layer.name == "offsets"]
    assert bool(layers) == ("deformable" in " ".join(network.genotype.described()))
    maps = tf.random.stateless_normal([1, 6, 10, 4], [0, 0])
    assert all(np.abs(layer(maps)[..., :18]).mean() > 0.2 for layer in layers)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["network", "saved model", "stream file"])
def test_streams_do_not_see_each_other_and_continue_exactly(predictors, place, tmp_path):
    predictor = predictors[place]
    ours, theirs = frames(5, *SIZE), [texture(*SIZE, down=5 * number) for number in range(5)]
    alone = [all_of(predictor.stream(), images) for images in (ours, theirs)]
    streams, turns = [predictor.stream(), predictor.stream()], []
    for number, pair in enumerate(zip(ours, theirs, strict=True)):
        if number == 3:
            np.savez(tmp_path / "stream.npz", **streams[0].state())
            streams[0] = predictor.stream()
            with np.load(tmp_path / "stream.npz") as arrays:
                streams[0].restore(arrays)
        turns.append([stream.next(image) for stream, image in zip(streams, pair, strict=True)])
    assert same([turn[0] for turn in turns], alone[0]) and same([turn[1] for turn in turns], alone[1])


def test_signatures_take_all_features_and_the_whole_state(predictors):
    _, saved, file = (predictor.engine for predictor in predictors)
    features, state = {"layer2", "layer3", "layer4"}, {"canvas", "dec", "previous_layer4"}
    signatures = file._program.signatures
    assert set(signatures) == {"encode", "start", "refine", "decode"}
    assert set(signatures["encode"].outputs) == set(signatures["start"].inputs) == features
    assert set(signatures["refine"].inputs) == features | state
    assert set(signatures["refine"].outputs) == set(signatures["start"].outputs) == state
    assert set(signatures["decode"].inputs) == {"canvas"}
    assert set(saved.segmenter.state_spec()) == state and not saved.segmenter.starts_from_zeros
    assert all(predictor.max_iterations == 1 and not predictor.is_recurrent for predictor in predictors)


@pytest.mark.slow
def test_frames_cost_what_their_steps_cost(predictors):
    own, saved, file = (frame_cost.of_engine(predictor.engine, SIZE) for predictor in predictors)
    assert own.iteration == saved.iteration == file.iteration == 0 and own.first != own.seeded
    assert (saved.first, saved.seeded) == pytest.approx((own.first, own.seeded), rel=1e-6)
    # The converter folds products with means of one position, and makes products of others.
    assert (file.first, file.seeded) == pytest.approx((own.first, own.seeded), rel=0.05)
    for size in ((64, 96), (41, 67)):
        own, saved = (frame_cost.of_engine(predictor.engine, size) for predictor in predictors[:2])
        assert (saved.first, saved.seeded) == pytest.approx((own.first, own.seeded), rel=1e-6)


def test_a_state_of_another_form_of_the_model_is_refused(predictors):
    """Signatures name the map of stride 32 otherwise than the network, since a feature has its name."""
    network, saved, file = predictors
    stream = network.stream()
    all_of(stream, frames(2, *SIZE))
    for other in (saved, file):
        with pytest.raises(InputError, match="the state of another model's stream"):
            other.stream().restore(stream.state())
    stream = saved.stream()
    all_of(stream, frames(2, *SIZE))
    file.stream().restore(stream.state())
