"""See the search: a run's problems, trees, steps and pairs."""
