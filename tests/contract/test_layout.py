"""How the project is laid out: who may import whom, and what is in the wheel."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"gateway", "collectors", "shared", "streams", "loadtest", "deploy"}
IN_A_WHEEL_TOO = {"pyproject.toml", "README.md", "LICENSE"}


def test_imports_point_one_way() -> None:
    """The contracts of pyproject.toml, as `make check` holds them."""
    checked = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    assert " kept, 0 broken" in checked.stdout


def test_the_wheel_has_the_packages_by_name_and_nothing_else(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in IN_A_WHEEL_TOO:
        shutil.copy(ROOT / name, project)
    for name in PACKAGES | {"tests", "docs"}:  # the last two must stay out
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "stray.py").write_text("")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
        metadata = archive.read(next(name for name in files if name.endswith("/METADATA"))).decode()
    assert {name.partition("/")[0] for name in files if ".dist-info/" not in name} == PACKAGES
    assert "Classifier: Private :: Do Not Upload" in metadata
    shipped = {name for name in files if name.partition("/")[0] in PACKAGES}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()):
        if "__pycache__" not in path.parts:
            assert str(path.relative_to(ROOT)) in shipped  # SQL, templates and configuration too


def test_every_program_of_the_wheel_is_there() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert hasattr(__import__(module, fromlist=[function]), function), target
