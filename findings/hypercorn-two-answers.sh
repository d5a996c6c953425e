#!/bin/sh
# hypercorn's two asyncio workers and the event loop policy.
#
# Guess before the run: "Both workers start their loop in the same way, so a policy that the
# application's environment sets counts for both, or for none."
# Seen: the asyncio worker asks asyncio's policy; the uvloop worker passes uvloop.new_event_loop as a
# factory. A policy set by a sitecustomize changes the loop of one of them only.
# Versions: hypercorn 0.17.3, uvloop 0.21.0.
. "$(dirname "$0")/common"

install hypercorn==0.17.3 uvloop==0.21.0
cat > "$work/ask.py" << 'EOF'
import asyncio, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from hypercorn.asyncio import run
from hypercorn.config import Config

class Loop(asyncio.SelectorEventLoop):
    pass

class Policy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = Loop

async def serve(*arguments, **keywords):
    loop = asyncio.get_running_loop()
    print(f"{type(loop).__module__.split('.')[0]}.{type(loop).__qualname__}")

asyncio.set_event_loop_policy(Policy())
run.worker_serve = serve
run.load_application = lambda *arguments: None
config = Config()
config.application_path = "app:app"
getattr(run, sys.argv[1])(config)
EOF
expect "hypercorn, asyncio_worker" "$("$python" "$work/ask.py" asyncio_worker)" __main__.Loop
expect "hypercorn, uvloop_worker" "$("$python" "$work/ask.py" uvloop_worker)" uvloop.Loop
