import io
import os

from e2b import (
    FileNotFoundException,
    FilesystemEventType,
    FileType,
    InvalidArgumentException,
    SandboxException,
)
from support import WithSandbox, eventually


class Files(WithSandbox):
    def test_write_anywhere(self):
        """files are written wherever they are to be, and are the user's"""
        self.sandbox.files.write("/app/src/main.py", "print(42)")
        self.assertEqual(self.sandbox.commands.run("python3 /app/src/main.py; stat -c %U /app /app/src/main.py").stdout, "42\nuser\nuser\n")

    def test_read(self):
        """files are read as text, bytes and a stream"""
        content = os.urandom(1 << 20)
        info = self.sandbox.files.write("bytes", content)
        self.assertEqual((info.name, info.path), ("bytes", "/home/user/bytes"))
        self.assertEqual(bytes(self.sandbox.files.read("bytes", format="bytes")), content)
        self.assertEqual(b"".join(self.sandbox.files.read("bytes", format="stream")), content)
        self.sandbox.files.write("text", io.StringIO("grüße\n"))
        self.assertEqual(self.sandbox.files.read("text"), "grüße\n")
        self.assertEqual(self.sandbox.files.read("text", gzip=True), "grüße\n")
        self.sandbox.files.write("empty", "")
        self.assertEqual(self.sandbox.files.read("empty"), "")
        with self.assertRaises(FileNotFoundException):
            self.sandbox.files.read("none")
        with self.assertRaises(SandboxException):
            self.sandbox.files.read("/tmp")

    def test_many(self):
        """many files are written in one call"""
        written = self.sandbox.files.write_files([{"path": f"many/{i}", "data": str(i)} for i in range(5)])
        self.assertEqual([info.name for info in written], [str(i) for i in range(5)])
        self.assertEqual(self.sandbox.files.read("many/3"), "3")

    def test_entries(self):
        """directories are made, listed, renamed and removed"""
        files = self.sandbox.files
        self.assertTrue(files.make_dir("tree/a/b"))
        self.assertFalse(files.make_dir("tree/a/b"))
        files.write("tree/a/file", "content", metadata={"kind": "note"})
        self.sandbox.commands.run("cd tree && ln -s a link && ln -s nowhere dangling")
        entries = {entry.name: entry for entry in files.list("tree")}
        self.assertEqual(entries["link"].type, FileType.SYMLINK)
        self.assertEqual(entries["link"].symlink_target, "/home/user/tree/a")
        self.assertEqual(len(files.list("tree/a", depth=2)), 2)
        info = files.get_info("tree/a/file")
        self.assertEqual((info.size, info.owner, info.metadata), (7, "user", {"kind": "note"}))
        self.assertTrue(files.exists("tree/a/file"))
        self.assertEqual(files.rename("tree/a/file", "tree/moved").path, "/home/user/tree/moved")
        files.remove("tree")
        self.assertFalse(files.exists("tree"))
        with self.assertRaises(FileNotFoundException):
            files.list("tree")
        with self.assertRaises(FileNotFoundException):
            files.get_info("tree/a/file")
        with self.assertRaises(InvalidArgumentException):
            files.list("/tmp", depth=0)

    def test_watch(self):
        """a watch tells at once what happened before it was asked"""
        files = self.sandbox.files
        files.make_dir("watched")
        watch = files.watch_dir("watched", recursive=True)
        files.write("watched/file", "x")
        events = watch.get_new_events()
        self.assertEqual([event.type for event in events if event.name == "file"],
                         [FilesystemEventType.CREATE, FilesystemEventType.CHMOD, FilesystemEventType.WRITE])
        files.rename("watched/file", "watched/other")
        files.remove("watched/other")
        seen = {event.type for event in watch.get_new_events()}
        self.assertIn(FilesystemEventType.RENAME, seen)
        self.assertIn(FilesystemEventType.REMOVE, seen)
        watch.stop()
        with self.assertRaises(SandboxException):
            watch.get_new_events()
        with self.assertRaises(FileNotFoundException):
            files.watch_dir("none")

    def test_signed(self):
        """signed addresses are made for files"""
        self.sandbox.files.write("signed", "signed content")
        self.assertIn("signature=", self.sandbox.download_url("signed", use_signature_expiration=60))
        self.assertIn("signature=", self.sandbox.upload_url("signed"))
