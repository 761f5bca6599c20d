#!/bin/busybox sh
# PID 1 of the lab's host: loads KVM, runs the cases that the third disk names, prints
# how they ended and switches the machine off.

end() {
	echo "wrenn-lab-status $1"
	# The console is the only way out: let it drain before the power goes.
	/bin/busybox sleep 0.5
	/bin/busybox reboot -f
}

fail() {
	echo "lab: $1"
	end 1
}

export PATH=/usr/sbin:/usr/bin HOME=/root TMPDIR=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir -p /run/netns /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sfn /proc/self/fd /dev/fd
# Clones share memory and disk only on a file system with reflinks.
mount -t xfs /dev/vdb /tmp || fail "cannot mount the scratch disk"
ip link set lo up
for module in kvm-amd tun; do
	modprobe "$module" || fail "cannot load module $module"
done
[ -c /dev/kvm ] || fail "this machine has no /dev/kvm: its CPU does not virtualise"
echo "lab: $(uname -r), $(nproc) CPUs, $(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo) MiB, KVM on"

export WRENN_TEST_IMAGE=/lab/image WRENN_TEST_ACCELERATOR=kvm
cd /lab || fail "the disk is not the lab's"
read -r suite flags < /dev/vdc || fail "the third disk has no order"
status=0
# The flags are words for the shell to split.
# shellcheck disable=SC2086
set -f
"./$suite" $flags || status=1
end "$status"
