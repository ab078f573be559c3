"""arch2 on CamVid: the static network of the dynamic cells, trained as long and in the same way as rnn_mobilenet_v2.py.

python train.py --config=model_zoo/camvid/arch2_mobilenet_v2.py --data_dir=CamVid \
    --init_backbone_from=deeplabv3_mobilenet_v2_voc2012_folded.npz --workdir=runs/camvid_arch2
python evaluate.py --model=runs/camvid_arch2
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.arch2(backbones.mobilenet_v2(output_stride=32)),
        data=data.camvid(),
        training=schedules.camvid(),
    )
