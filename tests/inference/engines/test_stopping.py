"""Iterations that stop at a time, or once the canvas has settled, of everything that runs them one by one."""

import itertools
import math
import time

import numpy as np
import pytest

from tests.fake_network import INFO
from tests.inference.conftest import SIZE
from tests.inference.engines import toy_artifacts
from tfseg.errors import InputError
from tfseg.inference.predictor import Predictor
from tfseg.inference.views import View

PAST, NEVER = -math.inf, math.inf
DAYS = 1e6  # seconds


@pytest.fixture(scope="module")
def predictors(by_network, files, saved_model, network, tmp_path_factory):
    fixed = toy_artifacts.save_model(network, tmp_path_factory.mktemp("fixed") / "1", size=SIZE)
    once = toy_artifacts.ToyNetwork(is_recurrent=False)
    paths = {"stream": files / "stream.tflite", "any size": saved_model, "one size": fixed}
    paths |= {kind: files / f"{kind}.tflite" for kind in ("segment", "dynamic")}
    loaded = {name: Predictor.load(path, trust=True) for name, path in paths.items()}
    return loaded | {"network": by_network, "feed-forward": Predictor(once, INFO)}


STOPPABLE = ("network", "stream", "any size", "one size")


@pytest.mark.parametrize("name", STOPPABLE)
def test_all_run_where_there_is_time_and_the_first_one_where_there_is_none(predictors, name, photo):
    predictor, before = predictors[name], time.perf_counter()
    for latest_start, count in ((NEVER, 4), (before + DAYS, 4), (PAST, 1), (before, 1)):
        ours = predictor.predict(photo, 4, with_confidence=True, latest_start=latest_start)
        whole = predictor.predict(photo, count, with_confidence=True)
        assert ours.iterations == count
        # A SavedModel of one size enlarges its logits here, and its class map there.
        is_same = ours.class_ids == whole.class_ids
        assert is_same.all() or (name == "one size" and is_same.mean() > 0.9)
        np.testing.assert_allclose(ours.confidence[is_same], whole.confidence[is_same], atol=0.1)
        assert ours.began is None if count == 1 else before < ours.began < time.perf_counter()


@pytest.mark.parametrize("name", ["segment", "dynamic", "feed-forward"])
def test_what_gets_its_number_beforehand_runs_it(predictors, name, image):
    predictor = predictors[name]
    ours = predictor.predict(image, latest_start=PAST)
    assert (ours.iterations, ours.began) == (predictor.default_iterations, None)
    np.testing.assert_array_equal(ours.class_ids, predictor.predict(image).class_ids)


def shares(predictor, image):
    """Share of positions of another class after iteration 2, 3, ... than before."""
    maps = [class_ids[2::4, 2::4] for class_ids in predictor.predict_iterations(image, 5)]
    return [np.mean(before != after) for before, after in itertools.pairwise(maps)]


@pytest.mark.parametrize("name", (*STOPPABLE, "dynamic"))
def test_no_iteration_follows_one_that_changed_little(predictors, name, image, class_ids):
    # Everything is red after the first iteration, as it ought to be after the second, and stays so.
    changed = np.mean(class_ids != 0)
    np.testing.assert_allclose(shares(predictors[name], image), [changed, 0, 0, 0])
    for tolerance, count in ((0, 3), (changed - 0.01, 3), (changed + 0.01, 2)):
        ours = predictors[name].predict(image, 5, tolerance=tolerance)
        assert ours.iterations == count
        np.testing.assert_array_equal(ours.class_ids[2::4, 2::4], class_ids)
    assert predictors[name].predict(image, 5).iterations == 5
    assert predictors[name].predict(image, 5, tolerance=1).iterations == 1


@pytest.mark.parametrize("name", ["segment", "feed-forward"])
def test_what_cannot_stop_says_so(predictors, name, image):
    with pytest.raises(InputError, match="tolerance is 0.1; .+ runs a fixed number of iterations"):
        predictors[name].predict(image, tolerance=0.1)


@pytest.mark.parametrize("tolerance", [-0.1, 1.1, math.nan, "0.1", True])
def test_a_tolerance_is_a_share(predictors, image, tolerance):
    with pytest.raises(InputError, match="a share of the canvas that may still change, from 0 to 1"):
        predictors["network"].predict(image, tolerance=tolerance)


def test_a_stream_looks_at_the_clock_before_every_iteration(predictors, image, monkeypatch):
    # Read once before each iteration and once after: the third begins at 4, and ends at 5.
    clock = itertools.count()
    monkeypatch.setattr("tfseg.inference.engines.tflite.time.perf_counter", lambda: next(clock))
    ours = predictors["stream"].predict(image, 5, latest_start=4.5)
    assert (ours.iterations, ours.began) == (3, 4)


def test_what_a_saved_model_refuses_is_one_line(network, photo, tmp_path, monkeypatch):
    path = toy_artifacts.save_model(network, tmp_path / "1", size=SIZE)
    predictor = Predictor.load(path, trust=True)
    monkeypatch.setattr(predictor.engine, "_view", View(base_size=(8, 8)))
    with pytest.raises(InputError) as caught:
        predictor.predict(photo, latest_start=NEVER)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
