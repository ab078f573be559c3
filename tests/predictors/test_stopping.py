"""Iterations that do not begin after a time, of everything that runs them one by one."""

import math
import time

import numpy as np
import pytest

from tests.fake_network import INFO
from tests.predictors import toy_artifacts
from tests.predictors.conftest import SIZE
from tfseg.predictor import Predictor

PAST, NEVER = -math.inf, math.inf


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
    for latest_start, count in ((NEVER, 4), (time.perf_counter() + 60, 4), (PAST, 1), (before, 1)):
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
