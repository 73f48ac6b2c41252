"""Several worker processes over one job on one machine: one per GPU, each with every nth shard."""

import os
import subprocess
import sys
from collections.abc import Sequence

_END_SECONDS = 10.0


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; none without CUDA."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(index) for index in range(torch.cuda.device_count())]  # asks NVML: no context is made here


def run_processes(arguments: Sequence[str], count: int, gpus: Sequence[str]) -> int:
    """Run `count` workers side by side, the ith with the ith GPU.

    They end when this process ends, however that comes: their standard input closes.

    Returns:
        0 if all returned 0; else the greatest exit code: 78 (configuration) before 75 (try again).
    """
    children = []
    try:
        for index in range(count):
            environment = dict(os.environ)
            if gpus:
                environment["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
            command = [sys.executable, "-m", "viberary_pipeline.embedding.worker", *arguments]
            command += ["--part", f"{index}/{count}", "--until-stdin-closes"]
            children.append(subprocess.Popen(command, stdin=subprocess.PIPE, env=environment))
        codes = [child.wait() for child in children]
    finally:
        for child in children:
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
            if child.stdin is not None:
                child.stdin.close()
    # A child killed by a signal has a negative code: out of memory, most likely; finished shards are kept.
    return max(75 if code < 0 else code for code in codes)
