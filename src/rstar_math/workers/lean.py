"""What the fork server imports first, so that it and all that is forked from it have a lean torch."""

from rstar_math.lean_torch import expect_torch

expect_torch()
