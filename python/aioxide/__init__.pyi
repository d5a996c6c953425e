# Types of the package: asyncio's names, and ours in place of some of them.

import sys
from asyncio import (
    ALL_COMPLETED as ALL_COMPLETED,
)
from asyncio import (
    FIRST_COMPLETED as FIRST_COMPLETED,
)
from asyncio import (
    FIRST_EXCEPTION as FIRST_EXCEPTION,
)
from asyncio import (
    AbstractEventLoop as AbstractEventLoop,
)
from asyncio import (
    AbstractServer as AbstractServer,
)
from asyncio import (
    BaseEventLoop as BaseEventLoop,
)
from asyncio import (
    BaseProtocol as BaseProtocol,
)
from asyncio import (
    BaseTransport as BaseTransport,
)
from asyncio import (
    BrokenBarrierError as BrokenBarrierError,
)
from asyncio import (
    BufferedProtocol as BufferedProtocol,
)
from asyncio import (
    CancelledError as CancelledError,
)
from asyncio import (
    DatagramProtocol as DatagramProtocol,
)
from asyncio import (
    DatagramTransport as DatagramTransport,
)
from asyncio import (
    IncompleteReadError as IncompleteReadError,
)
from asyncio import (
    InvalidStateError as InvalidStateError,
)
from asyncio import (
    LimitOverrunError as LimitOverrunError,
)
from asyncio import (
    Protocol as Protocol,
)
from asyncio import (
    ReadTransport as ReadTransport,
)
from asyncio import (
    SelectorEventLoop as SelectorEventLoop,
)
from asyncio import (
    SendfileNotAvailableError as SendfileNotAvailableError,
)
from asyncio import (
    Server as Server,
)
from asyncio import (
    SubprocessProtocol as SubprocessProtocol,
)
from asyncio import (
    SubprocessTransport as SubprocessTransport,
)
from asyncio import (
    TaskGroup as TaskGroup,
)
from asyncio import (
    Timeout as Timeout,
)
from asyncio import (
    TimeoutError as TimeoutError,
)
from asyncio import (
    Transport as Transport,
)
from asyncio import (
    WriteTransport as WriteTransport,
)
from asyncio import (
    _enter_task as _enter_task,
)
from asyncio import (
    _get_running_loop as _get_running_loop,
)
from asyncio import (
    _leave_task as _leave_task,
)
from asyncio import (
    _register_task as _register_task,
)
from asyncio import (
    _set_running_loop as _set_running_loop,
)
from asyncio import (
    _unregister_task as _unregister_task,
)
from asyncio import (
    all_tasks as all_tasks,
)
from asyncio import (
    as_completed as as_completed,
)
from asyncio import (
    create_subprocess_exec as create_subprocess_exec,
)
from asyncio import (
    create_subprocess_shell as create_subprocess_shell,
)
from asyncio import (
    create_task as create_task,
)
from asyncio import (
    current_task as current_task,
)
from asyncio import (
    ensure_future as ensure_future,
)
from asyncio import (
    gather as gather,
)
from asyncio import (
    get_event_loop as get_event_loop,
)
from asyncio import (
    get_event_loop_policy as get_event_loop_policy,
)
from asyncio import (
    get_running_loop as get_running_loop,
)
from asyncio import (
    iscoroutine as iscoroutine,
)
from asyncio import (
    iscoroutinefunction as iscoroutinefunction,
)
from asyncio import (
    isfuture as isfuture,
)
from asyncio import (
    run_coroutine_threadsafe as run_coroutine_threadsafe,
)
from asyncio import (
    set_event_loop as set_event_loop,
)
from asyncio import (
    set_event_loop_policy as set_event_loop_policy,
)
from asyncio import (
    shield as shield,
)
from asyncio import (
    sleep as sleep,
)
from asyncio import (
    timeout as timeout,
)
from asyncio import (
    timeout_at as timeout_at,
)
from asyncio import (
    to_thread as to_thread,
)
from asyncio import (
    wait as wait,
)
from asyncio import (
    wait_for as wait_for,
)
from asyncio import (
    wrap_future as wrap_future,
)

from . import files as files
from ._aioxide import Future as Future
from ._aioxide import Handle as Handle
from ._aioxide import Task as Task
from ._aioxide import TimerHandle as TimerHandle
from ._aioxide import __version__ as __version__
from .events import EventLoop as EventLoop
from .files import Path as Path
from .files import open as open
from .install import install as install
from .install import installed as installed
from .install import uninstall as uninstall
from .locks import (
    Barrier as Barrier,
)
from .locks import (
    BoundedSemaphore as BoundedSemaphore,
)
from .locks import (
    Condition as Condition,
)
from .locks import (
    Event as Event,
)
from .locks import (
    Lock as Lock,
)
from .locks import (
    Semaphore as Semaphore,
)
from .policy import EventLoopPolicy as EventLoopPolicy
from .queues import (
    LifoQueue as LifoQueue,
)
from .queues import (
    PriorityQueue as PriorityQueue,
)
from .queues import (
    Queue as Queue,
)
from .queues import (
    QueueEmpty as QueueEmpty,
)
from .queues import (
    QueueFull as QueueFull,
)
from .queues import (
    QueueShutDown as QueueShutDown,
)
from .runners import Runner as Runner
from .runners import new_event_loop as new_event_loop
from .runners import run as run
from .streams import (
    StreamReader as StreamReader,
)
from .streams import (
    StreamReaderProtocol as StreamReaderProtocol,
)
from .streams import (
    StreamWriter as StreamWriter,
)
from .streams import (
    open_connection as open_connection,
)
from .streams import (
    open_unix_connection as open_unix_connection,
)
from .streams import (
    start_server as start_server,
)
from .streams import (
    start_unix_server as start_unix_server,
)

if sys.version_info >= (3, 12):
    from asyncio import (
        create_eager_task_factory as create_eager_task_factory,
    )
    from asyncio import (
        eager_task_factory as eager_task_factory,
    )

if sys.version_info >= (3, 14):
    from asyncio import (
        FrameCallGraphEntry as FrameCallGraphEntry,
    )
    from asyncio import (
        FutureCallGraph as FutureCallGraph,
    )
    from asyncio import (
        capture_call_graph as capture_call_graph,
    )
    from asyncio import (
        format_call_graph as format_call_graph,
    )
    from asyncio import (
        future_add_to_awaited_by as future_add_to_awaited_by,
    )
    from asyncio import (
        future_discard_from_awaited_by as future_discard_from_awaited_by,
    )
    from asyncio import (
        print_call_graph as print_call_graph,
    )

if sys.version_info < (3, 14):
    from asyncio import (
        AbstractChildWatcher as AbstractChildWatcher,
    )
    from asyncio import (
        AbstractEventLoopPolicy as AbstractEventLoopPolicy,
    )
    from asyncio import (
        DefaultEventLoopPolicy as DefaultEventLoopPolicy,
    )
    from asyncio import (
        FastChildWatcher as FastChildWatcher,
    )
    from asyncio import (
        MultiLoopChildWatcher as MultiLoopChildWatcher,
    )
    from asyncio import (
        PidfdChildWatcher as PidfdChildWatcher,
    )
    from asyncio import (
        SafeChildWatcher as SafeChildWatcher,
    )
    from asyncio import (
        ThreadedChildWatcher as ThreadedChildWatcher,
    )
    from asyncio import (
        get_child_watcher as get_child_watcher,
    )
    from asyncio import (
        set_child_watcher as set_child_watcher,
    )
