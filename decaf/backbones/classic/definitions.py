"""The classic nets, layer by layer, as they were published."""

from collections.abc import Sequence
from dataclasses import dataclass

from decaf.backbones.classic.layers import Conv, Inception, Layer, Linear, Norm, Pool

_CAFFE_MEAN = (122.67891434, 116.66876762, 104.00698793)  # of ilsvrc_2012_mean.npy, RGB
_VGG_MEAN = (123.68, 116.779, 103.939)  # Simonyan and Zisserman's, RGB


@dataclass(frozen=True)
class Classic:
    """A net, its input and where its weights were published.

    Attributes
    ----------
    layers : tuple of Layer
        From the first convolution to the class scores.
    side_px, resize_px : int
        Side of the input, and of the image it is cut from.
    mean : tuple of float
        Mean pixel, red, green, blue, 0 to 255; where the net was trained with a mean image,
        that image's mean.
    files : tuple of str
        Names under which the weights were published.
    url : str
        Where the first of the files was, or nothing where its address is not stable.
    sha1 : str
        Published SHA-1 of the first file, or nothing.
    pool5, fc6, fc7, fc8 : str
        Modules that hold the canonical layers; no name where the net has no such layer.
    std : float
        What pixels are divided by, of 0 to 255.
    bgr : bool
        Whether the weights expect blue, green, red.
    """

    layers: tuple[Layer, ...]
    side_px: int
    mean: tuple[float, float, float]
    files: tuple[str, ...] = ()
    url: str = ""
    sha1: str = ""
    resize_px: int = 256
    pool5: str = "pool5"
    fc6: str = "fc6"
    fc7: str = "fc7"
    fc8: str = "fc8"
    std: float = 1.0
    bgr: bool = True


def _dense(scores: str = "fc8", n_classes: int = 1000, fc7: int = 4096) -> tuple[Layer, ...]:
    return Linear("fc6", 4096), Linear("fc7", fc7), Linear(scores, n_classes, relu=False)


def _krizhevsky(*, norm_first: bool, dense: tuple[Layer, ...]) -> tuple[Layer, ...]:
    # Krizhevsky et al. 2012; Caffe's models/bvlc_alexnet, bvlc_reference_caffenet and
    # bvlc_reference_rcnn_ilsvrc13. CaffeNet pools before it normalises.
    def pooled(number: int) -> tuple[Layer, ...]:
        norm, pool = Norm(f"norm{number}"), Pool(f"pool{number}", 3, 2)
        return (norm, pool) if norm_first else (pool, norm)

    return (
        Conv("conv1", 96, 11, 4),
        *pooled(1),
        Conv("conv2", 256, 5, pad=2, groups=2),
        *pooled(2),
        Conv("conv3", 384, 3, pad=1),
        Conv("conv4", 384, 3, pad=1, groups=2),
        Conv("conv5", 256, 3, pad=1, groups=2),
        Pool("pool5", 3, 2),
        *dense,
    )


def _three(channels: Sequence[int]) -> tuple[Layer, ...]:
    return tuple(Conv(f"conv{n}", width, 3, pad=1) for n, width in enumerate(channels, 3))


_ZEILER = (
    # Zeiler and Fergus 2014, figure 3: 110, 55, 26, 13, 13, 6 pixels. The paper normalises
    # after pooling and does not state the constants; these are Krizhevsky's.
    Conv("conv1", 96, 7, 2, 1),
    Pool("pool1", 3, 2),
    Norm("norm1", alpha=5e-4, k=2.0),
    Conv("conv2", 256, 5, 2),
    Pool("pool2", 3, 2),
    Norm("norm2", alpha=5e-4, k=2.0),
    *_three((384, 384, 256)),
    Pool("pool5", 3, 2),
    *_dense(),
)

