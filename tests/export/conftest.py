"""An export of a network that is known by heart."""

import pytest

from tests.fake_network import INFO, FakeNetwork
from tests.training.toy_run import toy_config
from tfseg.export import plan
from tfseg.export.plan import ExportOptions


@pytest.fixture
def planned(monkeypatch, tmp_path):
    """planned(is_recurrent, is_panoptic, **options) -> (Export, [path])."""

    def make(is_recurrent=True, is_panoptic=False, **options):
        config, network = toy_config("records", {}), FakeNetwork(is_recurrent)
        if is_panoptic:
            settings = {"graph": "star", "radius": 9.0, "peak_threshold": 0.02, "instance_score_min": 0.1}
            network.fusion_settings = settings
        network.default_iterations = network.trained_iterations = 3 if is_recurrent else 1
        monkeypatch.setattr(plan, "load_model", lambda *_: (config, INFO, network))
        export = plan.Export(tmp_path / "road", ExportOptions(output_dir=str(tmp_path / "exports"), **options))
        return export, [one.path for one in export.planned]

    return make
