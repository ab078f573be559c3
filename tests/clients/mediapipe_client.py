"""MediaPipe's ImageSegmenter runs our segment files: python mediapipe_client.py FOLDER

FOLDER is what `tests.clients.artifacts` describes. Fails with an AssertionError.
"""

import io
import json
import sys
import zipfile
from pathlib import Path

import cv2
import flatbuffers
import mediapipe as mp
import numpy as np
from mediapipe.tasks.metadata import image_segmenter_metadata_schema_py_generated as segmenter_schema
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as schema
from mediapipe.tasks.python import BaseOptions, vision


def segment(content, images):
    """Labels, and for each image the category mask and the confidence masks, [height, width, num_classes]."""
    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_buffer=content), output_category_mask=True, output_confidence_masks=True
    )
    results = []
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        for image in images:
            result = segmenter.segment(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image)))
            confidences = [np.array(mask.numpy_view()) for mask in result.confidence_masks]
            height_width = image.shape[:2]
            results.append(
                (
                    np.array(result.category_mask.numpy_view()).reshape(height_width),
                    np.stack([mask.reshape(height_width) for mask in confidences], -1),
                )
            )
        return list(segmenter.labels), results


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def check_masks(content, images, expected, is_int8):
    """The class of every pixel has the highest logit, confidences are the softmax of the logits.

    Of 8 bits, equal logits are common, and kernels of different versions round differently.
    """
    labels, results = segment(content, images)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        described = json.loads(archive.read("tfseg.json"))
    assert labels == described["classes"]["class_names"], labels
    categories, confidences = (np.stack(part) for part in zip(*results, strict=True))
    reached = np.take_along_axis(expected, categories[..., np.newaxis].astype(int), -1)[..., 0]
    agreement = np.mean(expected.max(-1) - reached <= 1e-4)
    assert agreement >= (0.98 if is_int8 else 1), f"category mask is the argmax of the logits in {agreement:.2%}"
    difference = np.abs(confidences - softmax(expected)).max()
    assert difference <= (2e-2 if is_int8 else 1e-3), f"confidence masks differ from softmax by {difference}"
    return f"{agreement:.2%} of classes, confidences within {difference:.1e}"


def check_photo(content, photo, expected, is_int8):
    """Masks of a photo of another size have its size, and are those of the photo in the network's size, enlarged."""
    _, [(categories, confidences)] = segment(content, [photo])
    assert confidences.shape[:2] == categories.shape == photo.shape[:2]
    enlarged = cv2.resize(softmax(expected), photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    tolerance = 2e-2 if is_int8 else 2e-3
    difference = np.abs(confidences - enlarged).max()
    assert difference <= tolerance, f"confidence masks of the photo differ by {difference}"
    second, first = np.sort(enlarged, -1)[..., -2:].transpose(2, 0, 1)
    is_clear = first - second > tolerance
    assert is_clear.any(), "no pixel of the photo has a clear class"
    agreement = np.mean(categories[is_clear] == enlarged.argmax(-1)[is_clear])
    assert agreement >= 0.999, (
        f"category mask of the photo agrees in {agreement:.1%} of the {is_clear.sum()} clear pixels"
    )
    return f"photo of {photo.shape[0]}x{photo.shape[1]} within {difference:.1e}, {is_clear.mean():.0%} of it clear"


def check_metadata(content):
    """MediaPipe's own generated code reads what we wrote."""
    model = schema.ModelT.InitFromPackedBuf(content)
    [index] = [entry.buffer for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    data = bytes(model.buffers[index].data)
    assert metadata_schema.ModelMetadata.ModelMetadataBufferHasIdentifier(data, 0)
    [graph] = metadata_schema.ModelMetadataT.InitFromPackedBuf(data).subgraphMetadata
    [image], [logits] = graph.inputTensorMetadata, graph.outputTensorMetadata
    assert (image.name, logits.name) == (b"image", b"logits")
    assert image.content.contentProperties.colorSpace == metadata_schema.ColorSpaceType.RGB
    [unit] = image.processUnits
    assert (list(unit.options.mean), list(unit.options.std)) == ([0], [1])
    assert (list(image.stats.min), list(image.stats.max)) == ([0], [255])
    [file] = logits.associatedFiles
    assert (file.name, file.type) == (b"labels.txt", metadata_schema.AssociatedFileType.TENSOR_AXIS_LABELS)
    [custom] = graph.customMetadata
    options = segmenter_schema.ImageSegmenterOptionsT.InitFromPackedBuf(bytes(custom.data))
    assert options.activation == segmenter_schema.Activation.SOFTMAX


def without_metadata(content):
    model = schema.ModelT.InitFromPackedBuf(content)
    model.metadata = [entry for entry in model.metadata if entry.name != b"TFLITE_METADATA"]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def check_that_metadata_is_needed(content, image):
    try:
        segment(without_metadata(content), [image])
    except (RuntimeError, ValueError, OSError) as error:  # as MediaPipe maps its status codes
        assert "NormalizationOptions" in str(error), error
    else:
        raise AssertionError("MediaPipe ran a float file without metadata: our metadata may not be what it reads")


def main(folder):
    with np.load(folder / "images.npz") as arrays:
        images, photo = arrays["images"], arrays["photo"]
    paths = sorted(folder.glob("*_segment_*.tflite"))
    assert paths, f"{folder}: has no file of the kind segment"
    print(f"MediaPipe {mp.__version__}")
    with np.load(folder / "expected.npz") as expected:
        for path in paths:
            content = path.read_bytes()
            check_metadata(content)
            is_int8 = "_int8" in path.name
            masks = check_masks(content, images, expected[path.name], is_int8)
            enlarged = check_photo(content, photo, expected[f"{path.name}/photo"][0], is_int8)
            if not is_int8:
                check_that_metadata_is_needed(content, images[0])
            print(f"{path.name}: {masks}; {enlarged}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
