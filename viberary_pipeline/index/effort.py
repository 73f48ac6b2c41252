"""How many candidates a query looks at, where no setting says so: as many as the size of the index calls for.

Recall falls as an index grows, and as its vectors get longer; EF_RUNTIME buys it back at the price of a query's time,
M and EF_CONSTRUCTION at the price of the build's. Measured with M 16 and EF_CONSTRUCTION 200 on vectors of about the
intrinsic dimension of book texts (`benchmarks/index_build.py`; recall@10 for queries half-way between two works):

=======  ====  ===  ===  ===  ===  =======================
works    dim   100  200  400  800  median ms at 200 to 800
=======  ====  ===  ===  ===  ===  =======================
 20,000   384  .94  .97  .99  .99  1.1 to 2.2
 20,000   768  .93  .96  .98  .99  1.2 to 2.7
100,000   384  .86  .91  .95  .97  1.3 to 2.7
100,000   768  .83  .88  .93  .96  1.7 to 4.3
=======  ====  ===  ===  ===  ===  =======================

M 32 at 20,000 works gained .01 at 200 and .003 at 400 and took twice as long to build. So the build stays cheap, and
the query looks further. Beyond 100,000 works the steps go on as they began, which is not measured: the gate is.
"""

_STEPS = ((30_000, 200), (60_000, 400), (150_000, 800))
_BEYOND = 1_600
_LONG = 512  # from here on the next step up: 768 dimensions at 400 recall what 384 do at 200
_MOST = 3_200


def ef_runtime_for(documents: int, dimensions: int) -> int:
    """EF_RUNTIME for an index of that size, 200 to 3,200."""
    effort = next((effort for most, effort in _STEPS if documents <= most), _BEYOND)
    return min(_MOST, effort * 2 if dimensions > _LONG else effort)
