"""The text of serve.md in parts, which `server_files.serve_markdown` puts together. In the parts, $$ stands for $."""

INTRODUCTION = """# Serving $name

`$name/` is a SavedModel for TensorFlow Serving. How such folders are checked: TensorFlow's C API, on which the server
is built, loads and runs them; and requests made with the server's own gRPC classes, and over REST, go to a stand-in
that answers as the server's documents say. The server's binary itself, `tensorflow_model_server`, has not been run by
us.

## Start

In the folder of this file, with Docker; gRPC is at port 8500, REST at 8501:

```sh
docker run --rm -p 8500:8500 -p 8501:8501 $switch\\
  -v "$$PWD/$name:/models/$name:ro" -e MODEL_NAME=$name tensorflow/serving:2.15.1
```

With `models.config`, to which further models can be added, and with batching:

```sh
docker run --rm -p 8500:8500 -p 8501:8501 $switch\\
  -v "$$PWD:/models:ro" tensorflow/serving:2.15.1 \\
  --model_config_file=/models/models.config \\
  --enable_batching=true --batching_parameters_file=/models/batching.config
```

Without Docker the same flags go to `tensorflow_model_server --port=8500 --rest_api_port=8501`, and `base_path` in
`models.config` becomes the folder on that machine. A new model goes beside the old one as the next number, `$name/2`;
the server finds it while it runs. Before a model answers, the server sends it the requests in
`assets.extra/tf_serving_warmup_requests`.

## Signatures

The first axis of everything is the batch.

| signature | inputs | outputs |
| --- | --- | --- |
| `serving_default` | `image_bytes` | `mask_png_bytes`, `iterations`, `class_pixels` |
| `segment_bytes` | `image_bytes`, `iterations` | the same |
| `segment_tensors` | `images`, `iterations` | `mask`, `confidence`, `iterations` |
$steps

- `image_bytes`, string [batch]: files. JPEG (grey or of three colours), PNG with up to 8 bits per channel, or an
  uncompressed BMP of 24 bits per pixel. They are decoded to the same pixels as in `segment.py`; all others (CMYK, 16
  bits per channel, GIF, animations, BMP with a palette) are INVALID_ARGUMENT.
- `images`, uint8 [batch, $height, $width, 3]: RGB.
- `iterations`, int32 [batch]: one number for each image, cut to 1 .. $most; what was run comes back.
  Without it there are $default.
- `mask_png_bytes`, string [batch]: grey PNGs of class ids, each in its image's own size.
- `class_pixels`, int32 [batch, $num_classes]: how many pixels each class has.
- `mask`, uint8 [batch, $height, $width]: class ids.
- `confidence`, float32 [batch, $height, $width]: softmax probability of each pixel's class.

An image has at most $max_pixels pixels.

"""

OWN_SIZE = """\
- **Memory** grows with the number of image sizes, unless the server is started with `TF_ENABLE_ONEDNN_OPTS=0` in its
  environment, as above. By default TensorFlow computes convolutions with oneDNN, which makes a program for every layer
  and image size. Each thread that runs operations keeps the last 1024, up to 0.1 GB, and there is a thread a core.
  Measured in one process on 2 cores, with the recurrent CamVid model and 300 sizes up to 96x128: 871 MB after 300
  calls and 874 MB after 3,000; with oneDNN 1055 MB, then 1240 MB after 1,500. Without oneDNN the processor took 0.4
  times as long for sizes up to 120x160 that kept changing, as long for sizes up to 360x480, and 1.15 times as long for
  360x480 alone. Where all images have one size, leave the variable out.
- Images go through the network in their own size. Files in one request may differ in size; arrays cannot.
- **Batching** joins requests for `segment_tensors` only if their images have one size; others come back as
  INVALID_ARGUMENT. `pad_variable_length_inputs` would pad them, and change what the network sees: leave it off, and
  send files.
"""

FIXED_SIZE = """\
- The network sees images in ${height}x$width (height x width). Files are resized to it, and their masks have the files'
  own sizes; `segment_tensors` takes no other size.
"""

TENSORS = """\
- **One bad image** (no image, damaged, too large) makes its whole batch INVALID_ARGUMENT: all images of its request,
  and with batching those of the requests that the server joined with it, at most $max_batch_size images. The server
  goes on. A client that gets INVALID_ARGUMENT for several images sends them again one by one.
- **EXIF orientation is not applied** by the server, which decodes pixels as they are stored. Turn photos of phones
  before they are sent:

```python
from PIL import Image, ImageOps

ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB").save("upright.png")
```

## gRPC from Python

Packages: tensorflow 2.15.1, tensorflow-serving-api 2.15.1, Pillow.

```python
import grpc
import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

CLASSES = $classes
NO_LIMIT = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel("localhost:8500", NO_LIMIT))


def call(signature, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "$name"
    request.model_spec.signature_name = signature
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return {key: tf.make_ndarray(value) for key, value in stub.Predict(request, timeout=60).outputs.items()}


with open("upright.png", "rb") as file:
    photo = file.read()

# A file.
answer = call("serving_default", image_bytes=[photo])
with open("mask.png", "wb") as file:
    file.write(answer["mask_png_bytes"][0])
for class_name, pixels in zip(CLASSES, answer["class_pixels"][0]):
    print(class_name, pixels)

# Two files, each with a number of iterations of its own.
answer = call("segment_bytes", image_bytes=[photo, photo], iterations=np.array([1, $most], np.int32))
print(answer["iterations"])

# Pixels.
images = np.asarray(Image.open("upright.png")$resized)[np.newaxis]
answer = call("segment_tensors", images=images, iterations=np.array([$most], np.int32))
print(answer["mask"].shape, answer["confidence"].mean())
```

"""

