"""The second world of the pocket scale: few skills that everybody knows, composed to problems of depth 3 to 12."""

from rstar_math.pocket.composed.splits import SPLITS, composed_problems

__all__ = ["SPLITS", "composed_problems"]
