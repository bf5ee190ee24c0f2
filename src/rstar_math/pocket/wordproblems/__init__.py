"""Short word problems with solutions, made from templates: they teach models that others pretrained the step format."""

from rstar_math.pocket.wordproblems.drawing import WordProblem, word_problems

__all__ = ["WordProblem", "word_problems"]
