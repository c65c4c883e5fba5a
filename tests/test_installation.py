"""What is installed: the wheel's content, and other distributions that bring packages of the same names."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

# the beginning of what PyPI's archspec 0.2.7 and trainer 0.0.36 record of themselves
THEIRS = {
    "archspec": ("archspec-0.2.7", "archspec/__init__.py,sha256=Ggurf7phZfO_URDfk_cQRJ0B5V2y52KY1e1dTgoohDU,67\n"),
    "trainer": ("trainer-0.0.36", "trainer/VERSION,sha256=avgR9BtOeX6YvVxDkB_OGNcQffyRFNOnKbWFw-T3hHA,8\n"),
}
ALONE = "  help: install archspec-nets in a virtual environment of its own; or here "
AGAIN = "install it again with pip's `--force-reinstall --no-deps`\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages that has ours, without a record of it, and a spec to check."""
    folder = tmp_path / "site"
    folder.mkdir()
    for package in ("archspec", "trainer"):
        (folder / package).symlink_to(ROOT / package)
    (tmp_path / "net.yaml").write_text("archspec: 1\ninput: [3, 8, 8]\nnetwork: [relu]\n")
    return folder


def record(folder: Path, distribution: str, lines: str) -> None:
    info = folder / f"{distribution}.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text(lines + f"{distribution}.dist-info/RECORD,,\n")


def own_record(folder: Path) -> None:
    files = [folder / package / "__init__.py" for package in ("archspec", "trainer")]
    lines = [f"{file.relative_to(folder)},sha256=unread,{file.stat().st_size}\n" for file in files]
    record(folder, "archspec_nets-0.1.0", "".join(lines))


def check(*path: Path) -> subprocess.CompletedProcess[str]:
    """`archspec check` in a process that finds its packages in some folders."""
    return subprocess.run(
        [sys.executable, "-m", "archspec", "check", "net.yaml"],
        cwd=path[0].parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("installed", [False, True], ids=["nothing recorded", "ours recorded"])
def test_alone_all_is_well(site: Path, installed: bool) -> None:
    if installed:
        own_record(site)
    done = check(site)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("net  -  3×8×8 → 3×8×8")


@pytest.mark.parametrize(
    ("others", "says"),
    [
        (["archspec"], "`archspec` of PyPI, which has a package"),
        (["trainer"], "`trainer` of PyPI, which has a package"),
        (["archspec", "trainer"], "`archspec`, `trainer` of PyPI, which have packages"),
    ],
    ids=" and ".join,
)
@pytest.mark.parametrize("beside", [True, False], ids=["beside ours", "before ours"])
def test_another_distribution_of_the_same_names_is_refused(
    site: Path, others: list[str], says: str, beside: bool, tmp_path: Path
) -> None:
    own_record(site)
    before = tmp_path / "before"
    for name in others:
        record(site if beside else before, *THEIRS[name])
    done = check(site) if beside else check(before, site)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: archspec-nets shares this environment with {says} of the same name: "
        f"they overwrite each other's files\n{ALONE}`pip uninstall {' '.join(others)}`, then {AGAIN}"
    )


@pytest.mark.parametrize("name", THEIRS)
def test_one_that_comes_after_ours_or_owns_nothing_changes_nothing(site: Path, name: str, tmp_path: Path) -> None:
    record(site, THEIRS[name][0], "")
    record(tmp_path / "after", *THEIRS[name])
    (site / f"{name}-0.0.1.dist-info").mkdir()  # as an uninstallation may leave it
    done = check(site, tmp_path / "after")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("left", [None, "from trainer.io import copy_model_files\n"], ids=["deleted", "overwritten"])
def test_a_package_of_ours_that_another_one_replaced_is_refused(site: Path, left: str | None) -> None:
    own_record(site)
    (site / "trainer").unlink()
    if left is not None:
        (site / "trainer").mkdir()
        (site / "trainer" / "__init__.py").write_text(left)
    done = check(site)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: another distribution has overwritten or deleted `trainer/__init__.py` of archspec-nets in "
        f"{site}\n{ALONE}{AGAIN}"
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (file,) = folder.iterdir()
    return file


@pytest.mark.slow
def test_the_wheel_holds_the_packages_whole_the_specs_and_nothing_else(wheel: Path) -> None:
    def below(folder: str, to: str) -> set[str]:
        left_out = {"__pycache__", "vscode", "codemirror"}  # what npm builds
        files = [one for one in (ROOT / folder).rglob("*") if one.is_file() and not left_out & {*one.parts}]
        return {to + file.relative_to(ROOT / folder).as_posix() for file in files}

    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == below("archspec", "archspec/") | below("trainer", "trainer/") | below("specs", "archspec/specs/")
    assert {"archspec/py.typed", "trainer/py.typed"} < found
    assert {"archspec/specs/googlenet.yaml", "archspec/specs/imagenet/resnet.yaml"} < found
    assert {"archspec/layers/blocks/bottleneck.yaml", "trainer/recipes/cifar10.yaml"} < found
    assert not any("test" in Path(name).parts or "tests" in Path(name).parts for name in found)


@pytest.mark.slow
def test_the_wheel_unpacked_is_sound_and_finds_all_that_it_brings(wheel: Path, tmp_path: Path, run: Callable) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    path = str(tmp_path / "unpacked")
    done = run("check", "resnet50", PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (0, "")
    assert run("list", PYTHONPATH=path).stdout == run("list", PYTHONPATH=str(ROOT)).stdout != ""
    record(tmp_path / "unpacked", *THEIRS["trainer"])
    assert run("check", "resnet50", PYTHONPATH=path).returncode == 2
