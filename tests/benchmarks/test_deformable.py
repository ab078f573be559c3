"""All forms of the deformable convolution compute the same, and the table has their ratios."""

import re

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver

from tfseg.benchmarks import deformable
from tfseg.benchmarks.deformable import FORMS, PLAIN, PRODUCT, Timed

EXACT = [name for name, form in FORMS.items() if form.is_exact]


@pytest.mark.parametrize("name", EXACT)
def test_a_form_gives_what_the_layer_gives(name):
    """Also the same gradients."""
    layer, inputs = deformable.layer_and_inputs((5, 7), channels=8)
    results = []
    for form in (PRODUCT, name):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = FORMS[form].compute(layer, inputs)
            total = tf.reduce_sum(outputs**2)
        results.append([outputs, *tape.gradient(total, [inputs, *layer.trainable_variables])])
    for own, expected in zip(*results, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(own), tf.convert_to_tensor(expected), atol=1e-4)


def test_16_bits_are_near():
    layer, inputs = deformable.layer_and_inputs((5, 7), channels=8)
    np.testing.assert_allclose(deformable.in_16_bits(layer, inputs), layer(inputs), atol=0.05)


@pytest.mark.parametrize("name", [name for name in EXACT if FORMS[name].is_exportable])
def test_tflite_has_the_operations_of_what_is_called_exportable(name):
    layer, inputs = deformable.layer_and_inputs((12, 15), channels=8)
    function = tf.function(lambda images: FORMS[name].compute(layer, images))
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function(tf.TensorSpec(inputs.shape))], layer
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs.numpy())
    interpreter.invoke()
    result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(result, layer(inputs), atol=1e-4)


def test_it_times_every_form_in_use_and_in_training(monkeypatch, capsys):
    monkeypatch.setattr(deformable, "SIZES", ((4, 5), (2, 3)))
    monkeypatch.setattr(deformable, "FORMS", {name: FORMS[name] for name in (PLAIN, PRODUCT)})
    with flagsaver.as_parsed(num_rounds="2", most_seconds="1e9"):
        deformable.main(["benchmark"])
    lines = capsys.readouterr().out.splitlines()
    for size in ("4x5", "2x3"):
        for name in (PLAIN, PRODUCT):
            assert [line for line in lines if re.match(rf"\| {size} +\| {name} +(\| +\d+\.\d\d ){{4}}\|", line)]
    assert lines[-1] == "medians of 2 and 2 rounds"


def test_ratios_are_to_the_plain_convolution_on_the_same_map():
    rows = [Timed(PLAIN, (2, 3), [1.0, 2.0, 30.0], [4.0]), Timed(PRODUCT, (2, 3), [3.0], [6.0])]
    last = deformable.as_markdown(rows).splitlines()[-1]
    assert [cell.strip() for cell in last.split("|")[3:-1]] == ["3.00", "1.50", "6.00", "1.50"]
