"""Every engine keeps the contract of `engine.py`, and what a new one lacks is said in words."""

import typing

import numpy as np
import pytest

from tests.fake_network import INFO
from tfseg.formats import saved_model as saved_models
from tfseg.inference.engines.engine import Engine, Maps
from tfseg.inference.engines.network import NetworkEngine
from tfseg.inference.engines.saved_model import SavedModelEngine
from tfseg.inference.engines.tflite import TFLiteEngine
from tfseg.inference.refinement import Refinement, Stopped

ATTRIBUTES = typing.get_type_hints(Engine)


def missing_in(engine):
    """What an engine lacks, a sentence each."""
    name = type(engine).__name__
    sentences = [f"{name} has no {one}: see Engine in engine.py" for one in ATTRIBUTES if not hasattr(engine, one)]
    if not callable(getattr(engine, "answer", None)):
        sentences.append(f"{name} has no answer(image, iterations, last_only): nothing can be predicted with it")
    return sentences


@pytest.fixture(scope="module")
def engines(network, files, saved_model):
    kinds = ("segment", "stream", "dynamic")
    return {
        "network": NetworkEngine(network, INFO),
        "saved model": SavedModelEngine(saved_models.load(saved_model / "2", trust=True)),
        **{kind: TFLiteEngine(files / f"{kind}.tflite", trust=True) for kind in kinds},
    }


@pytest.mark.parametrize("name", ["network", "saved model", "segment", "stream", "dynamic"])
def test_an_engine_has_all_that_the_predictor_asks_for(engines, name, image):
    engine = engines[name]
    assert missing_in(engine) == []
    assert isinstance(engine, Engine)
    count = engine.default_iterations
    assert engine.min_iterations <= count and (engine.max_iterations is None or count <= engine.max_iterations)
    answer = engine.answer(image, count, last_only=True)
    assert isinstance(answer, Refinement | Maps) and len(answer) == 1
    class_ids, confidence = answer.class_ids_and_confidence()
    assert class_ids.shape == confidence.shape == image.shape[:2] and class_ids.dtype == np.uint8
    if engine.answer_until is not None:
        run = engine.answer_until(image, count, latest_start=float("-inf"))
        assert isinstance(run, Stopped)
        np.testing.assert_array_equal(run.answer.class_ids().shape, image.shape[:2])


def test_what_an_engine_lacks_is_said_in_words():
    class Silent:
        path, info, size = "a", INFO, None

    sentences = missing_in(Silent())
    assert "Silent has no min_iterations: see Engine in engine.py" in sentences
    assert "Silent has no answer(image, iterations, last_only): nothing can be predicted with it" in sentences
    assert not any("path" in sentence for sentence in sentences)
