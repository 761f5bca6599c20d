"""Starts IPython's kernel with the formatters for E2B's data and charts."""

import os
import sys

# Code imports from its working directory first, not from this file's.
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = ["", *(entry for entry in sys.path if entry and os.path.abspath(entry) != here)]

from ipykernel.kernelapp import IPKernelApp  # noqa: E402

# What only the server, Jupyter and these imports need is kept from the code.
for name in ("JUPYTER_PATH", "PYDEVD_DISABLE_FILE_VALIDATION"):
    os.environ.pop(name, None)

app = IPKernelApp.instance()
app.initialize()

# Only after the kernel has chosen matplotlib's backend may anything import it.
sys.path.insert(0, here)
import wrenn_formatters  # noqa: E402

sys.path.remove(here)
wrenn_formatters.install(app.shell.display_formatter)
app.start()
