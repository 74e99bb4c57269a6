"""Imports the package from the compiled file where that is all there is, as in our image (`ctl.compiled`)."""

import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType


class Rest:
    """Imports from the compiled file what is not the core: one member, which is smaller."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._modules: dict[str, tuple[CodeType, bool]] | None = None
        """The code of each, and whether it is a package; None: not read yet."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        """What the import system asks for (`importlib.abc.MetaPathFinder`), after all others."""
        if not name.startswith("pyinit."):
            return None
        if self._modules is None:
            self._modules = self._unpacked()
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
        return self._modules[name][0]

    def _unpacked(self) -> "dict[str, tuple[CodeType, bool]]":
        from zipimport import ZipImportError, zipimporter

        try:
            rest = zipimporter(self._file).get_data("pyinit/rest")
        except (ZipImportError, OSError):  # not there
            return {}
        magic = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
        return marshal.loads(rest.removeprefix(magic)) if rest.startswith(magic) else {}


def import_from(folder: str, path: "list[str]") -> None:
    """Have the modules of the package imported from the compiled file in its folder; `path` is its ``__path__``."""
    file = f"{folder}/compiled.{sys.implementation.cache_tag}.zip"
    path.append(f"{file}/pyinit")
    sys.meta_path.append(Rest(file))
