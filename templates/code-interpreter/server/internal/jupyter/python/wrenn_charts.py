"""Describes matplotlib's figures in the form that E2B's SDKs read.

Source of the form: the classes of charts in the SDKs (charts.py, charts.ts).
"""

import math
import re

import numpy
from matplotlib import collections, dates, lines, patches, ticker

# "Time (s)" and "Time [s]": the unit of an axis within its label.
UNIT = re.compile(r"\s\((.*?)\)|\[(.*?)\]")


def describe(figure):
    """Returns the chart of a figure, or None if it has no axes."""
    axes = [one for one in figure.get_axes() if not hasattr(one, "_colorbar")]
    if not axes:
        return None
    if len(axes) == 1:
        return chart(axes[0])
    title = figure._suptitle.get_text() if figure._suptitle is not None else None
    return {"type": "superchart", "title": title or None, "elements": [chart(one) for one in axes]}


def chart(axes):
    """Returns the chart of one pair of axes, by what was drawn there."""
    drawn = [one for one in axes.get_children() if relevant(axes, one)]
    boxes = boxplot(axes, drawn)
    if boxes is not None:
        return boxes
    drawn = [one for one in drawn if not is_rule(axes, one)]
    for kind, describe_as in KINDS:
        if drawn and all(isinstance(one, kind) for one in drawn):
            return describe_as(axes, drawn)
    if not drawn:
        return line(axes, drawn)
    return {**named(axes, "unknown"), "elements": []}


def relevant(axes, artist):
    """Leaves out what every pair of axes has: spines, axis, title, legend, background."""
    return (
        artist.axes is axes
        and artist is not axes.patch
        and isinstance(artist, (lines.Line2D, collections.Collection, patches.Patch))
        and artist not in axes.spines.values()
    )


def is_rule(axes, artist):
    """Tells lines across the whole of the axes, as axhline and axvline draw them."""
    return isinstance(artist, lines.Line2D) and artist.get_transform() in (
        axes.get_xaxis_transform("grid"),
        axes.get_yaxis_transform("grid"),
    )


def named(axes, kind):
    return {"type": kind, "title": axes.get_title() or None}


def labelled(axes, kind):
    """Returns what charts with two axes have."""
    found = named(axes, kind)
    for name, label in (("x", axes.get_xlabel()), ("y", axes.get_ylabel())):
        unit = UNIT.search(label)
        found[name + "_label"] = label or None
        found[name + "_unit"] = (unit.group(1) or unit.group(2)) if unit else None
    return found


def measured(axes, kind):
    """Returns what charts of points have: ticks and scales too."""
    found = labelled(axes, kind)
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        found[name + "_scale"] = scale(axis)
        found[name + "_ticks"] = [position(axis, one) for one in axis.get_majorticklocs()]
        found[name + "_tick_labels"] = [one.get_text() for one in axis.get_ticklabels()]
    return found


def scale(axis):
    """Returns the scale of an axis: what its values are, else how they are laid out."""
    converter = type(axis.converter).__name__ if getattr(axis, "converter", None) is not None else ""
    if isinstance(axis.get_major_locator(), dates.DateLocator) or "Date" in converter:
        return "datetime"
    if "Category" in converter:
        return "categorical"
    return axis.get_scale()


def position(axis, value):
    """Returns a value of an axis: the text of a date or a category, else a number."""
    kind = scale(axis)
    if kind == "datetime" and isinstance(value, (int, float, numpy.number)):
        return dates.num2date(value).isoformat()
    if kind == "datetime":
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    if kind == "categorical" and not isinstance(value, str):
        names = {number: name for name, number in axis.units._mapping.items()} if axis.units is not None else {}
        return names.get(int(value), float(value)) if float(value).is_integer() else float(value)
    return number(value)


def number(value):
    if isinstance(value, str):
        return value
    value = float(value)
    return value if math.isfinite(value) else None


def points(axes, pairs):
    return [(position(axes.xaxis, x), position(axes.yaxis, y)) for x, y in pairs]


def line(axes, drawn):
    """Describes lines. Their points are those of the drawing, in which dates and
    categories are numbers."""
    elements = [
        {"label": str(one.get_label()), "points": points(axes, zip(one.get_xdata(orig=False), one.get_ydata(orig=False)))}
        for one in drawn
    ]
    return {**measured(axes, "line"), "elements": elements}


def scatter(axes, drawn):
    elements = [{"label": str(one.get_label()), "points": points(axes, numpy.ma.getdata(one.get_offsets()))} for one in drawn]
    return {**measured(axes, "scatter"), "elements": elements}


def bar(axes, drawn):
    """Describes bars. A group is a call of bar: its bars have one label in the legend."""
    found, elements = labelled(axes, "bar"), []
    for container in axes.containers:
        rectangles = [one for one in container if isinstance(one, patches.Rectangle)]
        if not rectangles:
            continue
        horizontal = getattr(container, "orientation", None) == "horizontal"
        axis = axes.yaxis if horizontal else axes.xaxis
        for one in rectangles:
            middle = one.get_y() + one.get_height() / 2 if horizontal else one.get_x() + one.get_width() / 2
            value = one.get_width() if horizontal else one.get_height()
            elements.append({"label": tick(axis, middle), "value": number(value), "group": str(container.get_label())})
    if any(getattr(one, "orientation", None) == "horizontal" for one in axes.containers):
        swap(found)
    return {**found, "elements": elements}


