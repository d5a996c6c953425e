"""Lines that an example prints, whatever the loop and the machine."""

EXPECTED = {
    "async_generators": (
        "  20.5 -> 20.7 rises",
        "  above 21 degrees: [21.2, 21.1]",
        "  85.0 is the first that is too much",
        "  sums [1.5, 4.0, 8.0]",
        "  the thermometer is released",
    ),
    "background_loop": (
        "squares [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]",
        "cancelled from this thread",
        "what the loop was told: ['not cancelled', 'background loop']",
        "the thread has ended: True",
    ),
    "chat_bot": (
        "Is 3 a lucky number?       Yes.",
        "Is 12 a lucky number?      No.",
        "all answered, over 2 connections",
    ),
    "dependent_tasks": (
        "one after the other: 230 ms, as far as possible side by side: 140 ms",
        "8 steps, 1 of them water",
        "    dough: done",
        " sandwich: failed, no oven today",
    ),
    "echo_callbacks": tuple(f"client {number}: 200 messages echoed" for number in range(5)),
    "echo_coroutines": tuple(f"client {number}: 200 messages echoed" for number in range(5)),
    "echo_futures": tuple(f"client {number}: 200 messages echoed" for number in range(5)),
    "echo_tls": (
        "client 2: 100 messages echoed over TLSv1.3",
        "stranger: unable to get local issuer certificate",
    ),
    "graceful_shutdown": (
        "SIGUSR1: 3 clients, 3 questions answered",
        "SIGTERM: stopping, 3 clients are connected",
        "client 0: answer to stop, goodbye",
        "client 2: goodbye",
    ),
    "image_downloader": (
        " with_gather: 1,799,982 bytes, at most 60 at a time",
        "with_workers: 1,799,982 bytes, at most 8 at a time",
        "   with_wait: 1,799,982 bytes, at most 8 at a time",
    ),
    "moving_average": (
        "  17.00     15.00     13.67     12.80",
        "closing price 21.00",
    ),
    "pools": (
        "threads: ['a in pool', 'b in pool', 'c in pool', 'd in pool']",
        "processes: below 8001, 6171 has the longest way to 1, 261 steps",
        "first: [2], 3 still search",
        "asked to stop: [0, 1, 3]",
    ),
    "producer_consumer": (
        "2,000 items, their sum 1,999,000, never more than 50",
        "  consumer 3: busy",
        "  0: call the plumber",
    ),
    "service_aiohttp": (
        "50 orders at once: 50 different answers",
        "one for plums: (404, {'error': 'no plums here'})",
        "answered while it stopped: ['3', '2', '1', 'we close']",
    ),
    "service_fastapi": (
        "startup on aioxide.EventLoop",
        "POST oven: 422",
        'live: {"sensor":"cellar","celsius":12.25}',
        'GET roof: 200 {"celsius":31.5,"fahrenheit":88.7}',
        "shutdown, the latest readings are {'cellar': 12.25, 'roof': 31.5}",
    ),
    "subprocess_pipeline": (
        "seq | gzip | gunzip | wc: 200000 lines, exit codes [0, 0, 0, 0]",
        "seq | odd ones | sort: 10000 lines, first b'19999', exit codes [0, 0]",
        "shell: b'fine\\n', b'broken\\n', exit code 3",
        "too slow: ended by SIGTERM",
        "too slow: ended by SIGKILL",
    ),
    "timeouts": (
        "wait_for: timed out, ['tidied up']",
        "timeout: timed out, ['tidied up'], expired True",
        "cancel: no longer needed, ['tidied up'], cancelled True",
        "shield: paid",
        "uncancel: asked 1 time to end, 0 requests left",
        "TaskGroup: disk full, ['tidied up']",
    ),
    "title_crawler": (
        "     Ada: 8 articles, 4,780 words, first 'Article 00'",
        "41 paths, 40 titles",
    ),
}
