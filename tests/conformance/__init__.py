"""CPython's own asyncio tests, run on the event loop, futures and tasks of another implementation.

One module, one idea; an arrow points to what a module uses:

    cli, test_conformance -> session -> supervisor -> child      (a module in its own process)
                                     -> verdicts -> expectations (what its outcomes mean)
                             report, record                      (text and JSON)

    child -> substitution -> implementations                     (what the tests run on)
          -> result                                              (unittest's events as JSON lines)

`suite` knows where the tests are, `outcomes` holds the words that both processes speak.
"""
