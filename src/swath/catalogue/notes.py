"""What each family is for and when to choose it, for docs/networks.md. How it works says the family's own docstring."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    title: str
    text: str
    drawn: str  # the network in the drawing


NOTES: dict[str, Note] = {
    "contextnet": Note(
        "ContextNet",
        "The first choice for a small device and a good first network for a card of your own: under a million "
        "parameters, trains from scratch without ImageNet weights, and every layer is one that all engines and int8 "
        "tools know. The number in the name is how much smaller the picture of the context branch is in all: 12 "
        "sees the most detail, 18 is the fastest. The `_500` and `_160` forms are for devices that are short of "
        "memory.",
        "contextnet14",
    ),
    "edgeai_lite": Note(
        "EdgeAI-Lite",
        "Classic decoders made of depthwise and grouped layers, for accelerators that run int8 with power-of-two "
        "scales. DeepLabV3+ is the cheap default, FPN the more accurate one, UNet answers at half of the picture's "
        "size and suits thin things with few classes. The only family that takes several inputs (image and optical "
        "flow) and several tasks (segmentation, depth, motion) with any encoder. `_fd` halves the size once more: "
        "choose it for pictures of a megapixel and above.",
        "deeplabv3plus_lite_mobilenetv2",
    ),
    "lightnet_mobilenet": Note(
        "LightNet: MobileNetV2",
        "Accuracy first, on a desktop GPU: the trunk stays at stride 8, so thin objects survive, and the context "
        "blocks are wide. Much heavier than the networks for small devices. `rf_` has a receptive field block in "
        "place of ASPP; `mobilenetv2share` cuts the picture into quadrants.",
        "mobilenetv2plus",
    ),
    "lightnet_encoding": Note(
        "LightNet: context encoding",
        "For sets with many classes of which few occur in one picture: the gates learn from the whole picture which "
        "ones. Train with `aux`, which tells them.",
        "rf_mobilenetv2context",
    ),
    "lightnet_densenet": Note(
        "LightNet: mixed-scale dense networks",
        "Very few parameters, for small training sets (microscopy, single objects). The many narrow layers need far "
        "more time and, in training, memory than their parameters suggest; use activation checkpointing.",
        "mixscale_densenet",
    ),
    "lightnet_wresnet": Note(
        "LightNet: wide residual networks",
        "Teachers: large trunks that keep stride 8, far from real time. Use them to label pictures for a small "
        "network, not on a device.",
        "se_wresnetv2",
    ),
    "lightnet_shufflenet": Note(
        "LightNet: ShuffleNet",
        "The grouped and shuffled relative of LightNet's MobileNetV2; a comparison more than a recommendation, "
        "since channel shuffles cost more on most engines than their arithmetic says.",
        "shufflenetplus",
    ),
    "lightnet_dualpath": Note(
        "LightNet: dual path network",
        "A heavy network with three supervised outputs that vote. For comparisons and as a teacher.",
        "se_dpshufflenet",
    ),
    "lightnet_inception": Note(
        "LightNet: Inception-ResNet-v2",
        "A teacher on a classic trunk, kept for completeness.",
        "inceptionresnetv2_aspp",
    ),
    "refinenet_lw": Note(
        "Light-Weight RefineNet",
        "A sound decoder for general pictures (VOC, indoor scenes, people) on a desktop GPU, and the family to "
        "choose for fine-tuning: authors' checkpoints of four data sets can be imported (`swath import`). "
        "MobileNetV2 brings it to small GPUs; the `mtl` networks give depth, or depth and surface normals, for a "
        "little more.",
        "rf_lw_resnet50",
    ),
    "fastscnn": Note(
        "Fast-SCNN",
        "ContextNet's successor by the same authors: one stem for both branches, more context. Choose it for large "
        "pictures on small devices; it trains from scratch, and needs long trainings.",
        "fastscnn",
    ),
    "enet": Note(
        "ENet",
        "The smallest of the classics by parameters. Old and not fast for its size (many thin layers); choose it "
        "where the file must be tiny, or to compare with papers.",
        "enet",
    ),
    "erfnet": Note(
        "ERFNet",
        "A plain, robust encoder-decoder that trains from scratch and is easy to port: one path, no branches. Sharp "
        "edges for its age; slower than two-branch networks of equal accuracy.",
        "erfnet",
    ),
    "esnet": Note(
        "ESNet",
        "ERFNet's symmetric relative: fewer parameters at about its cost. Choose it where ERFNet is almost good "
        "enough.",
        "esnet",
    ),
    "lednet": Note(
        "LEDNet",
        "Under a million parameters with an attention decoder at stride 8. `lednet_seedcode` is a public "
        "implementation with more parameters, kept so that its figures can be repeated.",
        "lednet",
    ),
    "fc_densenet": Note(
        "FC-DenseNet",
        "For small data sets with fine structure and no hurry: it works at the full size of the picture and keeps "
        "every map. Few parameters, much memory; not real time.",
        "fc_densenet57",
    ),
    "csfcn": Note(
        "CSFCN",
        "Street scenes on a GPU: a ResNet-18 whose context comes from a pyramid of pooled cells that every pixel "
        "weighs for itself, and is aligned with the detail at stride 8 by learned sampling. `csfcn_tiny` recalibrates "
        "with fewer channels and answers at stride 8; `_plainstem` fits common ImageNet weights and is the one to "
        "start with.",
        "csfcn_plainstem",
    ),
    "sfanet": Note(
        "SFANet",
        "Street scenes on a GPU, good at boundaries: each stage's map is warped onto the finer one before they are "
        "joined. The warp (grid sampling) is slow or missing on some engines: try an export first.",
        "sfanet",
    ),
    "mgseg": Note(
        "MGSeg",
        "Street scenes on a GPU: every class has its own weights of the fusion. Many small maps, so compile it or "
        "export it before judging its speed.",
        "mgseg",
    ),
    "icnet": Note(
        "ICNet",
        "The classic answer to large pictures: only a quarter-size copy sees the deep network. Kept to compare "
        "with; by their authors' figures DDRNet and PIDNet do better today.",
        "icnet_resnet50",
    ),
    "fcn": Note(
        "FCN",
        "The baseline. Choose it to see what a plain ResNet does on your data, or where only convolutions and "
        "bilinear resizing are allowed.",
        "fcn8_resnet18",
    ),
    "pspnet": Note(
        "PSPNet",
        "A baseline with global context: for scenes whose classes depend on the whole picture. Its answer is coarse "
        "(stride 32) unless `output_stride=8`.",
        "pspnet_resnet18",
    ),
    "bisenet": Note(
        "BiSeNet, a loose variant",
        "After a public implementation; for comparisons with it. Choose `bisenetv1_resnet18` for the published "
        "network.",
        "bisenet_resnet18",
    ),
    "swiftnet": Note(
        "SwiftNet",
        "The simplest strong network on a GPU: an ImageNet ResNet-18 and a thin ladder of plain convolutions, which "
        "every engine runs. A good choice for fine-tuning on a small set. The pyramid form shares one encoder "
        "between three sizes and is meant for objects of very different size.",
        "swiftnet_resnet18",
    ),
    "bisenetv1": Note(
        "BiSeNet",
        "Two paths on a GPU: a ResNet-18 for context, three convolutions for detail. A known reference with a "
        "strong recipe; its stride-8 maps are cheap.",
        "bisenetv1_resnet18",
    ),
    "bisenetv2": Note(
        "BiSeNetV2",
        "Fast on GPUs without ImageNet weights: both branches are small and trained together with four auxiliary "
        "heads. Depthwise layers make it less fast on engines that run those badly.",
        "bisenetv2",
    ),
    "msfnet": Note(
        "MSFNet",
        "Written from the paper's outline, its widths are ours: for trying the idea (each stage's map pooled to "
        "several strides, and a boundary decoder while training), not for repeating its figures.",
        "msfnet",
    ),
    "pidnet": Note(
        "PIDNet",
        "By their authors' figures the best trade of accuracy and speed on a GPU among the street networks here; "
        "begin with `pidnet_s`. Needs its boundary loss in training. Three branches keep memory traffic high on "
        "CPUs.",
        "pidnet_s",
    ),
    "ddrnet": Note(
        "DDRNet",
        "Two branches that exchange maps, from slim (fast) to 39 (accurate). Nothing but plain convolutions, sums "
        "and resizing: the alternative to PIDNet where an engine is choosy.",
        "ddrnet23_slim",
    ),
    "stdc": Note(
        "STDC-Seg",
        "One path at inference; the detail comes from a head that only training has. Choose it where branches hurt "
        "(engines with little memory) and an ImageNet start is at hand.",
        "stdc1_seg",
    ),
    "pp_liteseg": Note(
        "PP-LiteSeg",
        "STDC's encoder with a lighter decoder, by its authors' figures faster at equal accuracy. T for speed, B "
        "for accuracy.",
        "pp_liteseg_t",
    ),
    "regseg": Note(
        "RegSeg",
        "Few parameters and a wide view by dilation instead of depth, trained from scratch. For high resolutions; "
        "grouped dilated convolutions need an engine that runs them well.",
        "regseg",
    ),
}
