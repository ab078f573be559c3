"""A stream is its frames in order: what is carried from one to the next, and when nothing is."""

import dataclasses

import numpy as np
import pytest

from tests.fake_network import INFO, FakeNetwork
from tests.inference.test_motion import texture
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.errors import InputError
from tfseg.formats import saved_model as saved_models
from tfseg.inference.engines.network import NetworkEngine
from tfseg.inference.engines.saved_model import SavedModelEngine
from tfseg.inference.engines.tflite import TFLiteEngine
from tfseg.inference.motion import CUT_SHARE, MotionEstimator, motion_image, moved, movement, no_motion
from tfseg.inference.predictor import Predictor
from tfseg.inference.refinement import Stopped
from tfseg.inference.runner import Inference
from tfseg.inference.stream import Stream, StreamOptions
from tfseg.models.rnn import RNNConfig
from tfseg.models.segmenter import CarryConfig

STILL = CarryConfig(iterations=2, scale=0.5, with_motion=False, blend=0.0)


def frames(count, height=48, width=80):
    """Frames of a camera that moves to the right."""
    return [texture(height, width, across=3 * number) for number in range(count)]


@pytest.fixture(scope="module")
def recurrent():
    return architectures.build(RNNConfig(tiny(), iterations=3, widths=(8, 4), canvas_stride=8), INFO.num_classes)


@pytest.fixture(scope="module")
def predictor(recurrent):
    return Predictor(recurrent, INFO)


def all_of(stream, images):
    return [stream.next(image) for image in images]


def same(one, other):
    return all(np.array_equal(a.class_ids, b.class_ids) for a, b in zip(one, other, strict=True))


def test_the_first_frame_is_a_photo(predictor):
    [image] = frames(1)
    frame = predictor.stream(with_confidence=True).next(image)
    photo = predictor.predict(image, with_confidence=True)
    np.testing.assert_array_equal(frame.class_ids, photo.class_ids)
    np.testing.assert_array_equal(frame.confidence, photo.confidence)
    assert (frame.iterations, frame.reset, frame.changed_share) == (3, "first frame", None)


@pytest.mark.parametrize("with_memory", [True, False])
def test_the_next_frame_starts_from_the_reduced_state(recurrent, predictor, with_memory):
    first, second = frames(2)
    stream = predictor.stream(carry=dataclasses.replace(STILL, with_memory=with_memory))
    before, frame = all_of(stream, [first, second])
    inference = Inference(recurrent)
    state = inference.refine_until(first, 3).state
    start = {name: 0.5 * maps if with_memory or name == "canvas" else 0 * maps for name, maps in state.items()}
    by_hand = inference.refine_until(second, 2, start=start)
    np.testing.assert_array_equal(frame.class_ids, by_hand.answer.class_ids())
    assert (frame.iterations, frame.reset) == (2, "")
    assert frame.changed_share == np.mean(before.class_ids != frame.class_ids)


def test_what_is_carried_follows_the_picture(predictor):
    """With everything kept and nothing computed anew, the canvas would be that of the frame before, moved."""
    first, second = frames(2)
    stream = predictor.stream(carry=CarryConfig(scale=1, trust_scale=0))
    stream.next(first)
    canvas = stream._state["canvas"]
    start, reset, *_ = stream._start(second)
    assert reset == "" and start["canvas"].shape == canvas.shape
    assert not np.array_equal(start["canvas"], canvas)
    standing, *_ = stream._start(first)
    np.testing.assert_allclose(standing["canvas"], canvas, atol=0.05 * np.abs(canvas).max())


def test_the_answer_is_blended_with_the_one_before_and_the_network_does_not_see_it(predictor):
    """By hand: the canvas of the second frame, and the answer to the first, moved, where the picture fits."""
    first, second, third = frames(3)
    carry = CarryConfig(scale=0.25, blend=0.5)
    stream, plain = predictor.stream(carry=carry), predictor.stream(carry=dataclasses.replace(carry, blend=0.0))
    answers = [stream.next(image) and stream.state()["answer"] for image in (first, second, third)]
    canvases = [plain.next(image) and plain.state()["state/canvas"][0] for image in (first, second, third)]
    np.testing.assert_allclose(stream.state()["state/canvas"][0], canvases[-1], atol=1e-5)
    expected = canvases[0]
    for index, pair in enumerate([(first, second), (second, third)], 1):
        motion = MotionEstimator().between(*map(motion_image, pair))
        matrix = movement(motion, expected.shape[:2], carry.trust_scale)
        trust = np.asarray(matrix.sum(1)).reshape(*expected.shape[:2], 1)
        expected = (1 - 0.5 * trust) * canvases[index] + 0.5 * moved(expected, matrix)
        np.testing.assert_allclose(answers[index], expected, atol=1e-4)
    assert "answer" not in plain.state()


