"""Makes the small exports in exports/ with the tools' own libraries. No test runs this: it says where they are from.

Each tool has a virtual environment of its own, since tfseg needs none of them. From the repository's folder:

    python3.11 -m venv .venv-labelme && .venv-labelme/bin/pip install labelme==6.3.1
    .venv-labelme/bin/python -m tests.formats.annotations.making.with_labelme
    python3.11 -m venv .venv-tools && .venv-tools/bin/pip install datumaro==1.13.12 label-studio-sdk==2.1.2 \
        supervision==0.31.2 pycocotools==2.0.11
    .venv-tools/bin/python -m tests.formats.annotations.making.with_datumaro     # and the others with_...
    python3.11 -m venv .venv-ultralytics && .venv-ultralytics/bin/pip install ultralytics==8.4.190 pycocotools==2.0.11
    .venv-ultralytics/bin/python -m tests.formats.annotations.making.with_ultralytics

exports/<name>/export is what a user would give tfseg. exports/<name>/truth holds classes.txt, and for each photograph
<split>_<name>_classes.png and _objects.png: numbers of classes and of objects as the tool's own rasteriser draws them,
or, where it has none, pycocotools or Pillow. Nothing of tfseg is used here.
"""
