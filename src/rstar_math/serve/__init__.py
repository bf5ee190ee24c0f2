"""`rstar serve`: models behind the interface that OpenAI's clients speak (docs/serving.md). Begin with `app.py`."""
