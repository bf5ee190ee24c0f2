"""What runs inside the sandbox. Each file is loaded by its path: it knows its neighbours and the standard library."""
