"""Which devices and which precision a run gets, and one clear line where there are none."""

import json
from types import SimpleNamespace

import pytest
import tensorflow as tf
from tensorflow import keras

from tfseg.errors import InputError
from tfseg.training.strategy import build_strategy, is_chief, set_precision

TWO_WORKERS = {"worker": ["localhost:1", "localhost:2"]}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)


@pytest.fixture
def built(monkeypatch):
    """Strategies that would start devices or servers, as their names and arguments."""
    for name in ("MirroredStrategy", "MultiWorkerMirroredStrategy", "OneDeviceStrategy"):
        monkeypatch.setattr(tf.distribute, name, lambda *arguments, name=name: (name, *arguments))


def with_gpus(monkeypatch, count):
    devices = {"GPU": [SimpleNamespace(name=f"GPU:{index}") for index in range(count)], "TPU": []}
    devices["CPU"] = [SimpleNamespace(name="CPU:0"), SimpleNamespace(name="CPU:1")]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: devices[kind])


@pytest.mark.parametrize(
    "gpus,expected",
    [
        (0, ("OneDeviceStrategy", "/cpu:0")),
        (1, ("OneDeviceStrategy", "/gpu:0")),
        (2, ("MirroredStrategy", ["GPU:0", "GPU:1"])),
    ],
)
def test_auto_takes_the_one_device_or_all_gpus(built, monkeypatch, gpus, expected):
    with_gpus(monkeypatch, gpus)
    assert build_strategy("auto") == expected


def test_auto_follows_tf_config_only_where_it_names_several_workers(built, monkeypatch):
    with_gpus(monkeypatch, 0)
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": TWO_WORKERS, "task": {"type": "worker", "index": 0}}))
    assert build_strategy("auto") == ("MultiWorkerMirroredStrategy",)
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["localhost:1"]}}))
    assert build_strategy("auto")[0] == "OneDeviceStrategy"
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"chief": ["localhost:1"], "worker": ["localhost:2"]}}))
    assert build_strategy("auto") == ("MultiWorkerMirroredStrategy",)


def test_mirrored_takes_all_logical_cpus_where_there_is_no_gpu(built, monkeypatch):
    with_gpus(monkeypatch, 0)
    assert build_strategy("mirrored") == ("MirroredStrategy", ["CPU:0", "CPU:1"])


def test_an_unknown_strategy_is_refused():
    with pytest.raises(InputError, match="--strategy=many is unknown; one of auto, one_device"):
        build_strategy("many")


@pytest.mark.parametrize("text", ["", "{}", '{"cluster": {"worker": []}}'])
def test_several_workers_need_tf_config(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match="--strategy=multi_worker needs TF_CONFIG"):
        build_strategy("multi_worker")


@pytest.mark.parametrize("text", ["worker 0", "[1]", '"worker"', '{"cluster": 5}', '{"cluster": {"worker": 5}}'])
@pytest.mark.parametrize("name", ["auto", "multi_worker"])
def test_a_tf_config_that_is_none_is_named(monkeypatch, name, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match="TF_CONFIG is not JSON like"):
        build_strategy(name)


@pytest.mark.parametrize(
    "task,message",
    [
        (None, "must also specify `task_type`"),
        ({"type": "worker", "index": 7}, "`task_id` 7 exceeds the maximum id"),
        ({"type": "boss", "index": 0}, "Unrecognized task_type: boss"),
    ],
)
def test_a_task_that_is_not_in_the_cluster_is_named(monkeypatch, task, message):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": TWO_WORKERS} | ({"task": task} if task else {})))
    with pytest.raises(InputError, match=f"TF_CONFIG: .*{message}"):
        build_strategy("multi_worker")


@pytest.mark.parametrize(
    "error,reason",
    [
        (ValueError("Please provide a TPU Name.\nSecond line"), "Please provide a TPU Name."),
        (tf.errors.NotFoundError(None, None, "TPUs not found in the cluster."), "TPUs not found in the cluster."),
        (OSError(), "OSError"),
    ],
)
def test_no_tpu_is_one_line_that_says_what_to_give(monkeypatch, error, reason):
    def find_none(tpu):
        assert tpu == "pod-1"
        raise error

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", find_none)
    with pytest.raises(InputError) as raised:
        build_strategy("tpu", "pod-1")
    assert str(raised.value) == (f"--strategy=tpu: no TPU named 'pod-1' was found ({reason}); give its name with --tpu")


@pytest.mark.parametrize(
    "cluster,task_type,task_id,expected",
    [
        (TWO_WORKERS, "worker", 0, True),
        (TWO_WORKERS, "worker", 1, False),
        (TWO_WORKERS | {"chief": ["localhost:3"]}, "chief", 0, True),
        (TWO_WORKERS | {"chief": ["localhost:3"]}, "worker", 0, False),
    ],
)
def test_one_of_several_workers_writes_the_files(monkeypatch, cluster, task_type, task_id, expected):
    class Workers:
        cluster_resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(cluster), task_type=task_type, task_id=task_id
        )

    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", Workers)
    assert is_chief(Workers()) is expected


def test_a_process_by_itself_writes_its_files():
    assert is_chief(tf.distribute.OneDeviceStrategy("/cpu:0"))
    assert is_chief(tf.distribute.MirroredStrategy(["/cpu:0"]))


@pytest.fixture
def policy():
    yield keras.mixed_precision.global_policy
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize(
    "asked,gpus,chosen,policy_name",
    [
        ("auto", 0, "off", "float32"),
        ("auto", 1, "float16", "mixed_float16"),
        ("off", 1, "off", "float32"),
        ("bfloat16", 0, "bfloat16", "mixed_bfloat16"),
    ],
)
def test_precision_suits_the_device(policy, monkeypatch, asked, gpus, chosen, policy_name):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * gpus)
    warnings = []
    assert set_precision(asked, warnings.append) == chosen
    assert (policy().name, warnings) == (policy_name, [])


def test_float16_on_a_cpu_is_bfloat16_with_a_warning(policy):
    warnings = []
    assert set_precision("float16", warnings.append) == "bfloat16"
    assert policy().name == "mixed_bfloat16"
    assert warnings == ["--precision=float16 is 50 times slower on a CPU; bfloat16 is used instead"]
