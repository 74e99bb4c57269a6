"""The user that the workload runs as; loaded only for ``--user``."""

import _stat as stat
import posix
import pwd

from ..kernel import procfs
from ..kernel.numbers import whole

_NO_AMBIENT = b"CapAmb:\t0000000000000000\n"

_LARGEST = 2**32 - 2
"""The largest id there is: the next one means "leave it as it is" to setresuid(2)."""


_SHARED = 5
"""The major number of /dev/tty, /dev/console and /dev/ptmx, which are terminals, too (devices.txt of the kernel)."""


class User:
    """The user that the workload will be."""

    __slots__ = ("_gid", "_groups", "_libc", "_uid", "text", "variables")

    def __init__(self, text: str, name: str, uid: int, gid: int, home: str) -> None:
        self.text = text
        """As the user was asked for."""
        self._uid = uid
        self._gid = gid
        self.variables = {"HOME": home, "USER": name, "LOGNAME": name}
        """The environment variables that name the user."""
        self._groups = posix.getgrouplist(name, gid)
        if len(self._groups) > (most := posix.sysconf("SC_NGROUPS_MAX")):  # posix.setgroups takes no more
            raise ValueError(f"there are more than {most}")
        self._libc = None
        if _NO_AMBIENT not in (procfs.read("/proc/self/status") or b""):  # the kernel takes them from root alone
            from ..kernel import libc

            self._libc = libc

    def assume(self) -> None:
        """Become this user, with no way back: real, effective and saved ids alike, and no ambient capabilities.

        See credentials(7) and capabilities(7).

        Raises:
            OSError: we may not (EPERM): that takes CAP_SETUID and CAP_SETGID, or being that user already.
        """
        self._join_groups()
        posix.setresgid(self._gid, self._gid, self._gid)
        for stream in (0, 1, 2):
            self._give(stream)
        posix.setresuid(self._uid, self._uid, self._uid)
        if self._libc:
            self._libc.clear_ambient_capabilities()
        for variable, value in self.variables.items():
            posix.putenv(variable, value)

    def act(self) -> None:
        """Have no other rights than this user where files are concerned (credentials(7), capabilities(7)).

        Raises:
            OSError: as `assume`.
        """
        self._join_groups()
        posix.setegid(self._gid)
        posix.seteuid(self._uid)

    def why_not(self, failure: int) -> str:
        """Why this user cannot be assumed, where that failed with this errno.

        A user namespace may lack ids, and may not let groups change (user_namespaces(7)).
        """
        wanted, held = {*self._groups, self._gid}, {*posix.getgroups(), posix.getegid()}
        lacking = [f"group {_with_name(gid)}" for gid in sorted(wanted) if not _is_mapped(gid, "gid_map")]
        if not _is_mapped(self._uid, "uid_map"):
            lacking.insert(0, f"user {self._uid}")
        if lacking:
            return f"this user namespace has no {', no '.join(lacking)}"
        if (procfs.read("/proc/self/setgroups") or b"").startswith(b"deny") and wanted != held:
            changes = (("join", wanted - held), ("leave", held - wanted))
            cannot = [f"{verb} group {', '.join(map(_with_name, sorted(gids)))}" for verb, gids in changes if gids]
            return f"in this user namespace no process can {' or '.join(cannot)}"
        return posix.strerror(failure)

    def _give(self, stream: int) -> None:
        """Let the user open a standard stream by its path (``/dev/stdout``), if it belongs to us: make it theirs.

        runc does so for the USER of an image. Only a pipe, a terminal, or a file that is open for writing: not a device
        that all processes share, such as ``/dev/null`` or ``/dev/ptmx``, the other side of each terminal.
        """
        try:
            found = posix.fstat(stream)
            if found.st_uid != posix.geteuid() or found.st_uid == self._uid or not posix.get_inheritable(stream):
                return
            if stat.S_ISCHR(found.st_mode):
                is_ours = posix.major(found.st_rdev) != _SHARED and posix.isatty(stream)
            elif stat.S_ISREG(found.st_mode):
                is_ours = _is_writable(stream)
            else:
                is_ours = stat.S_ISFIFO(found.st_mode)
            if is_ours:
                posix.fchown(stream, self._uid, -1)
        except OSError:  # closed; EPERM: without CAP_CHOWN; EINVAL, EROFS: we do without
            pass

    def _join_groups(self) -> None:
        try:
            posix.setgroups(self._groups)
        except PermissionError:
            if {*posix.getgroups(), self._gid} != set(self._groups):
                raise


def find(text: str) -> User:
    """The user and group that ``USER[:GROUP]`` names, by names or ids.

    A name is looked up before it is read as an id. A user without an entry in the database has the number as its name,
    ``/`` as its home and, unless a GROUP is given, the group of the same number.

    Raises:
        ValueError: there is no such user or group.
    """
    user, colon, group = text.partition(":")
    entry = _entry(user) if user else None
    if entry:
        name, home = entry.pw_name, entry.pw_dir or "/"
        uid, gid = _number(str(entry.pw_uid), "user"), _number(str(entry.pw_gid), "group")
    else:
        name, uid, home = user, _number(user, "user"), "/"
        gid = uid
    if colon:
        gid = _gid(group)
    try:
        return User(text, name, uid, gid, home)
    except ValueError as error:  # too many groups, a name that is not UTF-8
        raise ValueError(f"cannot look up the groups of user '{user}': {error}") from None


def _entry(user: str) -> "pwd.struct_passwd | None":
    """The user's entry in the database; None if there is none, or no database."""
    try:
        return pwd.getpwnam(user)
    except (KeyError, OSError, ValueError):  # ValueError: a name with a null character
        pass
    try:
        return pwd.getpwuid(_number(user, "user"))
    except (KeyError, OSError, ValueError):
        return None


def _gid(group: str) -> int:
    try:
        import grp

        return _number(str(grp.getgrnam(group).gr_gid), "group")
    except (ImportError, KeyError, OSError, ValueError):
        return _number(group, "group")


def _number(text: str, what: str) -> int:
    number = whole(text, _LARGEST)
    if number is None:
        raise ValueError(f"there is no {what} '{text}'")
    return number


def _is_writable(fd: int) -> bool:
    """Whether a descriptor is open for writing: a write of no bytes to a file is checked, and does nothing."""
    try:
        posix.write(fd, b"")
    except OSError:  # EBADF
        return False
    return True


def _is_mapped(number: int, table: str) -> bool:
    """Whether our user namespace has this id; also if that is not known."""
    lines = (procfs.read(f"/proc/self/{table}") or b"0 0 4294967295").splitlines()
    ranges = [[int(part) for part in line.split()] for line in lines]
    return any(first <= number < first + count for first, _, count in ranges)


def _with_name(gid: int) -> str:
    """A group's number, with its name if it has one."""
    try:
        import grp

        return f"{gid} ({grp.getgrgid(gid).gr_name})"
    except (ImportError, KeyError, OSError):  # not reached: no entry in the database
        return str(gid)
