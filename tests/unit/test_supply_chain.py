"""What is installed is what was locked; what is in the repository is nobody's secret."""

import base64
import hashlib
import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
import uv
from detect_secrets.core.plugins.initialize import from_plugin_classname

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "deploy" / "locks").glob("*.txt"))
PACKAGES = sorted((ROOT / "deploy").glob("*/package-lock.json"))


def pinned(lock: Path) -> dict[str, str]:
    """Return versions by name."""
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==([^ ;]+)", lock.read_text()))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_everything_is_locked_by_hash_and_nothing_says_from_where(lock: Path) -> None:
    text = lock.read_text().replace("\\\n", " ")
    lines = [each for each in text.splitlines() if each and not each.startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[a-z0-9-]+==\S+ ", line), line[:60]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), line[:60]
    assert not re.search(r"://|--index|--extra-index|--find-links|--trusted", text)


def test_users_get_what_was_tested() -> None:
    sdk, pipeline, dev = (
        pinned(ROOT / "deploy" / "locks" / f"{name}.txt") for name in ("sdk", "pipeline", "dev")
    )
    assert sdk.items() <= pipeline.items() <= dev.items()


@pytest.mark.parametrize("lock", PACKAGES, ids=lambda lock: lock.parent.name)
def test_each_node_package_has_its_hash(lock: Path) -> None:
    packages = json.loads(lock.read_text())["packages"]
    assert all(
        each.get("integrity", "").startswith("sha512-") for name, each in packages.items() if name
    )
    assert not any("resolved" in each for each in packages.values())


def test_each_command_that_installs_checks_hashes() -> None:
    """But for our own package, which has none, and brings nothing with it."""
    found = 0
    for file in (ROOT / "Makefile", ROOT / "deploy" / "image" / "Dockerfile"):
        for line in file.read_text().splitlines():
            if re.search(r"pip (install|sync)\b", line):
                found += 1
                assert "--require-hashes" in line or "--no-deps" in line, line
            assert not re.search(r"\bnpm (install|i)\b", line)
            if "npm ci" in line:
                found += 1
                assert "--ignore-scripts" in line
    assert found >= 6


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Return a package with one module, as a registry would hand it out."""
    file = tmp_path / "made_up-1.0-py3-none-any.whl"
    info = "made_up-1.0.dist-info"
    content = {
        "made_up.py": "WHOSE = 'ours'\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={_encoded(text)},{len(text)}\n" for name, text in content.items()
    )
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in {**content, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return file


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@pytest.mark.parametrize("tampered", [False, True])
def test_what_is_not_what_was_locked_is_not_installed(
    wheel: Path, tmp_path: Path, tampered: bool
) -> None:
    locked = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if tampered:
        with zipfile.ZipFile(wheel, "a") as archive:
            archive.writestr("made_up_too.py", "import os\n")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"made-up==1.0 \\\n    --hash=sha256:{locked}\n")
    target = tmp_path / "installed"
    done = subprocess.run(
        [
            uv.find_uv_bin(), "pip", "install", "--require-hashes", "-r", lock,
            "--offline", "--no-index", "--find-links", tmp_path, "--target", target,
            "--cache-dir", tmp_path / "cache",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (target / "made_up.py").exists() is not tampered
    assert bool(done.returncode) is tampered
    assert ("hash mismatch" in done.stderr.lower()) is tampered


# Not those that guess by entropy: ids of examples are as random as keys.
_DETECTORS = [
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "CloudantDetector",
    "DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector", "IbmCloudIamDetector",
    "MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector",
    "SendGridDetector", "SlackDetector", "SoftlayerDetector", "SquareOAuthDetector",
    "StripeDetector", "TelegramBotTokenDetector", "TwilioKeyDetector",
]  # fmt: skip


def secrets_in(*files: Path) -> list[str]:
    """Return file and kind of what looks like somebody's secret."""
    plugins = list(map(from_plugin_classname, _DETECTORS))
    texts = {str(file): file.read_bytes().decode("utf-8", "replace") for file in files}
    return [
        f"{file}: {plugin.secret_type}"
        for file, text in texts.items()
        for plugin in plugins
        if any(plugin.analyze_string(text))
    ]


def test_the_repository_has_nobodys_secret() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    files = {ROOT / name for name in listed.split("\0") if name} - set(LOCKS)  # hashes, see above
    assert len(files) > 500
    assert secrets_in(*filter(Path.is_file, files)) == []


@pytest.mark.parametrize(
    "parts",
    [
        ("-----BEGIN ", "PRIVATE KEY-----"),
        ("key = 'AKIA", "QYLPMN5HFIQR7XYA'"),
        ("token = 'ghp_", "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx'"),
        ("xoxb-", "34532454-e039d02840a0b9379c"),
    ],
    ids=["private key", "cloud", "forge", "chat"],
)
def test_a_secret_would_be_found(tmp_path: Path, parts: tuple[str, str]) -> None:
    """In two parts, or it would be found here."""
    (tmp_path / "settings.toml").write_text("".join(parts) + "\n")
    assert len(secrets_in(tmp_path / "settings.toml")) == 1
