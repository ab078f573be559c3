"""What the residual networks share: their numbers of units and widths, and the way through the units."""

UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # of the four stages, by depth
WIDTHS = (64, 128, 256, 512)  # channels of the stages' 3x3 convolutions


def endpoints_through(units, plan, stem, pooled, output_stride, training):
    """Runs the units of a residual network, and returns the maps of all strides.

    Args:
      units: the units' layers.
      plan: for each of them, a record with `nominal_stride`, its stride in the original network.
      stem: the stem's output, at stride 2.
      pooled: the same after pooling, at stride 4.
      output_stride: stride of the last map.
      training: see Keras.
    Returns:
      {"stride_k": the map of stride k, for k = 2, 4, ... up to the output stride, before a unit halves it or would
      have; "last": the last map}.
    """
    endpoints, stride, outputs = {"stride_2": stem}, 4, pooled
    for planned, unit in zip(plan, units, strict=True):
        if planned.nominal_stride == 2:
            if stride <= output_stride:
                endpoints[f"stride_{stride}"] = outputs
            stride *= 2
        outputs = unit(outputs, training=training)
    return {**endpoints, "last": outputs}
