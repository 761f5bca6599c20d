"""E2B's SDK of code interpreters in Python: see js/src/interpreter.cases.ts."""

import asyncio
import os
import unittest

from e2b import InvalidArgumentException, NotFoundException, SandboxException, TimeoutException
from e2b_code_interpreter import AsyncSandbox, Sandbox
from e2b_code_interpreter.charts import BarChart, BoxAndWhiskerChart, LineChart, PieChart, ScatterChart, SuperChart

DEBUG = os.environ.get("E2B_DEBUG") == "true"
CHARTS = os.environ.get("INTERPRETER_CHARTS") == "true"
PLOTS = (
    ("plt.plot([1, 2])", LineChart),
    ("plt.scatter([1, 2], [3, 4])", ScatterChart),
    ("plt.bar(['a'], [1])", BarChart),
    ("plt.pie([1, 2])", PieChart),
    ("plt.boxplot([1, 2, 3, 9])", BoxAndWhiskerChart),
    ("a = plt.subplots(1, 2)[1]; a[0].plot([1]); a[1].plot([2])", SuperChart),
)


def options() -> dict:
    return {} if DEBUG else {"template": os.environ["INTERPRETER_TEMPLATE"], "timeout": 300}


class Interpreter(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.sandbox = Sandbox.create(**options())
        cls.addClassCleanup(cls.sandbox.kill)

    def test_run(self):
        """code keeps its state, and tells output, results and errors"""
        heard: list = []
        self.sandbox.run_code("x = 20")
        execution = self.sandbox.run_code("print('a'); x + 1", on_stdout=heard.append, on_result=heard.append)
        self.assertEqual((execution.text, execution.logs.stdout), ("21", ["a\n"]))
        self.assertEqual((heard[0].line, heard[1].text), ("a\n", "21"))
        self.assertIsInstance(heard[0].timestamp, int)
        error = self.sandbox.run_code("1/0").error
        self.assertEqual((error.name, error.value), ("ZeroDivisionError", "division by zero"))
        self.assertIn("ZeroDivisionError", error.traceback)
        self.assertEqual(self.sandbox.run_code("import os; os.environ['V']", envs={"V": "x"}).text, "x")
        self.assertIn('"results"', execution.to_json())

    def test_contexts(self):
        """contexts are made, listed, restarted and removed"""
        context = self.sandbox.create_code_context(cwd="/tmp")
        self.assertEqual(self.sandbox.run_code("import os; os.getcwd()", context=context).text, "/tmp")
        self.assertIn(context.id, [one.id for one in self.sandbox.list_code_contexts()])
        self.sandbox.restart_code_context(context)
        self.sandbox.remove_code_context(context)
        with self.assertRaises(NotFoundException):
            self.sandbox.run_code("1", context=context)
        with self.assertRaises(InvalidArgumentException):
            self.sandbox.run_code("1", context=context, language="python")
        with self.assertRaisesRegex(SandboxException, "There is no kernel .* there are bash"):
            self.sandbox.run_code("1", language="cobol")

    def test_timeout(self):
        """code that takes too long is interrupted"""
        with self.assertRaises(TimeoutException):
            self.sandbox.run_code("import time; time.sleep(1000)", timeout=1)
        self.assertEqual(self.sandbox.run_code("1 + 1", timeout=30).text, "2")

    @unittest.skipUnless(CHARTS, "this template has no matplotlib")
    def test_charts(self):
        """figures have the charts that the SDK has classes for"""
        for code, kind in PLOTS:
            result = self.sandbox.run_code(f"import matplotlib.pyplot as plt\n{code}\nplt.show()").results[0]
            self.assertIs(type(result.chart), kind, code)
            self.assertIn("png", result.formats())

    def test_async(self):
        """the asynchronous SDK runs code in several languages at once"""

        async def use() -> list:
            sandbox = await AsyncSandbox.create(**options())
            try:
                runs = (("1 + 1", "python"), ("1 + 2", "javascript"), ("echo 4", "bash"))
                return await asyncio.gather(*(sandbox.run_code(code, language=language) for code, language in runs))
            finally:
                await sandbox.kill()

        python, javascript, bash = asyncio.run(use())
        self.assertEqual((python.text, javascript.text, bash.logs.stdout), ("2", "3", ["4\n"]))
