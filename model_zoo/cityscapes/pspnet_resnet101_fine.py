"""PSPNet on the fine labels of Cityscapes (768x768): the second stage of ShelfNet's training, after the coarse labels.

python train.py --config=model_zoo/cityscapes/pspnet_resnet101_fine.py --data_dir=cityscapes \
    --init_from=runs/cityscapes_coarse --workdir=runs/cityscapes_fine

Before: pspnet_resnet101_coarse.py. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.pspnet(backbones.resnet101()),
        data=data.shelfnet(data.cityscapes(), crop_size=(768, 768)),
        training=schedules.shelfnet_paper(2975, epochs=500, global_batch_size=6, learning_rate=5e-3),
    )
