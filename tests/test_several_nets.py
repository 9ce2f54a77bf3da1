"""Names of several nets in one option."""

import pytest

from decaf import Net
from decaf.errors import ConfigError
from decaf.several_nets import each_net


def test_names_and_weights_are_paired() -> None:
    assert each_net(Net("alexnet, vgg16", weights="random", pool="avg")) == (
        Net("alexnet", weights="random", pool="avg"),
        Net("vgg16", weights="random", pool="avg"),
    )
    paired = each_net(Net("alexnet,alexnet", weights="imagenet,a.pth"))
    assert [one.weights for one in paired] == ["imagenet", "a.pth"]


@pytest.mark.parametrize("alone", [Net("alexnet", weights="a,b.pth"), Net(object())])
def test_one_net_is_itself(alone: Net) -> None:
    assert each_net(alone) == (alone,)


def test_other_numbers_of_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 nets, found 2 weights"):
        each_net(Net("alexnet,vgg16,vgg19", weights="random,imagenet"))
