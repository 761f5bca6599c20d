import asyncio
import unittest

from e2b import AsyncSandbox, AsyncSecret, AsyncVolume, CommandExitException, SandboxNotFoundException
from support import unique


class Async(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.sandbox = await AsyncSandbox.create(timeout=120)
        self.addAsyncCleanup(self.sandbox.kill)

    async def test_commands(self):
        """many commands run beside each other"""
        results = await asyncio.gather(*(self.sandbox.commands.run(f"sleep 0.2; echo {i}") for i in range(10)))
        self.assertEqual([int(result.stdout) for result in results], list(range(10)))
        handle = await self.sandbox.commands.run("cat", background=True, stdin=True)
        await self.sandbox.commands.send_stdin(handle.pid, "asked")
        await handle.kill()
        with self.assertRaises(CommandExitException):
            await handle.wait()

    async def test_files(self):
        """files are written, read and watched"""
        events: list = []
        await self.sandbox.files.make_dir("watched")
        watch = await self.sandbox.files.watch_dir("watched", on_event=events.append)
        await self.sandbox.files.write("watched/file", "content")
        self.assertEqual(await self.sandbox.files.read("watched/file"), "content")
        for _ in range(100):
            if any(event.name == "file" for event in events):
                break
            await asyncio.sleep(0.1)
        else:
            self.fail("the watch told nothing")
        await watch.stop()

    async def test_pause_and_fork(self):
        """a sandbox is paused, connected to and forked; five pauses at once are five"""
        await self.sandbox.files.write("/dev/shm/kept", "memory")
        await asyncio.gather(*(self.sandbox.pause() for _ in range(5)))
        await asyncio.gather(*(AsyncSandbox.connect(self.sandbox.sandbox_id, timeout=120) for _ in range(5)))
        forks = await self.sandbox.fork(count=1, timeout=120)
        try:
            self.assertEqual(await forks[0].files.read("/dev/shm/kept"), "memory")
        finally:
            await forks[0].kill()
        await self.sandbox.kill()
        with self.assertRaises(SandboxNotFoundException):
            await self.sandbox.get_info()

    async def test_team(self):
        """volumes and secrets are kept"""
        volume = await AsyncVolume.create(unique("volume"))
        await volume.write_file("/file", "content")
        self.assertEqual(await volume.read_file("/file"), "content")
        self.assertTrue(await AsyncVolume.destroy(volume.volume_id))
        secret = await AsyncSecret.create(unique("secret"), "value")
        self.assertTrue(await AsyncSecret.exists(secret.name))
        self.assertTrue(await AsyncSecret.destroy(secret.secret_id))
