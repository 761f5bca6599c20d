import time

from e2b import CommandExitException, PtySize, TimeoutException
from support import WithSandbox, eventually


class Commands(WithSandbox):
    def test_run(self):
        """a command tells output, errors and its exit code as they come"""
        heard: list = []
        result = self.sandbox.commands.run(
            "echo out; echo err >&2; echo $WHO in $(pwd) as $(id -un)",
            envs={"WHO": "me"}, cwd="/tmp", user="root",
            on_stdout=heard.append, on_stderr=lambda text: heard.append(text.upper()),
        )
        self.assertEqual(result.stdout, "out\nme in /tmp as root\n")
        self.assertEqual(result.stderr, "err\n")
        self.assertIn("ERR\n", heard)
        with self.assertRaises(CommandExitException) as failed:
            self.sandbox.commands.run("echo before; exit 7")
        self.assertEqual((failed.exception.exit_code, failed.exception.stdout), (7, "before\n"))

    def test_timeout(self):
        """a command that takes too long ends"""
        with self.assertRaises(TimeoutException):
            self.sandbox.commands.run("sleep 60", timeout=1)

    def test_background(self):
        """a command in the background is listed, connected to and killed"""
        handle = self.sandbox.commands.run("echo begun; sleep 300", background=True, timeout=0)
        self.assertIn(handle.pid, [process.pid for process in self.sandbox.commands.list()])
        again = self.sandbox.commands.connect(handle.pid)
        self.assertTrue(self.sandbox.commands.kill(handle.pid))
        for waiting in (handle, again):
            with self.assertRaises(CommandExitException):
                waiting.wait()
        self.assertFalse(self.sandbox.commands.kill(handle.pid))

    def test_stdin(self):
        """a command reads what it is sent, until that is closed"""
        handle = self.sandbox.commands.run("cat; echo end", background=True, stdin=True)
        handle.send_stdin("first\n")
        self.sandbox.commands.send_stdin(handle.pid, b"second\n")
        handle.close_stdin()
        self.assertEqual(handle.wait().stdout, "first\nsecond\nend\n")

    def test_stream_input(self):
        """standard input can be one stream"""
        handle = self.sandbox.commands.run("wc -c", background=True, stdin=True)
        self.sandbox.commands.stream_input(handle.pid, ("x" * 1000 for _ in range(10)))
        handle.close_stdin()
        self.assertEqual(handle.wait().stdout.strip(), "10000")

    def test_pty(self):
        """a terminal has a size, answers, is resized and killed"""
        handle = self.sandbox.pty.create(PtySize(rows=30, cols=100), envs={"PS1": "$ "}, timeout=60)
        heard = bytearray()
        self.sandbox.pty.send_stdin(handle.pid, b"stty size\n")
        self.sandbox.pty.resize(handle.pid, PtySize(rows=40, cols=120))
        self.sandbox.pty.send_stdin(handle.pid, b"sleep 0.5; stty size; sleep 300 & exit 3\n")
        began = time.monotonic()
        with self.assertRaises(CommandExitException) as ended:
            handle.wait(on_pty=heard.extend)
        self.assertEqual(ended.exception.exit_code, 3)
        self.assertLess(time.monotonic() - began, 30, "the background job holds nothing up")
        self.assertIn(b"40 120", bytes(heard))
        handle = self.sandbox.pty.create(PtySize(rows=30, cols=100))
        self.sandbox.pty.stream_input(handle.pid, [b"echo stre", b"amed > /tmp/streamed\n"])
        eventually("the streamed line", lambda: self.sandbox.files.exists("/tmp/streamed") or None)
        self.assertTrue(self.sandbox.pty.kill(handle.pid))
        eventually("the terminal's end", lambda: None if self.sandbox.pty.kill(handle.pid) else True)

    def test_disconnect(self):
        """a command runs on when its client leaves"""
        handle = self.sandbox.commands.run("sleep 1; touch /tmp/finished", background=True)
        handle.disconnect()
        eventually("the command's end", lambda: self.sandbox.files.exists("/tmp/finished") or None)


class Git(WithSandbox):
    def test_git(self):
        """the git module works on a repository of the sandbox's own"""
        git, root = self.sandbox.git, "/home/user/git"
        self.sandbox.commands.run(f"git init -q --bare {root}/remote.git")
        git.configure_user("Tester", "tester@example.com")
        self.assertEqual(git.get_config("user.name"), "Tester")
        git.init(f"{root}/one", initial_branch="main")
        git.remote_add(f"{root}/one", "origin", f"{root}/remote.git")
        self.assertEqual(git.remote_get(f"{root}/one", "origin"), f"{root}/remote.git")
        self.sandbox.files.write(f"{root}/one/file", "first")
        self.assertFalse(git.status(f"{root}/one").is_clean)
        git.add(f"{root}/one")
        git.commit(f"{root}/one", "First")
        git.push(f"{root}/one", remote="origin", branch="main")
        git.clone(f"{root}/remote.git", path=f"{root}/two", branch="main")
        self.assertEqual(self.sandbox.files.read(f"{root}/two/file"), "first")
        git.create_branch(f"{root}/two", "feature")
        self.assertEqual(git.branches(f"{root}/two").current_branch, "feature")
        git.checkout_branch(f"{root}/two", "main")
        git.delete_branch(f"{root}/two", "feature")
        self.sandbox.files.write(f"{root}/one/file", "second")
        git.add(f"{root}/one")
        git.commit(f"{root}/one", "Second")
        git.push(f"{root}/one", remote="origin", branch="main")
        git.pull(f"{root}/two")
        self.assertEqual(self.sandbox.files.read(f"{root}/two/file"), "second")
