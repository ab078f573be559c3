"""Run by test_runner in a process of its own: three images on two logical CPUs equal the same on one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import tensorflow as tf

from tests.fake_network import FakeNetwork, blocks
from tfseg.inference.runner import Inference

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    distributed = Inference(FakeNetwork())
assert distributed.num_replicas == 2
images = [blocks([[0, 1]]), blocks([[2], [1], [0]]), blocks([[1, 2, 0]])]
for ours, theirs in zip(distributed.refine(images, 2), Inference(FakeNetwork()).refine(images, 2), strict=True):
    for index in range(2):
        np.testing.assert_array_equal(ours.class_ids(index), theirs.class_ids(index))
graph = distributed._run.get_concrete_function().graph
assert any("CPU:1" in operation.device for operation in graph.get_operations())
