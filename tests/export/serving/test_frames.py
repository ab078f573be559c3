"""A served model whose first frame runs another step than the others: its page, and the loop that stands there."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from tests import dynamic_cells
from tests.fake_network import INFO
from tests.inference.test_stream import frames
from tfseg.export.serving import server_files, service
from tfseg.inference.runner import inference_of

SIZE = (48, 80)


@pytest.fixture(scope="module")
def network():
    return dynamic_cells.network_of(dynamic_cells.AGGREGATIONS)


@pytest.fixture(scope="module")
def page(network):
    description = {"classes": INFO.to_dict(), "is_recurrent": False, "iterations": 1, "max_iterations": 1, "size": None}
    return server_files.serve_markdown("street", description | {"carry": dataclasses.asdict(network.carry)})


@pytest.fixture(scope="module")
def functions(network):
    return service.Service(network, max_iterations=1).functions()


def test_the_table_on_the_page_lists_the_signatures_and_their_tensors(page, functions):
    names = {"encode", "start", "refine", "decode"}
    assert set(functions) - names == {"serving_default", "segment_bytes", "segment_tensors"}
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE))
    assert names <= set(rows) and "initial_state" not in page and max(map(len, page.splitlines())) <= 120
    for name in ("encode", "start"):
        outputs = functions[name].structured_outputs
        assert all(f"`{output}`" in rows[name] for output in outputs)
    assert set(functions["refine"].structured_outputs) == set(functions["start"].structured_outputs)


@pytest.mark.parametrize("is_json", [False, True], ids=["grpc", "rest"])
def test_the_loop_on_the_page_segments_a_video(page, functions, network, is_json):
    loops = [code for code in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if "refine" in code]
    assert len(loops) == 2 and loops[0] == loops[1]
    called = []

    def call(signature, **inputs):
        called.append(signature)
        specs = {spec.name: spec for spec in tf.nest.flatten(functions[signature].structured_input_signature)}
        answer = functions[signature](**{name: tf.constant(inputs[name], specs[name].dtype) for name in specs})
        return {name: value.numpy().tolist() if is_json else value.numpy() for name, value in answer.items()}

    first, second = frames(2, *SIZE)
    code = loops[0].replace("[images, images]", "[images, others]")
    names = {"call": call, "np": np, "images": first[np.newaxis], "others": second[np.newaxis]}
    exec(compile(code, "serve.md", "exec"), names)
    assert called == ["encode", "start", "decode", "encode", "refine", "decode"]
    inference = inference_of(network)
    expected = inference.refine_until(second, 1, start=inference.refine_until(first, 1).state).answer.class_ids()
    np.testing.assert_array_equal(names["mask"][0], expected)
