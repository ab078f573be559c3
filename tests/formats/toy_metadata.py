"""Metadata of .tflite files for tests: ours, and those of another writer."""

import base64
import io
import json
import zipfile
import zlib

import numpy as np
from tensorflow.lite.python.schema_py_generated import BufferT, MetadataT

from tests.export.toy_exports import changed
from tfseg.formats import tflite_metadata_tables
from tfseg.labels import DatasetInfo, default_colors

INFO = DatasetInfo("toy", ("road", "Bäume", "a car"), default_colors(3), thing_ids=frozenset([2]))
DESCRIPTION = {
    "format": "tfseg 1",
    "name": "toy",
    "classes": json.loads(json.dumps(INFO.to_dict())),
    "is_recurrent": True,
    "iterations": 6,
    "max_iterations": 8,
    "size": [9, 14],
    "padding": "same",
    "stride": 2,
    "kind": "segment",
    "precision": "fp32",
}
# Metadata of another writer: MediaPipe's own generated code. Its model has two outputs, the second with labels in
# labelmap.txt, mean and deviation 127.5, custom metadata of two kinds, and the activation SIGMOID.
FOREIGN = zlib.decompress(
    base64.b85decode(
        "c-n1JF;Bu!5I#VmYKMk&=)maUU`UBL8;Ff8Xo8J#BL$we$%A5fL~(Lp@W(K^>)_z8vfjOS4GcE<axd5KzWeUpYXCss_ggNw-~fF#SUT=u"
        "26WCt93#HU0Q(qQ&GV*@k$8)ADn{vKMHMAPL-Sp&;GkCVS*Yi+-aFz0p|AiY;a+zGX#eIpX_EE{bMMfbg*r#bu(&6+GCq9mqmH-@uKK}s"
        "7z~E}AnaUr!VbWi^~gnqipmx3|0e7O1NKXOH_Y>Pay7)$GLnf}>Dow2?RCRE>RN0Hcwcq)C&A3s;~8w;1kGTxAEMaI6El;O(MZT?G;gXG"
        "1#rmvH9VP_$rqh75lyDTut<L(7RjsVCNi0cC>x#uRQ0~A|I9-3nS1p(+M4Td{uD7stP$UcpM1N+lD6^o$?>AZ`Q7_**sI05#hq>I^KKC>"
        "oaTTzdM9P_UDLjcdE5N<T%LvgjZ>K}GxHXolZlEsAB*HMRwh4+)R^*gp2w+5c@Gb1hO8O<0Rxm#$N"
    )
)


def with_data(content, data, files=None, compression=zipfile.ZIP_DEFLATED):
    """Returns the model with this FlatBuffer as its metadata, and with files after it."""

    def put(model):
        entry, buffer = MetadataT(), BufferT()
        entry.name, entry.buffer, buffer.data = b"TFLITE_METADATA", len(model.buffers), np.frombuffer(data, np.uint8)
        model.metadata, model.buffers = [*(model.metadata or []), entry], [*model.buffers, buffer]

    file = io.BytesIO(changed(content, put))
    if files is not None:
        with zipfile.ZipFile(file, "a", compression) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
    return file.getvalue()


def packed(**fields):
    """Packs metadata of one subgraph."""
    return tflite_metadata_tables.pack("ModelMetadata", {"subgraph_metadata": [fields]})


def normalization(mean, std):
    options = ("NormalizationOptions", {"mean": mean, "std": std})
    units = [{"options_type": 3}, {"options_type": 1, "options": options}]
    return packed(input_tensor_metadata=[{"process_units": units}])


def segmenter(options):
    return {"name": "SEGMENTER_METADATA", "data": tflite_metadata_tables.pack("ImageSegmenterOptions", options)}
