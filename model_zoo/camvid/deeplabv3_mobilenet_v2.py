"""DeepLabV3 with its whole pyramid on CamVid, trained as long and in the same way as rnn_mobilenet_v2.py.

python train.py --config=model_zoo/camvid/deeplabv3_mobilenet_v2.py --data_dir=CamVid \
    --init_backbone_from=deeplabv3_mobilenet_v2_voc2012_folded.npz --workdir=runs/camvid_deeplabv3
python evaluate.py --workdir=runs/camvid_deeplabv3 --output_stride=8 --report_dir=runs/camvid_deeplabv3/stride8

Trained at output stride 16, evaluated at 16 and, with the same weights, at 8.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.deeplabv3(backbones.mobilenet_v2()),
        data=data.camvid(),
        training=schedules.camvid(),
    )
