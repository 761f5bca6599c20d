"""Formatters of IPython for what Jupyter has no format for: E2B's data of tables
(e2b/data) and of matplotlib's figures (e2b/chart)."""

import datetime
import importlib.util
import math
import numbers
import os
import sys

from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

# A table with more cells is shown as text and HTML alone, which IPython shortens.
MOST_CELLS = 1_000_000


def plain(value):
    """Makes a value of a table one that JSON has; what it has no form for is text."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        value = float(value)
        return value if math.isfinite(value) else None
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if type(value).__name__ == "bool_":
        return bool(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return str(value)


def table(frame):
    """Returns the columns of a pandas.DataFrame by their names."""
    if frame.size > MOST_CELLS:
        return None
    return {str(name): [plain(value) for value in frame.iloc[:, place].tolist()] for place, name in enumerate(frame.columns)}


def charts():
    """Imports wrenn_charts, and with it matplotlib, only where there is a figure."""
    name = "wrenn_charts"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, os.path.join(os.path.dirname(__file__), name + ".py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


class DataFormatter(BaseFormatter):
    format_type = Unicode("e2b/data")
    print_method = ObjectName("_repr_e2b_data_")
    _return_type = (dict, str)

    def __call__(self, obj):
        pandas = sys.modules.get("pandas")
        if pandas is not None and isinstance(obj, getattr(pandas, "DataFrame", ())):
            return table(obj)
        return super().__call__(obj)


class ChartFormatter(BaseFormatter):
    format_type = Unicode("e2b/chart")
    print_method = ObjectName("_repr_e2b_chart_")
    _return_type = (dict, str)

    def __call__(self, obj):
        # The library is looked up at each call: code may import it anew.
        figure = sys.modules.get("matplotlib.figure")
        if figure is not None and isinstance(obj, getattr(figure, "Figure", ())):
            try:
                return charts().describe(obj)
            except Exception:  # a figure of a kind that nobody thought of still has its picture
                return None
        return super().__call__(obj)


def install(formatter):
    for made in (DataFormatter(parent=formatter), ChartFormatter(parent=formatter)):
        formatter.formatters[made.format_type] = made