def test_a_frame_that_starts_afresh_is_not_blended(predictor):
    first, second = frames(2)
    stream = predictor.stream(carry=CarryConfig(blend=0.9))
    stream.next(first)
    stream.reset()
    np.testing.assert_array_equal(stream.next(second).class_ids, predictor.predict(second).class_ids)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["first frame", "", "", "", ""]),
        ({"key_every": 2}, ["first frame", "", "key frame", "", "key frame"]),
        ({"key_every": 1}, ["first frame", *["key frame"] * 4]),
    ],
)
def test_key_frames_start_afresh(predictor, options, expected):
    found = all_of(predictor.stream(iters=1, key_iters=3, **options), frames(5))
    assert [frame.reset for frame in found] == expected
    assert [frame.iterations for frame in found] == [3 if reset else 1 for reset in expected]


def test_a_cut_a_loss_and_another_size_start_afresh(predictor):
    stream = predictor.stream()
    here, there = frames(2), 255 - texture(48, 80, down=500)
    found = all_of(stream, [*here, there])
    stream.reset()
    found += all_of(stream, [there, there, texture(40, 80), texture(40, 80)])
    assert [one.reset for one in found] == ["first frame", "", "scene cut", "frame lost", "", "frame size", ""]
    assert found[-2].changed_share is None
    photos = [predictor.predict(image).class_ids for image in (there, texture(40, 80))]
    np.testing.assert_array_equal(found[2].class_ids, photos[0])
    np.testing.assert_array_equal(found[5].class_ids, photos[1])


def test_where_nothing_is_moved_motion_is_estimated_for_what_may_be_a_cut_alone(predictor, monkeypatch):
    estimated = []
    between = MotionEstimator.between
    monkeypatch.setattr(MotionEstimator, "between", lambda self, *pair: estimated.append(pair) or between(self, *pair))
    here, nearly_here, far_off = texture(48, 80), texture(48, 80, across=1), texture(48, 80, across=9)
    assert no_motion(motion_image(nearly_here), motion_image(far_off)).unlike_share > CUT_SHARE
    found = all_of(predictor.stream(carry=STILL), [here, nearly_here, far_off, 255 - far_off])
    assert [one.reset for one in found] == ["first frame", "", "", "scene cut"]
    assert len(estimated) == 2  # the turn of the camera, which is no cut, and the cut


def test_two_streams_of_one_model_do_not_see_each_other(predictor):
    ours, theirs = frames(6), [texture(48, 80, down=5 * number) for number in range(6)]
    alone = [all_of(predictor.stream(), images) for images in (ours, theirs)]
    streams = predictor.stream(), predictor.stream()
    turns = [
        [stream.next(image) for stream, image in zip(streams, pair, strict=True)]
        for pair in zip(ours, theirs, strict=True)
    ]
    assert same([turn[0] for turn in turns], alone[0]) and same([turn[1] for turn in turns], alone[1])
    states = [stream.state() for stream in streams]
    assert not np.array_equal(states[0]["state/canvas"], states[1]["state/canvas"])


@pytest.mark.parametrize("stop", [0, 1, 4])
def test_a_stream_saved_and_continued_is_an_unbroken_one(predictor, tmp_path, stop):
    images, options = frames(8), {"key_every": 3}
    unbroken = predictor.stream(**options)
    expected = all_of(unbroken, images)
    first = predictor.stream(**options)
    found = all_of(first, images[:stop])
    np.savez(tmp_path / "stream.npz", **first.state())
    second = predictor.stream(**options)
    with np.load(tmp_path / "stream.npz") as arrays:
        second.restore(arrays)
    found += all_of(second, images[stop:])
    assert same(found, expected)
    assert [frame.reset for frame in found] == [frame.reset for frame in expected]
    for name, array in unbroken.state().items():
        np.testing.assert_array_equal(second.state()[name], array)


def test_arrays_that_are_no_stream_are_refused(predictor):
    with pytest.raises(InputError, match="not the state of a stream"):
        predictor.stream().restore({"canvas": np.zeros([1, 2, 2, 3])})


def test_a_network_without_state_segments_every_frame_by_itself():
    network = FakeNetwork(is_recurrent=False)
    found = all_of(Predictor(network, INFO).stream(), frames(2))
    assert [frame.reset for frame in found] == ["no state is kept"] * 2
    assert [frame.iterations for frame in found] == [1, 1]


def test_network_saved_model_and_stream_file_agree(network, saved_model, files):
    images = frames(30, 16, 24)
    by_network, *others = (
        all_of(Stream(engine, StreamOptions()), images)
        for engine in (
            NetworkEngine(network, INFO),
            SavedModelEngine(saved_models.load(saved_model / "2", trust=True)),
            TFLiteEngine(files / "stream.tflite", trust=True),
        )
    )
    for found in others:
        assert [frame.iterations for frame in found] == [frame.iterations for frame in by_network] == [3, *[1] * 29]
        agreement = np.mean([a.class_ids == b.class_ids for a, b in zip(found, by_network, strict=True)])
        assert agreement > 0.999


