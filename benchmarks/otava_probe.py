"""Change points of many series by Apache Otava, in an environment of its own: JSON in, JSON out.

Reads an object with `series`, a list of lists of numbers, from standard input; prints the places of the
changes of each as a list of lists, and the package's version. Run by ``benchmarks/against_otava.py``.
"""

import json
import sys
from importlib.metadata import version

from otava.analysis import compute_change_points
from otava.series import AnalysisOptions


def main() -> None:
    asked, options = json.load(sys.stdin), AnalysisOptions()
    found = []
    for values in asked["series"]:
        points, _ = compute_change_points(
            values,
            window_len=options.window_len,
            max_pvalue=options.max_pvalue,
            min_magnitude=options.min_magnitude,
        )
        found.append([int(point.index) for point in points])
    print(json.dumps({"version": version("apache-otava"), "found": found}))


if __name__ == "__main__":
    main()
