"""PSPNet on the 1,464 images of PASCAL VOC 2012 (512x512): the third stage of ShelfNet's training.

python train.py --config=model_zoo/voc2012/pspnet_resnet101_third.py --data_dir=VOCdevkit/VOC2012 \
    --init_from=runs/voc2012_second --workdir=runs/voc2012_third
python evaluate.py --model=runs/voc2012_third --multi_scale --flip

Before: pspnet_resnet101_second.py. For the server's test set, the paper's code trains on trainval:
--config.data.train_split=trainval. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.pspnet(backbones.resnet101()),
        data=data.shelfnet(data.voc2012(train_split="train"), crop_size=(512, 512)),
        training=schedules.shelfnet_paper(1464, epochs=50, learning_rate=1e-3),
    )
