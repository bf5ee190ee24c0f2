"""Strategies: straight-line async code that awaits candidates, executions and values, and knows nothing of batches."""
