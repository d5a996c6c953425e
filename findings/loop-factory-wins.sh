#!/bin/sh
# uvicorn and the event loop policy.
#
# Guess before the run: "A program that sets a policy (uvloop.install(), or its own) before it calls
# uvicorn.run() gets that policy's loops, in every version: asyncio.run() asks the policy."
# Seen: uvicorn 0.35 does so with loop="none" and with loop="asyncio" sets no policy of its own on
# Linux, so the program's stays in force. uvicorn 0.36 and later pass asyncio.SelectorEventLoop as a
# loop_factory, and loop="asyncio" overrides the policy without a word. Only loop="none" obeys it.
# Versions: uvicorn 0.35.0, 0.36.0.
. "$(dirname "$0")/common"

cat > "$work/serve.py" << 'EOF'
import asyncio, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import uvicorn

class Loop(asyncio.SelectorEventLoop):
    pass

class Policy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = Loop

async def app(scope, receive, send):
    pass

class Server(uvicorn.Server):
    async def serve(self, sockets=None):
        print(type(asyncio.get_running_loop()).__qualname__)

asyncio.set_event_loop_policy(Policy())
Server(uvicorn.Config(app, loop=sys.argv[1])).run()
EOF

install uvicorn==0.35.0
expect "uvicorn 0.35.0, loop=asyncio" "$("$python" "$work/serve.py" asyncio)" Loop
expect "uvicorn 0.35.0, loop=none" "$("$python" "$work/serve.py" none)" Loop
install uvicorn==0.36.0
expect "uvicorn 0.36.0, loop=asyncio" "$("$python" "$work/serve.py" asyncio)" _UnixSelectorEventLoop
expect "uvicorn 0.36.0, loop=none" "$("$python" "$work/serve.py" none)" Loop