REST = """## REST

With curl; `/v1/models/$name` is the state of the model, `/v1/models/$name/metadata` lists its signatures:

```sh
printf '{"inputs": {"image_bytes": [{"b64": "%s"}]}}' "$$(base64 -w0 upright.png)" |
  curl -s -d @- http://localhost:8501/v1/models/$name:predict
```

```sh
printf '{"signature_name": "segment_bytes", "instances": [{"image_bytes": {"b64": "%s"}, "iterations": 1}]}' \\
  "$$(base64 -w0 upright.png)" | curl -s -d @- http://localhost:8501/v1/models/$name:predict
```

From Python, with its own library, and NumPy and Pillow for arrays. Files are in base64 both ways. Arrays as JSON take
many times the space and time of files; gRPC is for them.

```python
import base64
import json
import urllib.request

import numpy as np
from PIL import Image


def post(body):
    headers = {"Content-Type": "application/json"}
    url = "http://localhost:8501/v1/models/$name:predict"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def call(signature, **inputs):
    return post({"signature_name": signature, "inputs": inputs})["outputs"]


with open("upright.png", "rb") as file:
    photo = {"b64": base64.b64encode(file.read()).decode()}

# A file.
answer = call("serving_default", image_bytes=[photo])
with open("mask.png", "wb") as file:
    file.write(base64.b64decode(answer["mask_png_bytes"][0]["b64"]))

# Two files as rows, each with a number of iterations of its own.
rows = [{"image_bytes": photo, "iterations": 1}, {"image_bytes": photo, "iterations": $most}]
for row in post({"signature_name": "segment_bytes", "instances": rows})["predictions"]:
    print(row["iterations"], row["class_pixels"])

# Pixels.
images = np.asarray(Image.open("upright.png")$resized)[np.newaxis].tolist()
answer = call("segment_tensors", images=images, iterations=[$most])
print(np.shape(answer["mask"]), np.mean(answer["confidence"]))
```

"""

# Additions for recurrent models: rows of the signature table, and an example that fits both kinds of `call`.
STEPS = {
    "table": """| `encode` | `images` | features: `invariant_i`, `_f`, `_g`, `_o` float32, and `size` int32 [batch, 2] |
| `initial_state` | `invariant_i` | state: `canvas`, `h1`, `c1`, `h2`, `c2`, `h3`, `c3` float32, zeros |
| `refine` | features without `size`, state | state, one iteration later |
| `decode` | `canvas`, `size` | `mask`, `confidence` |
""",
    "loop": """One iteration at a time, until the mask hardly changes; what `call` and `images` are is above:

```python
features = call("encode", images=images)
size = features.pop("size")
state = call("initial_state", invariant_i=features["invariant_i"])
before = None
for iteration in range(1, $most + 1):
    state = call("refine", **features, **state)
    mask = np.array(call("decode", canvas=state["canvas"], size=size)["mask"])
    if before is not None and np.mean(mask != before) < 0.001:
        break
    before = mask
print(iteration, "iterations")
```

""",
}

# The row of a model with a learned gate.
GATE = """| `gate` | features without `size`, state, `error` float32 [batch, h, w, 1] | state to start a frame with |
"""

# Additions for models of which a video's first frame runs `start` and every further one `refine`, in the same form.
FRAMES = {
    "table": """| `encode` | `images` | features: `layer2`, `layer3`, `layer4` float32, and `size` int32 [batch, 2] |
| `start` | features without `size` | state: `canvas`, `dec`, `previous_layer4` float32 |
| `refine` | features without `size`, and the state of the frame before | state |
| `decode` | `canvas`, `size` | `mask`, `confidence` |
""",
    "loop": """The frames of a video. Each starts from the state of the one before. The first has none and runs
`start`; so do those after a cut, a loss or a change of size. What `call` and `images` are is above:

```python
frames = [images, images]  # in their order, all of one size
state = None
for frame in frames:
    features = call("encode", images=frame)
    size = features.pop("size")
    state = call("refine", **features, **state) if state else call("start", **features)
    mask = np.array(call("decode", canvas=state["canvas"], size=size)["mask"])
print(len(frames), "frames")
```

""",
}

# Additions for panoptic models, in the same form.
PANOPTIC = {
    "table": """| `panoptic_maps` | `images` | float32 [batch, h, w, ...] cells of $stride pixels: `semantic_logits`, \
`heatmap_logits`, `long_offsets`, `short_offsets`, `middle_offsets` |
""",
    "loop": """Instances, which tfseg makes of the maps where the answer arrives, without TensorFlow; what `call` and
`images` are is above:

```python
from tfseg.postprocess.fusion import fuse
from tfseg.postprocess.fusion_config import FusionConfig
from tfseg.postprocess.instance_maps import NAMES, InstanceMaps

maps = {key: np.array(value, np.float32)[0] for key, value in call("panoptic_maps", images=images).items()}
found = fuse(
    maps["semantic_logits"],
    InstanceMaps(**{key: maps[key] for key in NAMES}, stride=$stride),
    thing_ids=$thing_ids,
    label_divisor=$label_divisor,
    size=np.shape(images)[1:3],
    config=FusionConfig.of_network($fusion),
)
for instance in found.instances:
    print(CLASSES[instance.class_id], instance.area, "pixels, score", round(instance.score, 2))
```

""",
}
