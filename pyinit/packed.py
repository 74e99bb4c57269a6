"""Imports the package from the compiled file where that is all there is, as in our image (`ctl.compiled`)."""

import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType


def core_of(content: bytes) -> "dict[str, tuple[bytes, bool]]":
    """The code of each module of the core, marshalled, and whether it is a package.

    Raises:
        Exception: the file is damaged, or for another Python.
    """
    magic = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
    index = marshal.loads(content.rpartition(b"\n" + magic)[2])
    return {name: (content[start : start + length], is_package) for name, (start, length, is_package) in index.items()}


class Finder:
    """Imports from the compiled file, also what is not the core."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._modules: dict[str, tuple[bytes | CodeType, bool]] | None = None
        """The code of each, marshalled or not, and whether it is a package; None: not read yet."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        """What the import system asks for (`importlib.abc.MetaPathFinder`), after all others."""
        if not name.startswith("pyinit."):
            return None
        if self._modules is None:
            self._modules = self._read()
        if name not in self._modules:
            return None
        origin, is_package = f"{self._file}/{name}", self._modules[name][1]
        return type(__spec__)(name, self, origin=origin, is_package=is_package)  # type: ignore[arg-type]

    def create_module(self, spec: "ModuleSpec") -> None:
        """None: an ordinary module."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run the code of the module."""
        exec(self.get_code(module.__name__), module.__dict__)

    def get_code(self, name: str) -> "CodeType":
        """What ``python -m`` asks for."""
        assert self._modules is not None
        code = self._modules[name][0]
        return marshal.loads(code) if isinstance(code, bytes) else code

    def _read(self) -> "dict[str, tuple[bytes | CodeType, bool]]":
        from zipimport import zipimporter

        try:
            with open(self._file, "rb") as file:
                core = core_of(file.read())
            rest = zipimporter(self._file).get_data("pyinit/rest")
            return {**core, **marshal.loads(rest)}
        except Exception:  # not there, damaged, or for another Python
            return {}


def import_from(folder: str) -> None:
    """Have the modules of the package imported from the compiled file in its folder."""
    sys.meta_path.append(Finder(f"{folder}/compiled.{sys.implementation.cache_tag}.zip"))
