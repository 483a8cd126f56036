"""Methods of tiny networks, and the values of their parameters."""

from gan_kd_ssd.distill.options import SGD, DistillConfig
from gan_kd_ssd.logs.records import DISTILLATION

OPTIMIZER = SGD(lr=0.01, momentum=0.9, wd=5e-4)


def values(parameters):
    """The values of parameters on their first device."""
    return [p.data(p.list_ctx()[0]).asnumpy() for p in parameters]


def weights(block):
    """The values of a block's parameters."""
    return values(block.collect_params().values())


def config(**options):
    """The configuration of some options, with small discriminators."""
    return DistillConfig.from_options({"d_channels": 8, **options})


def distil(student, teacher, ctx=None, **options):
    """The method of two detectors, by the values of some options."""
    from gan_kd_ssd.distill.method import distilled
    from gan_kd_ssd.util.mxnet import mx

    return distilled(student, teacher, ctx or [mx.cpu()], OPTIMIZER, "device", config(**options))


def term(method, name):
    """The term of that name in a method."""
    (found,) = [term for term in method.steps[DISTILLATION].terms if term.name == name]
    return found