# Chatfield et al. 2014, table 1; the constants of LRN are those of their Caffe files
_CNN_F = (
    Conv("conv1", 64, 11, 4),
    Norm("norm1", alpha=5e-4, k=2.0),
    Pool("pool1", 3, 2),
    Conv("conv2", 256, 5, pad=2),
    Norm("norm2", alpha=5e-4, k=2.0),
    Pool("pool2", 3, 2),
    *_three((256, 256, 256)),
    Pool("pool5", 3, 2),
    *_dense(),
)


def _cnn_m(fc7: int) -> tuple[Layer, ...]:
    return (
        Conv("conv1", 96, 7, 2),
        Norm("norm1", alpha=5e-4, k=2.0),
        Pool("pool1", 3, 2),
        Conv("conv2", 256, 5, 2, 1),
        Norm("norm2", alpha=5e-4, k=2.0),
        Pool("pool2", 3, 2),
        *_three((512, 512, 512)),
        Pool("pool5", 3, 2),
        *_dense(fc7=fc7),
    )


_CNN_S = (
    Conv("conv1", 96, 7, 2),
    Norm("norm1", alpha=5e-4, k=2.0),
    Pool("pool1", 3, 3),
    Conv("conv2", 256, 5),  # the table says a pad of 1, the published net has none
    Pool("pool2", 2, 2),
    *_three((512, 512, 512)),
    Pool("pool5", 3, 3),
    *_dense(),
)

_OVERFEAT_FAST = (
    # Sermanet et al. 2014, table 1
    Conv("conv1", 96, 11, 4),
    Pool("pool1", 2, 2),
    Conv("conv2", 256, 5),
    Pool("pool2", 2, 2),
    *_three((512, 1024, 1024)),
    Pool("pool5", 2, 2),
    Linear("fc6", 3072),
    Linear("fc7", 4096),
    Linear("fc8", 1000, relu=False),
)

_OVERFEAT_ACCURATE = (
    # Sermanet et al. 2014, table 3; pool5 is what enters the fully connected part, pool6 there
    Conv("conv1", 96, 7, 2),
    Pool("pool1", 3, 3),
    Conv("conv2", 256, 7),
    Pool("pool2", 2, 2),
    *_three((512, 512, 1024, 1024)),
    Pool("pool6", 3, 3),
    Linear("fc7", 4096),
    Linear("fc8", 4096),
    Linear("fc9", 1000, relu=False),
)


def _vgg(depths: Sequence[int]) -> tuple[Layer, ...]:
    # Simonyan and Zisserman 2015, table 1, columns D and E
    layers: list[Layer] = []
    for block, (depth, width) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), 1):
        layers += [Conv(f"conv{block}_{n}", width, 3, pad=1) for n in range(1, depth + 1)]
        layers.append(Pool(f"pool{block}", 2, 2))
    return (*layers, *_dense())


_GOOGLENET = (
    # Szegedy et al. 2015, table 1, as in Caffe's models/bvlc_googlenet
    Conv("conv1.7x7_s2", 64, 7, 2, 3),
    Pool("pool1.3x3_s2", 3, 2),
    Norm("pool1.norm1"),
    Conv("conv2.3x3_reduce", 64, 1),
    Conv("conv2.3x3", 192, 3, pad=1),
    Norm("conv2.norm2"),
    Pool("pool2.3x3_s2", 3, 2),
    Inception("inception_3a", 64, 96, 128, 16, 32, 32),
    Inception("inception_3b", 128, 128, 192, 32, 96, 64),
    Pool("pool3.3x3_s2", 3, 2),
    Inception("inception_4a", 192, 96, 208, 16, 48, 64),
    Inception("inception_4b", 160, 112, 224, 24, 64, 64),
    Inception("inception_4c", 128, 128, 256, 24, 64, 64),
    Inception("inception_4d", 112, 144, 288, 32, 64, 64),
    Inception("inception_4e", 256, 160, 320, 32, 128, 128),
    Pool("pool4.3x3_s2", 3, 2),
    Inception("inception_5a", 256, 160, 320, 32, 128, 128),
    Inception("inception_5b", 384, 192, 384, 48, 128, 128),
    Pool("pool5.7x7_s1", 7, 1, mean=True),
    Linear("loss3.classifier", 1000, relu=False),
)

