"""Mistakes that a type checker must find. Each carries the error it has to report."""

import aioxide


async def answer() -> int:
    return 42


aioxide.run(answer)  # error: arg-type
aioxide.run(answer(), True)  # error: call-arg
aioxide.run(answer(), loop_factory=aioxide.EventLoop())  # error: arg-type
wrong: str = aioxide.run(answer())  # error: assignment
aioxide.new_event_loop(debug=True)  # error: call-arg
future: aioxide.Future[int] = aioxide.Future()
future.set_result("text")  # error: arg-type
task: aioxide.Task[str] = aioxide.Task(answer())  # error: arg-type
aioxide.no_such_name  # error: attr-defined
