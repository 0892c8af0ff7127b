"""One switch over existing engines: `threads`, `local`, `cuda`, `slurm`, `kubernetes`, `address`. One cluster per run.

cluster: threads
cluster: {local: {workers: 2, memory: 4GiB}}
cluster: {slurm: {workers: 8, memory: 64GiB, partition: gpu, gpu: true}}
cluster: {address: tcp://10.0.0.1:8786}
"""

from __future__ import annotations

from .base import Cluster
from .switch import cluster_from
from .workers import Workers

__all__ = ["Cluster", "Workers", "cluster_from"]
