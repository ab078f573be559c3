"""PSPNet on the coarse labels of Cityscapes (768x768): the first stage of ShelfNet's training.

python train.py --config=model_zoo/cityscapes/pspnet_resnet101_coarse.py --data_dir=cityscapes \
    --init_backbone_from=resnet_v1_101/model.ckpt --workdir=runs/cityscapes_coarse

After: pspnet_resnet101_fine.py. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.pspnet(backbones.resnet101()),
        data=data.shelfnet(data.cityscapes(train_split="train_coarse"), crop_size=(768, 768)),
        training=schedules.shelfnet_paper(22_973, epochs=30, global_batch_size=6),
    )