_BVLC = "http://dl.caffe.berkeleyvision.org/"
_OVERFEAT_MEAN = (118.380948,) * 3

CLASSICS: dict[str, Classic] = {
    "bvlc_alexnet": Classic(
        _krizhevsky(norm_first=True, dense=_dense()),
        227,
        _CAFFE_MEAN,
        ("bvlc_alexnet.caffemodel", "bvlcalexnet-12.onnx"),
        _BVLC + "bvlc_alexnet.caffemodel",
        "9116a64c0fbe4459d18f4bb6b56d647b63920377",
    ),
    "caffenet": Classic(
        _krizhevsky(norm_first=False, dense=_dense()),
        227,
        _CAFFE_MEAN,
        ("bvlc_reference_caffenet.caffemodel", "caffenet-12.onnx"),
        _BVLC + "bvlc_reference_caffenet.caffemodel",
        "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
    ),
    "rcnn_ilsvrc13": Classic(
        _krizhevsky(norm_first=False, dense=_dense("fc-rcnn", 200)),
        227,
        _CAFFE_MEAN,
        ("bvlc_reference_rcnn_ilsvrc13.caffemodel", "rcnn-ilsvrc13-9.onnx"),
        _BVLC + "bvlc_reference_rcnn_ilsvrc13.caffemodel",
        "bdd8abb885819cba5e2fe1eb36235f2319477e64",
        fc8="fc-rcnn",
    ),
    "zeiler_fergus": Classic(_ZEILER, 224, _CAFFE_MEAN),
    "cnn_f": Classic(_CNN_F, 224, _VGG_MEAN, ("VGG_CNN_F.caffemodel",)),
    "cnn_m": Classic(_cnn_m(4096), 224, _VGG_MEAN, ("VGG_CNN_M.caffemodel",)),
    "cnn_m_2048": Classic(_cnn_m(2048), 224, _VGG_MEAN, ("VGG_CNN_M_2048.caffemodel",)),
    "cnn_m_1024": Classic(_cnn_m(1024), 224, _VGG_MEAN, ("VGG_CNN_M_1024.caffemodel",)),
    "cnn_m_128": Classic(_cnn_m(128), 224, _VGG_MEAN, ("VGG_CNN_M_128.caffemodel",)),
    "cnn_s": Classic(_CNN_S, 224, _VGG_MEAN, ("VGG_CNN_S.caffemodel",)),
    "overfeat_fast": Classic(_OVERFEAT_FAST, 231, _OVERFEAT_MEAN, std=61.896913, bgr=False),
    "overfeat_accurate": Classic(
        _OVERFEAT_ACCURATE,
        221,
        _OVERFEAT_MEAN,
        pool5="pool6",
        fc6="fc7",
        fc7="fc8",
        fc8="fc9",
        std=61.896913,
        bgr=False,
    ),
    "vgg16_caffe": Classic(
        _vgg((2, 2, 3, 3, 3)), 224, _VGG_MEAN, ("VGG_ILSVRC_16_layers.caffemodel",)
    ),
    "vgg19_caffe": Classic(
        _vgg((2, 2, 4, 4, 4)),
        224,
        _VGG_MEAN,
        ("VGG_ILSVRC_19_layers.caffemodel", "vgg19-caffe2-9.onnx"),
    ),
    "googlenet_caffe": Classic(
        _GOOGLENET,
        224,
        (123.0, 117.0, 104.0),
        ("bvlc_googlenet.caffemodel", "googlenet-12.onnx"),
        _BVLC + "bvlc_googlenet.caffemodel",
        "405fc5acd08a3bb12de8ee5e23a96bec22f08204",
        pool5="pool5.7x7_s1",
        fc6="",
        fc7="",
        fc8="loss3.classifier",
    ),
}
"""Every classic net by name."""
