"""ShelfNet50 on the 1,464 images of PASCAL VOC 2012 itself (512x512): the last stage of its training.

python train.py --config=model_zoo/voc2012/shelfnet_resnet50_fine.py --data_dir=VOCdevkit/VOC2012 \
    --init_from=runs/voc2012_shelfnet50 --workdir=runs/voc2012_shelfnet50_fine
python evaluate.py --model=runs/voc2012_shelfnet50_fine --multi_scale --flip

For the server's test set, the paper's code trains on trainval: --config.data.train_split=trainval. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.shelfnet(backbones.torchvision_resnet("resnet50_v1_5")),
        data=data.shelfnet(data.voc2012(train_split="train"), crop_size=(512, 512)),
        training=schedules.shelfnet_paper(1464, epochs=50, learning_rate=1e-3),
    )
