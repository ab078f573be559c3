"""Sets up where and how a run computes: devices, workers, numeric precision."""

import json
import os

import tensorflow as tf
from tensorflow import keras

from tfseg.errors import InputError, listed

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")


def build_strategy(name="auto", tpu=""):
    """Returns the tf.distribute strategy.

    Args:
      name: "one_device", "mirrored" (all GPUs, or all logical CPUs), "multi_worker" (from TF_CONFIG), "tpu", or "auto":
        multi_worker if TF_CONFIG names a cluster of several workers, mirrored if there are several GPUs, otherwise
        one_device.
      tpu: name or address of the TPU; only for "tpu".
    Raises:
      InputError: the name is unknown, TF_CONFIG is missing or wrong, or no such TPU is found.
    """
    if name == "auto" and _cluster_size() > 1:
        name = "multi_worker"
    if name == "multi_worker":
        if not _cluster_size():
            raise InputError('--strategy=multi_worker needs TF_CONFIG: {"cluster": {"worker": [...]}, "task": {...}}')
        # This must come before anything asks for devices, which would start TensorFlow without its cluster.
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
            raise InputError(f"TF_CONFIG: {_first_line(error)}") from None
    if name == "tpu":
        return _tpu_strategy(tpu)
    gpus = tf.config.list_logical_devices("GPU")
    if name == "auto":
        name = "mirrored" if len(gpus) > 1 else "one_device"
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
    if name == "mirrored":
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    raise InputError(f"--strategy={name} is unknown; one of {listed(STRATEGIES)}")


def _cluster_size():
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 0
    try:
        cluster = json.loads(text).get("cluster", {})
        return len(cluster.get("worker", [])) + len(cluster.get("chief", []))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f'TF_CONFIG is not JSON like {{"cluster": {{"worker": [...]}}, ...}}: {error}') from None


def _tpu_strategy(tpu):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError, OSError) as error:
        raise InputError(
            f"--strategy=tpu: no TPU named {tpu!r} was found ({_first_line(error)}); give its name with --tpu"
        ) from None
    return tf.distribute.TPUStrategy(resolver)


def _first_line(error):
    return str(error).strip().partition("\n")[0] or type(error).__name__


def is_chief(strategy):
    """Whether this process writes the run directory's files."""
    resolver = strategy.cluster_resolver
    if resolver is None or not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return True
    return resolver.task_type in (None, "chief") or (
        resolver.task_type == "worker" and resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs
    )


def set_precision(precision, warn=print):
    """Sets Keras' mixed precision policy and returns what was chosen: "bfloat16", "float16" or "off".

    "auto" means float16 on a GPU, bfloat16 on a TPU and off elsewhere. Without a GPU, float16 is replaced by bfloat16,
    because on a CPU it is 50 times slower; `warn` is then called with one line.
    """
    has_gpu, has_tpu = tf.config.list_physical_devices("GPU"), tf.config.list_logical_devices("TPU")
    if precision == "auto":
        precision = "bfloat16" if has_tpu else "float16" if has_gpu else "off"
    if precision == "float16" and not has_gpu:
        warn("--precision=float16 is 50 times slower on a CPU; bfloat16 is used instead")
        precision = "bfloat16"
    policies = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16", "off": "float32"}
    keras.mixed_precision.set_global_policy(policies[precision])
    return precision
