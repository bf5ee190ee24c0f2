"""What a run tells: its numbers as JSON (`schema`), as tables (`tables`), as a page with plots (`page`)."""
