"""Runs one module of cases and prints one JSON object a line, for the Go test that
runs it: {"event": "start"|"pass"|"fail"|"skip", "name": …, "error": …}."""

import json
import sys
import unittest


class Reporter(unittest.TestResult):
    def _print(self, event: str, test: unittest.TestCase, error: str = "") -> None:
        name = test.shortDescription() or test.id()
        print(json.dumps({"event": event, "name": name, "error": error}), flush=True)

    def startTest(self, test):
        super().startTest(test)
        self._print("start", test)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._print("pass", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._print("skip", test, reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._print("fail", test, self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        self._print("fail", test, self._exc_info_to_string(err, test))


def main() -> None:
    suite = unittest.defaultTestLoader.loadTestsFromName(sys.argv[1])
    result = Reporter()
    suite.run(result)
    sys.exit(0 if result.wasSuccessful() else 1)


main()
