"""One request after the other: nothing is simpler, and the program waits for every answer.

The processor has almost nothing to do meanwhile, and nothing can be done about it here: the call
that reads the answer gives back control when the answer is there. Whatever else is tried costs more
code, more memory or more thought, and has to be paid for by this waiting.
"""

from __future__ import annotations

from collections import deque
from http.client import HTTPConnection

from .crawl import FIRST, Crawl, read


def run(crawl: Crawl) -> None:
    connection = HTTPConnection(crawl.host, crawl.port)
    todo = deque([FIRST])
    while todo:
        path = todo.popleft()
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != 200:
            raise ValueError(f"{path}: {response.status} {response.reason}")
        todo += crawl.add(read(path, response.read()))
    connection.close()
