"""The pages for those who come from elsewhere name all that the five projects show: commands, notebooks, models."""

from __future__ import annotations

import pytest
from reading import DOCS

NAMED = {
    "contextnet": """
        torch_semantic_segmentation.models.contextnet|contextnet12|contextnet14|contextnet18|ContextNet14-500|
        ContextNet14-160|contextnet14(in_channels=3, out_channels=19)|JIT|scripts/contextnet/train_contextnet.py|
        --batch_size 16|--learning_rate 3e-3|--epochs 1000|--weight_decay 1e-5|--crop_size 768x512|--dataset bdd100k|
        compression|Evaluation|scripts/contextnet/benchmark_contextnet.py|--size 1024x512|--device cuda:0|
        --iterations 50|--warmup 5|--models contextnet12 contextnet14 contextnet18""",
    "lightnet": """
        train_mobile.py|train_mobile_mvd.py|train_share.py|train_mixscale.py|train_shuffle.py|train_inplace.py|
        deploy_model.py|evaluation_cityscapes.py|demo_cityscapes.py|MobileNetV2Plus|RF-MobileNetV2Plus|
        MobileNetV2Share|Mixed-scale DenseNet|RF-Mixed-scale DenseNet|SE-WResNetV2|SE-Wide-ResNetV2|ShuffleNetPlus|
        RFShuffleNetPlus|SE-DPShuffleNet|pix2pixHD|SGDR|yclical|SWA|SCSE|ASPP|RFB|inplace_abn|tensorboardX|tqdm|
        CityscapesScripts|Mapillary Vistas|Python3|PyTorch(0.3.0+)""",
    "refinenet_lw": """
        examples/notebooks/VOC.ipynb|examples/notebooks/PersonPart.ipynb|examples/notebooks/Context.ipynb|
        examples/notebooks/NYU.ipynb|jupyter notebook|Colab|own images|videos|webcam|requirements.txt|
        requirements3.txt|RF-LW-ResNet-50|RF-LW-ResNet-101|RF-LW-ResNet-152|RF-LW-MobileNet-v2|NASNet-Mobile|
        CityScapes' models|--evaluate|multi-task|RefineNet-101|python src/setup.py build_ext --build-lib=./src/|
        ./train/nyu.sh|src/config.py|src/datasets.py|NUM_CLASSES|TRAIN_DIR|VAL_DIR|NYUDataset|CloudStor""",
    "csfcn": """
        python -m venv|requirements.txt|data/cityscapes|data/camvid|pretrained_models/imagenet/|train.py --cfg|
        configs/CSFCN_cityscapes.yaml|trainval.py --cfg|configs/CSFCN_cityscapes_trainval.yaml|tools/eval.py|
        configs/CSFCN_camvid.yaml|TEST.MODEL_FILE|tools/submit.py|models/speed/CSFCN_speed.py --c 19 --r 1024 2048|
        --c 11 --r 720 960|TensorRT|torch2trt|tools/custom.py|'*.png'|CSFCN-100|CSFCN-75|CSFCN-50|CSFCN-P|CSFCN-Tiny|
        SFANet|MGSeg|ICNet|SwiftNet|BiSeNet|MSFNet""",
    "edgeai_lite": """
        run_edgeailite_segmentation.sh|train_segmentation_main.py|infer_segmentation_main.py|--model_name|
        --dataset_name|cityscapes_segmentation|voc_segmentation|cityscapes_segmentation_measure|--data_path|
        --img_resize|--rand_crop|--output_size|--pretrained|--gpus 0 1|--phase validation|
        deeplabv3plus_mobilenetv2_tv_edgeailite|unet_aspp_mobilenetv2_tv_edgeailite|
        fpn_aspp_mobilenetv2_tv_edgeailite|fpn_aspp_mobilenetv2_tv_fd_edgeailite|
        deeplabv3plus_regnetx800mf_edgeailite|unet_aspp_regnetx800mf_edgeailite|fpn_aspp_regnetx400mf_edgeailite|
        fpn_aspp_regnetx800mf_edgeailite|fpn_aspp_regnetx1p6gf_edgeailite|fpn_aspp_regnetx3p2gf_edgeailite|
        unet_edgeailite_pixel2pixel_aspp_mobilenetv2_tv|wget|tar -xvf|SegmentationClassAug|train_noval.txt|trainaug|
        VOCtrainval_06-Nov-2007|VOCtest_06-Nov-2007|ADE20K32|COCOSeg21|QAT|Xception65|MobileNetV3|ERFNet|SwiftNet|
        ResNet50+FCN|ResNet50+DeepLabV3|several inputs""",
    "mmsegmentation": """
        tools/train.py|tools/dist_train.sh|tools/slurm_train.sh|tools/test.py|image_demo.py|video_demo.py|
        MMSegInferencer|get_flops.py|benchmark.py|browse_dataset.py|reduce_zero_label|_base_|mmdeploy""",
    "smp": """
        smp.Unet|encoder_weights|in_channels|DiceLoss|FocalLoss|LovaszLoss|get_stats|save_pretrained|
        get_preprocessing_fn|aux_params|multilabel""",
}


@pytest.mark.parametrize("project", NAMED)
def test_everything_of_the_front_page_has_its_row(project: str) -> None:
    page = (DOCS / "migrating" / f"{project}.md").read_text("utf-8")
    names = [name.strip() for name in NAMED[project].split("|")]
    assert [name for name in names if name not in page] == []


def test_what_is_not_there_is_said() -> None:
    for project in NAMED:
        assert "*not there*" in (DOCS / "migrating" / f"{project}.md").read_text("utf-8").lower(), project
