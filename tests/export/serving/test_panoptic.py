"""A panoptic model behind the double: the examples of its serve.md find the instances of the network."""

import re

import numpy as np
import pytest
from PIL import Image

from tests.export.serving.protocol_double import serve
from tests.inference.engines.toy_panoptic import CONFIG, INFO, description, photo
from tfseg import architectures
from tfseg.export.serving import server_files, service
from tfseg.inference.predictor import Predictor


@pytest.fixture(scope="module")
def network():
    return architectures.build(CONFIG, INFO.num_classes)


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    service.save(network, folder / "toy" / "1", description("savedmodel"), 1)
    server_files.write(folder, "toy", description("savedmodel"))
    return folder


def test_the_examples_find_the_networks_instances(network, folder, tmp_path, monkeypatch):
    image = photo(50, 83)
    Image.fromarray(image).save(tmp_path / "photo.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", (folder / "serve.md").read_text(), re.MULTILINE | re.DOTALL)
    names, num_found = {}, 0
    with serve(folder / "toy") as (_, grpc_address, rest_address):
        for code in blocks:
            code = code.replace("localhost:8500", grpc_address).replace("localhost:8501", rest_address)
            exec(compile(code, "serve.md", "exec"), names)
            if '"panoptic_maps"' in code:
                expected = Predictor(network, INFO).predict(np.array(Image.open("photo.jpg")))
                np.testing.assert_array_equal(names["found"].panoptic_ids, expected.panoptic_ids)
                num_found += 1
    assert num_found == 2  # over gRPC and over REST


def test_the_page_names_the_signature(folder):
    page = (folder / "serve.md").read_text()
    assert "| `panoptic_maps` | `images` | float32 [batch, h, w, ...] cells of 4 pixels" in page
    assert "`refine`" not in page
