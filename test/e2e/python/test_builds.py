import asyncio
import pathlib
import tempfile
import traceback
import unittest

from e2b import AsyncTemplate, BuildException, Sandbox, Template, TemplateBuildStatus
from support import eventually, unique

SIZE = {"cpu_count": 1, "memory_mb": 512}


class Builds(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.files = pathlib.Path(directory.name)
        (cls.files / "app").mkdir()
        (cls.files / "app" / "main.py").write_text("print('hello')\n")
        (cls.files / "app" / "big.bin").write_bytes(bytes(range(256)) * 16384)

    def run_in(self, name: str, command: str) -> str:
        sandbox = Sandbox.create(name, timeout=120)
        try:
            return sandbox.commands.run(command).stdout.strip()
        finally:
            sandbox.kill()

    def test_build(self):
        """a template is built from steps and files, and started from at once"""
        name = unique("built-py")
        template = (
            Template(file_context_path=str(self.files))
            .from_template("base")
            .set_user("root")
            .set_workdir("/srv")
            .set_envs({"GREETING": "hello"})
            .copy("app", "app/")
            .run_cmd("echo $GREETING > greeting")
            .set_user("user")
            .set_start_cmd("echo begun > /tmp/begun; exec sleep infinity", "test -e /tmp/begun")
        )
        said = []
        info = Template.build(template, name, tags=["v1"], on_build_logs=lambda entry: said.append(entry.message), **SIZE)
        self.assertEqual(info.tags, ["v1"])
        self.assertTrue(any("GREETING" in line for line in said), said)
        self.assertTrue(Template.exists(name))
        self.assertEqual(
            self.run_in(f"{name}:v1", "cat /srv/greeting; stat -c %s /srv/app/big.bin; python3 /srv/app/main.py; cat /tmp/begun"),
            "hello\n4194304\nhello\nbegun",
        )
        again = []
        Template.build(template, name, tags=["v1"], on_build_logs=lambda entry: again.append(entry.message), **SIZE)
        self.assertTrue(any("CACHED" in line for line in again), again)

    def test_failing_step(self):
        """a step that fails is told with the line that asked for it"""
        template = Template().from_template("base").run_cmd("true")
        template = template.run_cmd("echo what went wrong; exit 7")  # the failing line
        try:  # assertRaises drops the traceback
            Template.build(template, unique("built-py"), **SIZE)
        except BuildException as failed:
            self.assertRegex(str(failed), "Step 2: .*exit code 7")
            self.assertIn("what went wrong", str(failed))
            self.assertIn("# the failing line", "".join(traceback.format_exception(failed)))
        else:
            self.fail("it was built")

    def test_background(self):
        """builds go on in the background, and are asked for their status"""

        async def build() -> None:
            template = AsyncTemplate().from_template("base").run_cmd("echo said in the background")
            info = await AsyncTemplate.build_in_background(template, unique("built-py"), **SIZE)
            status = await AsyncTemplate.get_build_status(info)
            while status.status not in (TemplateBuildStatus.READY, TemplateBuildStatus.ERROR):
                await asyncio.sleep(0.2)
                status = await AsyncTemplate.get_build_status(info)
            self.assertEqual(status.status, TemplateBuildStatus.READY, status.reason)
            self.assertTrue(any("said in the background" in entry.message for entry in status.log_entries))

        asyncio.run(asyncio.wait_for(build(), 240))

    def test_missing_template(self):
        """a template that is not there is a failed build, not a refused one"""
        info = Template.build_in_background(Template().from_template(unique("none")), unique("built-py"), **SIZE)

        def failed():
            status = Template.get_build_status(info)
            return status if status.status == TemplateBuildStatus.ERROR else None

        status = eventually("the failure", failed)
        self.assertEqual(status.reason.step, "base")
        self.assertIn("was not found", status.reason.message)
