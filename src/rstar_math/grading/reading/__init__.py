"""From a text to nodes: the answer found, its notation made one, words told from formulas, the grammar parsed."""
