"""The user that the workload runs as; loaded only for ``--user``."""

import posix
import pwd

from ..kernel import procfs
from ..kernel.numbers import whole

_NO_AMBIENT = b"CapAmb:\t0000000000000000\n"

_LARGEST = 2**32 - 2
"""The largest id there is: the next one means "leave it as it is" to setresuid(2)."""


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
    except ValueError as error:  # more groups than a process may have, a name that is not UTF-8
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
