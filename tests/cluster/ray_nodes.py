"""A Ray cluster of several nodes on this machine, in a process of its own: NUM_NODES, then a command a line.

`add` starts a node, `kill N` kills the raylet of a node with SIGKILL, `remove N` takes a node out. Says `ADDRESS`,
then after each command how many nodes it has.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def main(num_nodes: str) -> None:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1, include_dashboard=False) for _ in range(int(num_nodes))]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        command, *number = line.split()
        if command == "add":
            nodes.append(cluster.add_node(num_cpus=1, include_dashboard=False, wait=False))
        elif command == "kill":
            chosen = nodes[int(number[0]) % len(nodes)]
            os.kill(chosen.all_processes["raylet"][0].process.pid, 9)
            nodes.remove(chosen)
        elif command == "remove":
            cluster.remove_node(nodes.pop(int(number[0]) % len(nodes)), allow_graceful=True)
        print(len(nodes), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
