"""The pinned lists and the bootstrap that installs them."""

import re
from pathlib import Path

import pytest

from devstack import bootstrap

REPOSITORY = Path(__file__).resolve().parents[2]
LISTS = sorted([REPOSITORY / "requirements.txt", *(REPOSITORY / "requirements").iterdir()])
LOCKED = [path for path in LISTS if path.suffix == ".txt"]


def pins(path: Path) -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return dict(line.split("==") for line in lines if "==" in line)


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: path.name)
def test_every_package_is_pinned_to_one_version(path: Path) -> None:
    for line in path.read_text().splitlines():
        if line and not line.lstrip().startswith("#"):
            assert re.fullmatch(r"[a-z0-9._-]+==[a-z0-9.]+", line, re.IGNORECASE), line


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_no_list_names_a_host_or_an_index(path: Path) -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host", path.read_text())


def test_no_cuda_package_is_installed() -> None:
    names = {name for path in LOCKED for name in pins(path)}
    assert not {name for name in names if name.startswith(("nvidia", "cuda", "triton"))}


def test_the_tests_run_with_the_versions_of_the_application() -> None:
    application = pins(REPOSITORY / "requirements.txt")
    development = pins(REPOSITORY / "requirements" / "dev.txt")
    assert {
        name: version for name, version in development.items() if application.get(name, version) != version
    } == {}


def test_nothing_is_installed_again_while_the_lists_stay_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setattr(bootstrap, "_works", lambda python: True)
    monkeypatch.setattr(bootstrap, "_call", lambda command, **options: calls.append(" ".join(command)))
    bootstrap.install(development=False)
    assert any("requirements.txt" in call for call in calls)
    assert not any("dev.txt" in call for call in calls)

    calls.clear()
    bootstrap.install(development=False)
    assert calls == []

    bootstrap.install(development=True)
    assert any("dev.txt" in call for call in calls)

    calls.clear()
    monkeypatch.setattr(bootstrap, "_fingerprint", lambda: "another list")
    bootstrap.install(development=False)
    assert any("requirements.txt" in call for call in calls)


@pytest.mark.parametrize("links", ["", "/somewhere/wheels"])
def test_torch_comes_from_a_local_wheel_or_the_index_without_cuda(
    links: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setenv("PIP_FIND_LINKS", links)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setattr(bootstrap, "_works", lambda python: True)
    monkeypatch.setattr(bootstrap, "_call", lambda command, **options: calls.append(" ".join(command)))
    bootstrap.install(development=False)
    torch = next(call for call in calls if "torch==" in call)
    assert ("--no-index" in torch) == bool(links)
    assert ("--torch-backend cpu" in torch) == (not links)
    assert all("--no-deps" in call for call in calls if "uv pip install" in call)
