"""Step-by-step help for learners: hints in levels, and the learner's own steps judged by running them."""
