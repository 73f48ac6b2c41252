"""A worker of gunicorn that runs our server: gunicorn starts, watches and replaces the processes, nothing else."""

import os

from gunicorn.workers.base import Worker

from viberary_pipeline.settings import load_settings
from viberary_pipeline.web.server import Server


class ServerWorker(Worker):
    """One process, with the threads and bounds of `Server`, over the socket that gunicorn opened."""

    def run(self) -> None:
        """Answer until gunicorn says to stop, or is gone."""
        server = Server(self.wsgi, self.sockets[0].sock, queue=load_settings().web.queue)
        server.serve_until(lambda: not self.alive or os.getppid() != self.ppid, self.notify)
