"""torchvision, imported when it is first needed, also where its compiled operators do not fit torch."""

import importlib
import sys

OPERATORS = ("nms", "qnms")  # those that torchvision's Python side registers a shape rule for while it is imported
_kept = []  # a Library defines its operators as long as it lives


def datasets():
    """The module `torchvision.datasets`.

    With a torch built for the CPU alone and the registry's torchvision the import fails for want of an operator that no data set needs:
    that one failure is repaired by declaring the operator, every other is raised as it is.
    """
    try:
        return importlib.import_module("torchvision.datasets")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    import torch

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    library = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)
    return importlib.import_module("torchvision.datasets")
