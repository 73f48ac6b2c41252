"""The pipeline's Redis: the one that VIBERARY_REDIS_URL names, or an embedded one per VIBERARY_HOME.

`connect` is all that most callers need. The rest manages the embedded server: `ensure`, `running`, `stop`,
and `prepare`, which fetches beforehand whatever its first start would have to download.
"""

from viberary_pipeline.redis_server.connection import connect, prepare
from viberary_pipeline.redis_server.instance import ensure, running, stop
from viberary_pipeline.redis_server.state import Server

__all__ = ["Server", "connect", "ensure", "prepare", "running", "stop"]
