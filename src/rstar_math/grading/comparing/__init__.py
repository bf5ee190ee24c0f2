"""From two answers to a verdict: the rules, by the kinds of the nodes, down to numbers and identities."""
