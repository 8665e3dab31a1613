"""The stem of CEDNet, from the image to stride 8 (paper, section 3.1)."""

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .blocks import Design
from .layers import build_downsample

STEM_CHANNELS = 32


class Stem(nn.Module):
    """Two strided convolutions and blocks give c2 at stride 4; a third convolution goes to stride 8.

    Args:
        in_channels: Channels of the image.
        design: Layers and widths of the network.
        blocks: Number n0 of blocks at stride 4.
    """

    def __init__(self, in_channels: int, design: Design, blocks: int) -> None:
        super().__init__()
        channels, mixer = design.channels, design.mixer
        self.conv1 = nn.Conv2d(in_channels, STEM_CHANNELS, 3, stride=2, padding=1)
        self.norm1 = mixer.norm_act(STEM_CHANNELS)
        self.conv2 = nn.Conv2d(STEM_CHANNELS, channels[2], 3, stride=2, padding=1)
        self.norm2 = mixer.norm_act(channels[2])
        self.act = mixer.act()
        self.blocks = design.build_blocks(2, blocks)
        self.downsample = build_downsample(channels[2], channels[3], mixer.norm)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> c2 (N, C0, H/4, W/4) and the first stage's input (N, C1, H/8, W/8)."""
        # either the norm has the activation (NormAct2d) or it is a BatchNorm, and act is ReLU
        x = self.act(self.norm1(self.conv1(x)))
        x = self.act(self.norm2(self.conv2(x)))
        c2 = self.blocks(x)
        return c2, self.downsample(c2)

    def init_first_bias(self) -> None:
        """Initialise the first convolution's bias: torch's default, uniform in 1 / sqrt(fan_in).

        With a bias of 0, constant parts of an image whose value is 0, such as padding, are 0 in all
        layers, where each LayerNorm multiplies the gradient by 1 / sqrt(eps) = 1000. BatchNorm, which
        removes a bias, keeps 0: its statistics are those of the whole batch.
        """
        bias = self.conv1.bias
        if bias is not None and not isinstance(self.norm1, _BatchNorm):
            bound = self.conv1.weight[0].numel() ** -0.5
            nn.init.uniform_(bias, -bound, bound)

    @staticmethod
    def get_decay_depth(name: str) -> int:
        """Depth of a parameter, given its name within the stem.

        It is 0 for the first two convolutions and their norms, 1 for the rest.
        """
        return 0 if name.startswith(('conv', 'norm')) else 1
