"""Parts of the benchmarks in the folder above, one thing that is measured in each file."""
