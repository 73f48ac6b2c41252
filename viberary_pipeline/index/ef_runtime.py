"""How many candidates a query looks at, if no setting says so: as many as the finished index is measured to need.

Recall falls as an index grows, as its vectors get longer, and as they fill more directions; EF_RUNTIME buys it back at
the price of a query's time, M and EF_CONSTRUCTION at the price of the build's. With M 16 and EF_CONSTRUCTION 200, on
made-up vectors that are rather harder than book texts (`benchmarks/index_build.py`; recall@10 for queries half-way
between two works):

=======  ====  ===  ===  ===  ===  ====  ====  =======================
works    dim   100  200  400  800  1600  3200  median ms at 200 to 800
=======  ====  ===  ===  ===  ===  ====  ====  =======================
 20,000   384  .94  .98  .99  .99              0.9 to 2.1
 20,000   768  .93  .96  .98  .99              2.0 to 2.8
100,000   384  .85  .91  .94  .97              1.3 to 3.0
100,000   768  .82  .88  .92  .95              1.9 to 4.9
500,000   384  .74  .82  .88  .92   .95   .98  1.4 to 3.6; 6.2; 10.9
=======  ====  ===  ===  ===  ===  ====  ====  =======================

M 32 at 20,000 works gained .01 at 200 and .003 at 400 and took up to twice as long to build. So the build stays cheap,
and each query looks at more candidates. The right EF_RUNTIME is unknown until the index is built. The value set at
creation is an estimate by this table (`ef_runtime_for`), for clients that do not pass their own. Ours pass what was
measured on the finished index (`needed_ef_runtime`, in the build's record).
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.index.recall import Probes, work_ids_of
from viberary_pipeline.redis_contract import BuildRecord

AIM = 0.97
"""The recall@10 that is aimed at: what 200 give in an index of 20,000 works."""

_STEPS = ((30_000, 200), (60_000, 400), (150_000, 800), (400_000, 1_600))
_BEYOND = 3_200
_LONG = 512  # from here on the next step up: 768 dimensions at 400 recall what 384 do at 200
EF_RUNTIMES = (200, 400, 800, 1_600, 3_200, 6_400)
"""What a build chooses from."""
_WORTHLESS = 0.002  # recall that is not worth looking further for
_SEED = 1


def ef_runtime_for(documents: int, dimensions: int) -> int:
    """An estimate of the EF_RUNTIME for an index of that size, 200 to 6,400."""
    ef_runtime = next((ef for most, ef in _STEPS if documents <= most), _BEYOND)
    return ef_runtime * 2 if dimensions > _LONG else ef_runtime


def needed_ef_runtime(
    client: redis.Redis,
    record: BuildRecord,
    vectors: npt.NDArray[np.float32],
    documents: Path,
    *,
    aim: float,
    queries: int,
) -> int:
    """The least of 200, 400, ... 6,400 with which a finished index recalls what is aimed at.

    Where none does, the least that comes within 0.002 of the best: works that no link leads to are not found by looking
    further.

    Args:
        client: The server.
        record: The build.
        vectors, documents: As for `gate_index`.
        aim: recall@10, in [0, 1].
        queries: Over how many queries it is measured; others than the gate's, which judges what was chosen.
    """
    probes = Probes.halfway(record, vectors, work_ids_of(documents), queries, seed=_SEED)
    recalls: dict[int, float] = {}
    for ef_runtime in EF_RUNTIMES:
        recalls[ef_runtime] = probes.ask(client, ef_runtime).recall
        if recalls[ef_runtime] >= aim:
            return ef_runtime
    return next(ef for ef, recall in recalls.items() if recall >= max(recalls.values()) - _WORTHLESS)
