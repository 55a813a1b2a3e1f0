"""A filter of system calls for the sandbox, as bubblewrap takes it: a small program of classic BPF (seccomp(2), Linux).

It refuses what a student's program never needs and what would hide memory from the grader's limits: memory files, System V
segments, user namespaces and mounts of its own, io_uring; and what looks into other processes or into the kernel.
"""

import platform
import struct

# Numbers of system calls: (x86_64, aarch64); None where the machine has no such call.
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195),
    "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "unshare": (272, 97), "setns": (308, 268),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "userfaultfd": (323, 282), "bpf": (321, 280), "perf_event_open": (298, 241), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "vmsplice": (278, 75), "kexec_load": (246, 104), "swapon": (167, 224),
    "personality": (135, 92), "acct": (163, 89), "quotactl": (179, 60),
}  # fmt: skip
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_*
_CLONE, _CLONE3 = (56, 220), 435
_NEW_NAMESPACE = 0x7E020080  # CLONE_NEW* of clone's flags, in its first argument
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_REFUSE, _NOT_THERE = 0x00050000 | 1, 0x00050000 | 38  # EPERM, ENOSYS
_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06


def filter_program(machine: str | None = None) -> bytes:
    """Return the filter for a machine ("x86_64" or "aarch64"; by default this one), or b"" for another kind of machine.

    A refused call fails with EPERM. clone3, whose flags no filter can read, fails with ENOSYS, so that programs use clone.
    """
    machine = machine or platform.machine()
    if machine not in _MACHINES:
        return b""
    column = list(_MACHINES).index(machine)
    numbers = sorted(number for call in _CALLS.values() if (number := call[column]) is not None)
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _MACHINES[machine]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":  # the same calls have a second set of numbers there, x32
        lines += [(_GREATER, 0, 1, 0x3FFFFFFF), (_RETURN, 0, 0, _REFUSE)]
    for number in numbers:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    lines += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _NOT_THERE)]
    lines += [(_EQUAL, 0, 3, _CLONE[column]), (_LOAD, 0, 0, 16), (_ANY_BIT, 0, 1, _NEW_NAMESPACE), (_RETURN, 0, 0, _REFUSE)]
    lines += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
