import unittest

from e2b import (
    Sandbox,
    SandboxException,
    Secret,
    SecretException,
    SecretNotFoundException,
    Template,
    Volume,
    VolumeException,
    VolumeNotFoundException,
    VolumePathNotFoundException,
)
from support import unique


class Volumes(unittest.TestCase):
    def test_volume(self):
        """volumes are kept, read, written and mounted"""
        name = unique("volume")
        volume = Volume.create(name)
        self.addCleanup(Volume.destroy, volume.volume_id)
        with self.assertRaises(VolumeException):
            Volume.create(name)
        self.assertIn(volume.volume_id, [listed.volume_id for listed in Volume.list()])
        self.assertEqual(Volume.connect(volume.volume_id).name, name)
        self.assertEqual(Volume.get_info(volume.volume_id).name, name)
        volume.write_file("/notes.txt", "first")
        self.assertEqual(volume.read_file("/notes.txt"), "first")
        with self.assertRaises(VolumePathNotFoundException):
            volume.make_dir("/a/b")
        volume.make_dir("/a/b", force=True, mode=0o750)
        self.assertEqual(volume.get_info("/a/b").mode, 0o750)
        self.assertEqual(sorted(entry.path for entry in volume.list("/")), ["/a", "/notes.txt"])
        self.assertEqual(volume.update_metadata("/notes.txt", mode=0o600).mode, 0o600)
        volume.remove("/a")
        self.assertFalse(volume.exists("/a"))
        sandbox = Sandbox.create(timeout=120, volume_mounts={"/mnt/data": volume})
        try:
            sandbox.commands.run("echo from inside > /mnt/data/inside; sync /mnt/data/inside")
            self.assertEqual(volume.read_file("/inside"), "from inside\n")
        finally:
            sandbox.kill()
        self.assertTrue(Volume.destroy(volume.volume_id))
        with self.assertRaises(VolumeNotFoundException):
            Volume.connect(volume.volume_id)


class Secrets(unittest.TestCase):
    def test_secret(self):
        """secrets are kept, referred to, and never told"""
        name, value = unique("secret"), unique("value")
        made = Secret.create(name, value, metadata={"owner": "tests"})
        self.addCleanup(Secret.destroy, made.secret_id)
        with self.assertRaises(SecretException):
            Secret.create(name, "again")
        self.assertEqual(Secret.update(name, value + "2").version, 2)
        self.assertTrue(Secret.exists(name))
        self.assertNotIn(value, str(Secret.get_info(name)))
        pages, seen = Secret.list(limit=1), []
        while pages.has_next:
            seen += [secret.secret_id for secret in pages.next_items()]
        self.assertIn(made.secret_id, seen)
        rules = {"api.example.com": [{"transform": {"headers": {"Authorization": f"Bearer {Secret.fill(name)}"}}}]}
        sandbox = Sandbox.create(timeout=120, network={"rules": rules})
        try:
            self.assertNotIn(value, sandbox.commands.run("env").stdout)
            with self.assertRaises(SandboxException):
                sandbox.update_network({"rules": {"api.example.com": [{"transform": {"headers": {"X": Secret.fill("none-such")}}}]}})
        finally:
            sandbox.kill()
        self.assertTrue(Secret.destroy(name))
        self.assertFalse(Secret.destroy(name))
        with self.assertRaises(SecretNotFoundException):
            Secret.get_info(name)


    def test_identity_token(self):
        """rules refer to identity tokens, which are never told"""
        rule = {"transform": lambda context: {"headers": {"Authorization": f"Bearer {context.iam.tokens['aws']}"}}}
        token = Secret.iam_token(audience="sts.amazonaws.com", token_type="JWT-SVID")
        sandbox = Sandbox.create(timeout=120, iam={"tokens": {"aws": token}}, network={"rules": {"api.example.com": [rule]}})
        try:
            self.assertIn("${e2b.identity.tokens.aws}", str(sandbox.get_info().network))
            self.assertNotIn("sts.amazonaws.com", sandbox.commands.run("env; cat /run/envd/* 2>/dev/null || true").stdout)
            sandbox.update_network({"rules": {"api.example.com": [rule]}})
            with self.assertRaises(SandboxException):
                sandbox.update_network({"rules": {"api.example.com": [{"transform": lambda context: {"headers": {"X": context.iam.tokens["gcp"]}}}]}})
        finally:
            sandbox.kill()


class Templates(unittest.TestCase):
    def test_tags(self):
        """tags are given, listed and removed"""
        name = unique("tagged")
        self.assertTrue(Template.exists("base"))
        self.assertFalse(Template.exists(name))
        sandbox = Sandbox.create(timeout=120)
        self.addCleanup(sandbox.kill)
        taken = sandbox.create_snapshot(name=name)
        self.addCleanup(Sandbox.delete_snapshot, taken.snapshot_id)
        Template.assign_tags(name, ["v1", "stable"])
        self.assertEqual(sorted(tag.tag for tag in Template.get_tags(name)), ["default", "stable", "v1"])
        Template.remove_tags(name, "v1")
        self.assertEqual(sorted(tag.tag for tag in Template.get_tags(name)), ["default", "stable"])
