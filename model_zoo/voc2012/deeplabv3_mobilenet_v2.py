"""DeepLabV3 in its mobile form on PASCAL VOC 2012 (21 classes, 513x513): image pooling and a 1x1 convolution alone.

python train.py --config=model_zoo/voc2012/deeplabv3_mobilenet_v2.py --data_dir=VOCdevkit/VOC2012 \
    --init_backbone_from=mobilenet_v2/model.ckpt --workdir=runs/voc2012_deeplabv3_mobile

The schedule is that of rnn_resnet101.py. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.mobile_deeplabv3(backbones.mobilenet_v2()),
        data=data.voc2012(),
        training=schedules.recurrent_paper(),
    )
