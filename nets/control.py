"""g = grad L_B(w) - grad L_B(w*) + grad L_n(w*): gradients of batches whose noise vanishes at w*."""

from torch import Tensor

from nets.targets import Target


class ControlVariate(Target):
    """L_B(w) - L_B(w*) + L_n(w*), and its gradient, on the same batch: without bias, and all the less noisy the nearer w is to w*.

    Two gradients a step instead of one; the full gradient at w* is computed once. Source: Baker, Fearnhead, Fox & Nemeth 2019.
    """

    def __init__(self, target: Target):
        self.target, self.n, self.star = target, target.n, target.star
        self._loss, self._slope = target.gradients(target.star[None].clone())

    def _stars(self, w: Tensor) -> Tensor:
        return self.star.expand(len(w), -1).contiguous()

    def losses(self, w, index=None):
        if index is None:
            return self.target.losses(w)
        return self.target.losses(w, index) - self.target.losses(self._stars(w), index) + self._loss

    def gradients(self, w, index=None):
        losses, g = self.target.gradients(w, index)
        if index is None:
            return losses, g
        there, slope = self.target.gradients(self._stars(w), index)
        return losses - there + self._loss, g.sub_(slope).add_(self._slope)
