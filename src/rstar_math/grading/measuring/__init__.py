"""How well grading does: files of labelled pairs (`rstar grade`), and references that are probably wrong."""