def swap(found):
    """Makes x the axis of the categories and y that of the values, whatever way they
    are drawn."""
    for of in ("label", "unit"):
        found["x_" + of], found["y_" + of] = found["y_" + of], found["x_" + of]


def tick(axis, value):
    """Returns the name of a place on an axis of categories: the nearest tick's label."""
    kind = scale(axis)
    if kind in ("datetime", "categorical"):
        return str(position(axis, round(value, 9)))
    # Ticks that the code named, not those that matplotlib chose.
    if isinstance(axis.get_major_formatter(), (ticker.FixedFormatter, ticker.FuncFormatter)):
        places = axis.get_majorticklocs()
        labels = [(abs(place - value), one.get_text()) for place, one in zip(places, axis.get_ticklabels())]
        distance, label = min(labels, default=(math.inf, ""))
        if label and distance <= min(numpy.abs(numpy.diff(places)), default=2.0) / 2:
            return label
    return f"{value:.6g}"


def pie(axes, drawn):
    elements = [
        {"label": str(one.get_label()), "angle": round(abs(one.theta2 - one.theta1), 4), "radius": number(one.r)} for one in drawn
    ]
    return {**named(axes, "pie"), "elements": elements}


def boxplot(axes, drawn):
    """Describes box plots, or returns None for anything else. matplotlib keeps no record
    of a box plot: it is told by its parts. A box is a closed path of five or six points,
    as a patch or as a line; a median is a line across a box; whiskers begin at its ends;
    outliers are lines of markers at its middle."""
    boxes = [one for one in map(box_of, drawn) if one is not None]
    if not boxes or any(not isinstance(one, (lines.Line2D, patches.PathPatch)) for one in drawn):
        return None
    segments = [one for one in drawn if isinstance(one, lines.Line2D)]
    horizontal = lies(boxes, segments)
    elements = {}
    for one in boxes:
        element = measure(one, segments, axes, horizontal)
        if element is not None:
            # A plot that is drawn twice, for its colours, is described once.
            elements[element.pop("place")] = element
    if not elements:
        return None
    found = labelled(axes, "box_and_whisker")
    if horizontal:
        swap(found)
    return {**found, "elements": list(elements.values())}


def box_of(artist):
    """Returns the corners of a box, as (x0, x1, y0, y1)."""
    if isinstance(artist, patches.PathPatch):
        vertices = artist.get_path().vertices
        vertices = vertices[~numpy.all(vertices == 0, axis=1)] if len(vertices) == 6 else vertices
    elif isinstance(artist, lines.Line2D) and len(artist.get_xdata(orig=False)) == 5:
        vertices = numpy.column_stack([artist.get_xdata(orig=False), artist.get_ydata(orig=False)])
        if not numpy.array_equal(vertices[0], vertices[-1]):
            return None
    else:
        return None
    if not 4 <= len(vertices) <= 6 or len(set(vertices[:, 0])) != 2 or len(set(vertices[:, 1])) != 2:
        return None
    return (vertices[:, 0].min(), vertices[:, 0].max(), vertices[:, 1].min(), vertices[:, 1].max())


def lies(boxes, segments):
    """Tells whether boxes lie: whether their whiskers are horizontal."""
    x0, x1, y0, y1 = boxes[0]
    for one in segments:
        x, y = one.get_xdata(orig=False), one.get_ydata(orig=False)
        if len(x) != 2 or x[0] == x[1] and y[0] == y[1]:
            continue
        if y[0] == y[1] and (y0 + y1) / 2 == y[0] and x0 in x or y[0] == y[1] and (y0 + y1) / 2 == y[0] and x1 in x:
            return True
    return False


def measure(box, segments, axes, horizontal):
    """Returns the figures of one box."""
    across, low, high = (box[2:], box[0], box[1]) if horizontal else (box[:2], box[2], box[3])
    middle = (across[0] + across[1]) / 2
    least, most, median, outliers = low, high, None, []
    for one in segments:
        x, y = one.get_xdata(orig=False), one.get_ydata(orig=False)
        place, value = (y, x) if horizontal else (x, y)
        if len(place) == 2 and value[0] == value[1] and place[0] != place[1] and low <= value[0] <= high:
            if across[0] <= min(place) and max(place) <= across[1]:
                median = value[0]
        elif len(place) == 2 and place[0] == place[1] == middle and low in value:
            least = min(least, *value)
            most = max(most, *value) if low == high else most
        elif len(place) == 2 and place[0] == place[1] == middle and high in value:
            most = max(most, *value)
        elif one.get_linestyle() == "None" and len(place) and numpy.all(numpy.asarray(place) == middle):
            outliers = [number(each) for each in value]
    if median is None:
        return None
    axis = axes.yaxis if horizontal else axes.xaxis
    return {
        "place": middle, "label": tick(axis, middle), "min": number(least), "first_quartile": number(low),
        "median": number(median), "third_quartile": number(high), "max": number(most), "outliers": outliers,
    }


KINDS = (
    (lines.Line2D, line),
    (collections.PathCollection, scatter),
    (patches.Wedge, pie),
    (patches.Rectangle, bar),
)
