"""What the reports share: plots that depend on their figures only, and pages with a part made by us."""

import pathlib


def pyplot():
    """Matplotlib that draws SVG without a display and without random identifiers."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "egptc"
    from matplotlib import pyplot as drawing

    return drawing


def save(figure, path):
    """As SVG without a date, so that nothing but the figures changes it."""
    figure.savefig(path, metadata={"Date": None})
    pyplot().close(figure)


def replace_part(page: pathlib.Path, begin: str, end: str, lines):
    """The lines between the two marks of a page."""
    head, rest = page.read_text().split(begin, 1)
    tail = rest.split(end, 1)[1]
    page.write_text(head + begin + "\n\n" + "\n".join(lines) + "\n\n" + end + tail)
