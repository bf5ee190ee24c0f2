"""What decides where a program runs, watches it from outside, believes nothing that it says, and kills."""
