"""PSPNet on PASCAL-Context (59 classes; the background is ignored; 512x512), trained as ShelfNet is in its paper.

python train.py --config=model_zoo/pascal_context/pspnet_resnet101.py --data_dir=VOCdevkit/VOC2010 \
    --init_backbone_from=resnet_v1_101/model.ckpt --workdir=runs/pascal_context
python evaluate.py --model=runs/pascal_context --multi_scale --flip

Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.pspnet(backbones.resnet101()),
        data=data.shelfnet(data.pascal_context(), crop_size=(512, 512)),
        training=schedules.shelfnet_paper(4998, epochs=80, learning_rate=1e-3),
    )