def test_a_settled_frame_ends_early(predictor):
    [image] = frames(1)
    found = all_of(predictor.stream(iters=3, tolerance=1.0), [image, image])
    assert [frame.iterations for frame in found] == [1, 1]


class TimedEngine:
    """An engine whose last iterations take 20 ms; it records the time left when an iteration may begin last."""

    carry, default_iterations, encode = CarryConfig(blend=0.0), 4, None
    is_recurrent, segmenter, path = True, None, "timed"

    def __init__(self, clock):
        self.clock, self.left = clock, []

    def answer_until(self, image, iterations, latest_start, tolerance, start):
        self.left.append(round(1000 * (latest_start - self.clock.now)))
        assert iterations == 4
        self.clock.now += 0.050
        return Stopped(self, iterations, self.clock.now - 0.020, {"canvas": np.zeros([1, 6, 10, 3], np.float32)})

    def class_ids(self):
        return np.zeros([48, 80], np.uint8)


def test_a_budget_leaves_time_for_the_last_iteration(monkeypatch):
    class Clock:
        now = 0.0

    monkeypatch.setattr("tfseg.inference.stream.time.perf_counter", lambda: Clock.now)
    engine = TimedEngine(Clock)
    all_of(Stream(engine, StreamOptions(budget_ms=80)), frames(3))
    assert engine.left == [80, 60, 60]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iters": 0}, "iters is 0"),
        ({"key_every": -1}, "key_every is -1"),
        ({"budget_ms": 0}, "budget_ms is 0"),
        ({"budget_ms": 5, "iters": 2}, "the budget chooses"),
        ({"tolerance": 2}, "tolerance is 2"),
        ({"iterations": 2}, "a stream's options are iters, key_iters"),
    ],
)
def test_options_that_cannot_be_are_refused(predictor, options, message):
    with pytest.raises(InputError, match=message):
        predictor.stream(**options)


def test_a_slow_moment_does_not_hold_a_stream_at_one_iteration(monkeypatch):
    class Clock:
        now = 0.0

    class Hiccup(TimedEngine):
        def answer_until(self, image, iterations, latest_start, tolerance, start):
            run = super().answer_until(image, iterations, latest_start, tolerance, start)
            if len(self.left) == 1:
                self.clock.now += 1.0
            return run if len(self.left) == 1 else dataclasses.replace(run, iterations=1, began=None)

    monkeypatch.setattr("tfseg.inference.stream.time.perf_counter", lambda: Clock.now)
    engine = Hiccup(Clock)
    all_of(Stream(engine, StreamOptions(budget_ms=80)), frames(3))
    assert engine.left[1] < 0 and engine.left[2] == 80


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros([48, 80], np.uint8), "a grey one"),
        (np.zeros([48, 80, 4], np.uint8), r"not shape \(48, 80, 4\)"),
        (np.zeros([48, 80, 3], np.float32), "not float32"),
    ],
)
def test_a_frame_of_another_kind_is_refused_and_the_stream_goes_on(predictor, frame, message):
    first, second = frames(2)
    stream = predictor.stream()
    stream.next(first)
    with pytest.raises(InputError, match=message):
        stream.next(frame)
    assert stream.next(second).reset == "" and stream.num_frames == 2


def test_options_that_need_a_state_are_refused_where_none_is_kept():
    single = Predictor(FakeNetwork(), INFO)
    for options in ({"key_every": 2}, {"carry": STILL}, {"budget_ms": 50}):
        with pytest.raises(InputError, match=f"{next(iter(options))} does nothing here: this model keeps no state"):
            single.stream(**options)
    assert [frame.iterations for frame in all_of(single.stream(iters=2), frames(2))] == [2, 2]


def test_a_state_that_lacks_a_part_is_refused(predictor):
    stream = predictor.stream()
    all_of(stream, frames(2))
    for name in ("motion_image", "class_ids", "why_afresh"):
        with pytest.raises(InputError, match="not the state of a stream"):
            predictor.stream().restore({key: value for key, value in stream.state().items() if key != name})
    with pytest.raises(InputError, match="another model's stream"):
        Predictor(FakeNetwork(), INFO).stream().restore(stream.state())


@pytest.mark.parametrize("field", [{"iterations": 0}, {"scale": 1.5}, {"trust_scale": -1}])
def test_a_carry_that_cannot_be_is_refused(field):
    with pytest.raises(InputError, match=f"carry.{next(iter(field))} is"):
        CarryConfig(**field)
