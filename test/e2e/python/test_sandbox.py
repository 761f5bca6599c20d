import datetime
import unittest
import uuid

from e2b import (
    CommandExitException,
    InvalidArgumentException,
    NotFoundException,
    Sandbox,
    SandboxException,
    SandboxNotFoundException,
    SandboxQuery,
    SandboxState,
)
from support import eventually, unique


class Life(unittest.TestCase):
    def make(self, **options) -> Sandbox:
        sandbox = Sandbox.create(timeout=options.pop("timeout", 120), **options)
        self.addCleanup(sandbox.kill)
        return sandbox

    def test_life(self):
        """a sandbox runs, tells of itself, and is gone once killed"""
        sandbox = self.make(metadata={"purpose": "python"}, envs={"GREETING": "hello"}, timeout=90)
        self.assertTrue(sandbox.is_running())
        info = sandbox.get_info()
        self.assertEqual(info.sandbox_id, sandbox.sandbox_id)
        self.assertEqual(info.metadata, {"purpose": "python"})
        self.assertEqual(info.state, SandboxState.RUNNING)
        lifetime = info.end_at - info.started_at
        self.assertAlmostEqual(lifetime.total_seconds(), 90, delta=5)
        sandbox.set_timeout(200)
        left = sandbox.get_info().end_at - datetime.datetime.now(datetime.timezone.utc)
        self.assertAlmostEqual(left.total_seconds(), 200, delta=15)
        self.assertEqual(sandbox.commands.run("echo $GREETING").stdout, "hello\n")
        self.assertTrue(sandbox.kill())
        self.assertFalse(sandbox.kill())
        self.assertFalse(sandbox.is_running())
        with self.assertRaises(SandboxNotFoundException):
            sandbox.get_info()
        with self.assertRaises(SandboxNotFoundException):
            Sandbox.connect(sandbox.sandbox_id)

    def test_idempotency(self):
        """a create that is sent again with its key makes one sandbox"""
        key = str(uuid.uuid4())
        first = self.make(idempotency_key=key, metadata={"mark": key})
        again = self.make(idempotency_key=key, metadata={"mark": key})
        self.assertEqual(first.sandbox_id, again.sandbox_id)
        self.assertEqual(again.commands.run("echo same").stdout, "same\n")
        with self.assertRaises(SandboxException) as refused:
            Sandbox.create(timeout=120, idempotency_key=key, metadata={"mark": "another"})
        self.assertIn("Idempotency-Key", str(refused.exception))
        with self.assertRaises(InvalidArgumentException):
            Sandbox.create(idempotency_key="Not A Key")

    def test_retry(self):
        """a create whose answer is lost is sent again, and makes one sandbox"""
        mark = unique("lost")
        sandbox = self.make(
            idempotency_key=str(uuid.uuid4()), metadata={"mark": mark}, api_headers={"X-Test-Lose-Answer": f"503 {mark}"},
        )
        listed = Sandbox.list(query=SandboxQuery(metadata={"mark": mark})).next_items()
        self.assertEqual([info.sandbox_id for info in listed], [sandbox.sandbox_id])

    def test_unknown(self):
        """what is not there is not found"""
        with self.assertRaises((NotFoundException, SandboxException)):
            Sandbox.create(unique("none"))
        with self.assertRaises(SandboxNotFoundException):
            Sandbox.connect("i0123456789abcdefghi")
        self.assertFalse(Sandbox.kill("i0123456789abcdefghi"))

    def test_pause(self):
        """a pause keeps memory, or the file system alone"""
        sandbox = self.make()
        sandbox.commands.run("echo disk > /home/user/kept; echo memory > /dev/shm/kept; sync")
        self.assertTrue(sandbox.pause())
        self.assertEqual(Sandbox.get_info(sandbox.sandbox_id).state, SandboxState.PAUSED)
        self.assertFalse(sandbox.pause(), "it is paused already")
        sandbox.connect(timeout=120)
        self.assertEqual(sandbox.commands.run("cat /home/user/kept /dev/shm/kept").stdout, "disk\nmemory\n")
        sandbox.pause(mode="filesystem")
        sandbox = Sandbox.connect(sandbox.sandbox_id, timeout=120)
        self.assertEqual(sandbox.commands.run("cat /home/user/kept; ls /dev/shm").stdout, "disk\n")

    def test_lifecycle(self):
        """a sandbox that asked for it is paused at its end, and resumed by a request"""
        sandbox = self.make(timeout=3, lifecycle={"on_timeout": "pause", "auto_resume": True})
        eventually("the pause", lambda: True if sandbox.get_info().state == SandboxState.PAUSED else None)
        self.assertEqual(sandbox.commands.run("echo back").stdout, "back\n")

    def test_list(self):
        """sandboxes are listed page by page, by metadata and state"""
        mark = unique("mark")
        made = [self.make(metadata={"mark": mark}) for _ in range(2)]
        made[0].pause()

        def listed(**query) -> list:
            pages = Sandbox.list(query=SandboxQuery(metadata={"mark": mark}, **query), limit=1)
            found = []
            while pages.has_next:
                page = pages.next_items()
                self.assertLessEqual(len(page), 1)
                found += [info.sandbox_id for info in page]
            return found

        self.assertCountEqual(listed(), [s.sandbox_id for s in made])
        self.assertEqual(listed(state=[SandboxState.PAUSED]), [made[0].sandbox_id])
        self.assertEqual(listed(state=[SandboxState.RUNNING]), [made[1].sandbox_id])

    def test_fork(self):
        """forks begin where their parent is"""
        parent = self.make()
        parent.commands.run("echo before > /dev/shm/what")
        forks = parent.fork(count=2, timeout=120)
        self.assertEqual(len(forks), 2)
        for fork in forks:
            self.addCleanup(fork.kill)
            self.assertNotEqual(fork.sandbox_id, parent.sandbox_id)
            self.assertEqual(fork.commands.run("cat /dev/shm/what").stdout, "before\n")

    def test_snapshot(self):
        """snapshots are created from, with memory or without, listed and deleted"""
        sandbox = self.make()
        sandbox.commands.run("echo disk > /home/user/kept; echo memory > /dev/shm/kept; sync")
        name = unique("snapshot")
        warm = sandbox.create_snapshot(name=f"{name}:warm")
        self.addCleanup(Sandbox.delete_snapshot, warm.snapshot_id)
        cold = sandbox.create_snapshot(name=f"{name}:cold", mode="filesystem")
        self.assertTrue(warm.snapshot_id.endswith(f"/{name}:warm"), warm)
        copy = self.make(template=warm.snapshot_id)
        self.assertEqual(copy.commands.run("cat /home/user/kept /dev/shm/kept").stdout, "disk\nmemory\n")
        copy = self.make(template=cold.snapshot_id)
        self.assertEqual(copy.commands.run("cat /home/user/kept; ls /dev/shm").stdout, "disk\n")
        for name_filter in (name, f"{name}:warm", warm.snapshot_id):
            pages = Sandbox.list_snapshots(sandbox_id=sandbox.sandbox_id, name=name_filter)
            self.assertEqual(len(pages.next_items()), 1, name_filter)
        self.assertTrue(Sandbox.delete_snapshot(warm.snapshot_id))
        self.assertFalse(Sandbox.delete_snapshot(warm.snapshot_id))

    def test_metrics(self):
        """a sandbox's metrics are told"""
        sandbox = self.make()
        metrics = eventually("metrics", lambda: sandbox.get_metrics() or None, timeout=60)
        self.assertGreaterEqual(metrics[-1].cpu_count, 1)
        self.assertGreater(metrics[-1].mem_total, metrics[-1].mem_used)

    def test_network(self):
        """what a sandbox may reach is told and changed, and its traffic can be closed"""
        sandbox = self.make(network={"allow_public_traffic": False, "deny_out": ["8.8.8.8"]})
        self.assertEqual(sandbox.get_info().network["deny_out"], ["8.8.8.8"])
        self.assertTrue(sandbox.traffic_access_token)
        sandbox.update_network({"allow_out": ["1.1.1.1"], "deny_out": ["0.0.0.0/0"]})
        self.assertEqual(sandbox.get_info().network["allow_out"], ["1.1.1.1"])
        with self.assertRaises(SandboxException):
            sandbox.update_network({"allow_out": ["not an address!"]})
        with self.assertRaises(CommandExitException):
            sandbox.commands.run("timeout 2 bash -c '</dev/tcp/8.8.8.8/53'")
