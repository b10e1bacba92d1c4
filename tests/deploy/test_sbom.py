"""`make sbom`: every locked dependency of the product is in the bill, with its version and its hashes."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "image.txt"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """What the command of the Makefile writes, twice."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    command = re.search(r"^\t(\$\(BIN\)/cyclonedx-py .*?) --output-file", makefile, re.MULTILINE | re.DOTALL)
    assert command is not None
    _, *arguments = command[1].replace("\\\n", " ").split()
    tool = shutil.which("cyclonedx-py") or str(ROOT / ".venv" / "bin" / "cyclonedx-py")
    files = []
    for name in ("one", "other"):
        file = tmp_path_factory.mktemp("sbom") / f"{name}.json"
        made = subprocess.run(
            [tool, *arguments, "--output-file", str(file)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr
        files.append(file.read_bytes())
    return files[0], files[1]


def test_it_holds_every_locked_package_with_its_version_and_hashes(written: tuple[bytes, bytes]) -> None:
    bill = json.loads(written[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "floodgate"
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(locked) > 20
    assert {part["name"]: part["version"] for part in bill["components"]} == locked
    assert {_hash for part in bill["components"] for _hash in _hashes(part)} == set(
        re.findall(r"--hash=sha256:([0-9a-f]{64})", LOCK.read_text(encoding="utf-8"))
    )


def test_it_is_the_same_each_time(written: tuple[bytes, bytes]) -> None:
    assert written[0] == written[1]


def _hashes(part: dict[str, Any]) -> list[str]:
    found = [one["content"] for one in part.get("hashes", ())]
    return found + [one["content"] for link in part.get("externalReferences", ()) for one in link.get("hashes", ())]
