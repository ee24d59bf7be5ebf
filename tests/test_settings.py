"""Settings as they are written down and read again: without keys and passwords, which then have to be given anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.batches.folder import Batch
from workbench.batches.modes import runs_of_modes
from workbench.cli import main
from workbench.errors import SettingsError
from workbench.runs.folder import RunFolder
from workbench.settings import Settings, without_passwords

DATABASE = "postgresql://indexer:s3cret@127.0.0.1:5432/indexer"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            f"workbench sweep --postgres {DATABASE} --seed 2",
            "--postgres postgresql://indexer:***@127.0.0.1:5432/indexer ",
        ),
        (f"--database-url={DATABASE}", "--database-url=postgresql://indexer:***@127.0.0.1:5432/indexer"),
        ("postgres://h/d?user=u&password=s3cret&a=b", "postgres://h/d?user=u&password=***&a=b"),
        ("postgres://u:s3cret[@h/d", "postgres://u:***@h/d"),
        ("postgres://h:5432/d --target http://u@h", "postgres://h:5432/d --target http://u@h"),
    ],
)
def test_a_text_without_passwords(text: str, shown: str) -> None:
    assert shown in without_passwords(text)
    assert "s3cret" not in without_passwords(text)


@pytest.mark.parametrize("url", [DATABASE, f"{DATABASE}?sslmode=disable", "postgresql:///d?password=s3cret"])
def test_what_is_written_down_is_read_again_with_the_password_given_anew(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.resolve(database_url=url, receipts="7")
    assert "s3cret" not in str(settings.public())
    with pytest.raises(SettingsError, match=r"database_url: the password of .*\*\*\*.* is not stored") as caught:
        Settings.restore(settings.public())
    assert "WORKBENCH_DATABASE_URL" in str(caught.value)
    monkeypatch.setenv("WORKBENCH_DATABASE_URL", url)
    assert Settings.restore(settings.public()) == settings


def test_a_url_without_a_password_is_kept() -> None:
    settings = Settings.resolve(postgres="postgresql://indexer@127.0.0.1:5432/indexer")
    assert Settings.restore(settings.public(), seed=5) == settings.model_copy(update={"seed": 5})


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cret@127.0.0.1:1", "mysql://u:s3cret@h/d", "postgres://u:s3cret[@h/d"]
)
def test_a_url_that_is_refused_is_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^postgres: ") as caught:
        Settings.resolve(postgres=url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("option", ["--database {}", "--database={}", "postgres://h/d?password=s3cret"])
def test_a_command_with_a_password_is_refused_and_not_shown(option: str) -> None:
    with pytest.raises(SettingsError, match=r"^service_command: .* must not hold a password") as caught:
        Settings.resolve(service_command=f"indexer-service-rs {option.format(DATABASE)}")
    assert "s3cret" not in str(caught.value)
    before = f"DATABASE_URL={DATABASE} indexer-service-rs"
    with pytest.raises(SettingsError, match="export it as a variable"):
        Settings.resolve(service_command=before)


def test_a_run_is_not_gone_on_with_without_the_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.create(tmp_path, "run")
    settings = Settings.resolve(database_url=DATABASE).public()
    folder.update_manifest(state="interrupted", error="interrupted by the user", exit_code=130, settings=settings)
    assert main(["sweep", "--resume", str(folder.path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "workbench: database_url: the password of postgresql://indexer:***@127.0.0.1:5432/indexer is"
    )
    assert not (folder.path / "notebook.ipynb").exists()


def test_a_batch_has_no_password(tmp_path: Path) -> None:
    settings = Settings.resolve(database_url=DATABASE)
    batch = Batch.create(tmp_path, "batch", runs_of_modes(("none",)), {}, "workbench batch")
    batch.remember({"none": settings})
    assert "s3cret" not in (batch.path / "batch.json").read_text()
    assert batch.facts()["runs"][0]["settings"]["database_url"] == "postgresql://indexer:***@127.0.0.1:5432/indexer"
