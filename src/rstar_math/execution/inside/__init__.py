"""What runs inside the sandbox: loaded by its path into a bare interpreter, where the rest of the package is not.

A file here knows its neighbours and the standard library, and what it finds loaded of numpy, mpmath and sympy.

- the zygote: `zygote` confines itself (`preload`, `confinement`, `syscalls`), then forks (`server`);
- a fork: `harness` runs one program, which prints to `output`;
- a warm worker: `worker` runs many, each admitted by `staticcheck` (`allowlist`, `facades`), on copies of what prefixes
  left (`compiled`, `states`, `namespaces`), with `libraries` made safe, behind a `guard` and a `seal`.

The supervisor shares `protocol` with them, and nothing else.
"""
