"""For all tests here: pytest's own tests of plugins. Our plugin is loaded already, by its entry point."""

import signal

pytest_plugins = ("pytester",)

# Whoever started the tests may have had it ignored (a job in the background does): then no child could be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
