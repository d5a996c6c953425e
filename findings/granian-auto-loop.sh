#!/bin/sh
# granian's --loop auto, which is the default.
#
# Guess before the run: "auto takes uvloop if it is installed, as uvicorn's auto does, and asyncio's
# loop otherwise; an experimental loop has to be asked for by name."
# Seen: rloop comes first. Installing rloop for a benchmark changes the loop of every granian in the
# environment. The names are a closed list: a module:attribute, as for uvicorn, is refused.
# Versions: granian 2.5.0, uvloop 0.21.0, rloop 0.1.
. "$(dirname "$0")/common"

install granian==2.5.0 uvloop==0.21.0
ask='import warnings; warnings.simplefilter("ignore")
from granian._loops import loops
loop = loops.get("auto"); print(type(loop).__module__.split(".")[0]); loop.close()'
expect "granian auto, uvloop installed" "$("$python" -c "$ask")" uvloop
"$python" -m pip install --quiet --disable-pip-version-check 'rloop<0.2'
expect "granian auto, uvloop and rloop installed" "$("$python" -c "$ask")" rloop
"$work/venv/bin/granian" --loop asyncio:new_event_loop app:app > "$work/out" 2>&1 && code=0 || code=$?
expect "granian --loop asyncio:new_event_loop, code" "$code" 2
