"""The folder: what is in it, who is writing, what is written beside, and who of several watchers is at work on what."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from torkctl.inbox.claims import Claims
from torkctl.inbox.doorbell import Changed, Doorbell, tells_of_changes
from torkctl.inbox.folder import Folder, OutOfFolder, StillWritten, identity_of
from torkctl.inbox.ledger import Awaited, Entry, Ledger
from torkctl.inbox.names import Selection
from torkctl.inbox.tracker import Signature


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """The watched folder."""
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def a_folder(root: Path, *, recursive: bool = False) -> Folder:
    return Folder(str(root), Selection(recursive=recursive))


def signature_of(folder: Folder, name: str) -> Signature:
    signature = folder.look(name)
    assert signature is not None
    return signature


def test_only_plain_files_are_seen(inbox: Path) -> None:
    (inbox / "a.yaml").write_text("a")
    (inbox / "b.yaml").mkdir()
    os.mkfifo(inbox / "c.yaml")
    (inbox / "d.yaml").symlink_to("nowhere")
    (inbox / "e.yaml").symlink_to("a.yaml")
    assert sorted(a_folder(inbox).scan()) == ["a.yaml", "e.yaml"]


def test_folders_are_entered_when_wanted_but_not_links_to_them(inbox: Path) -> None:
    (inbox / "in" / "deep").mkdir(parents=True)
    (inbox / "in" / "deep" / "a.yaml").write_text("a")
    (inbox / "round").symlink_to(inbox)
    assert list(a_folder(inbox).scan()) == []
    assert list(a_folder(inbox, recursive=True).scan()) == ["in/deep/a.yaml"]


def test_a_folder_that_is_away_is_an_error(inbox: Path) -> None:
    inbox.rmdir()
    with pytest.raises(FileNotFoundError):
        a_folder(inbox).scan()
    assert identity_of(str(inbox)) is None


def test_a_file_that_somebody_has_open_for_writing_is_not_read(inbox: Path) -> None:
    folder = a_folder(inbox)
    with (inbox / "a.yaml").open("w") as writer:
        writer.write("half")
        writer.flush()
        with pytest.raises(StillWritten):
            folder.read("a.yaml", signature_of(folder, "a.yaml"))
    assert folder.read("a.yaml", signature_of(folder, "a.yaml")) == b"half"


WRITERS = """
import os, sys, threading
from torkctl.inbox.folder import _has_writer
def write():
    while True:
        open(sys.argv[1], "a").close()
threading.Thread(target=write, daemon=True).start()
print({_has_writer(os.open(sys.argv[1], os.O_RDONLY)) for _ in range(2000)} <= {True, False}, flush=True)
os._exit(0)
"""


def test_a_writer_that_comes_while_a_file_is_looked_at_does_no_harm(inbox: Path) -> None:
    (inbox / "a.yaml").touch()
    command = [
        sys.executable,
        "-c",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))\n" + WRITERS,
    ]
    ran = subprocess.run([*command, str(inbox / "a.yaml")], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "True\n", "")


def test_a_file_that_looks_otherwise_than_expected_is_not_read(inbox: Path) -> None:
    folder = a_folder(inbox)
    (inbox / "a.yaml").write_text("one")
    before = signature_of(folder, "a.yaml")
    (inbox / "a.yaml").write_text("other")
    with pytest.raises(StillWritten):
        folder.read("a.yaml", before)


def test_a_link_out_of_the_folder_is_refused_and_one_within_is_followed(inbox: Path) -> None:
    (inbox.parent / "secret").write_text("password")
    (inbox / "a.yaml").symlink_to("../secret")
    (inbox / "..data").mkdir()
    (inbox / "..data" / "b").write_text("job")
    (inbox / "b.yaml").symlink_to("..data/b")
    folder = a_folder(inbox)
    with pytest.raises(OutOfFolder, match="leads out of the folder"):
        folder.read("a.yaml", signature_of(folder, "a.yaml"))
    assert folder.read("b.yaml", signature_of(folder, "b.yaml")) == b"job"


def test_a_note_replaces_what_is_there_and_follows_no_link(inbox: Path) -> None:
    precious = inbox.parent / "precious"
    precious.write_text("mine")
    (inbox / "a.yaml.error").symlink_to(precious)
    folder = a_folder(inbox)
    folder.write_beside("a.yaml", ".error", b"wrong")
    assert (inbox / "a.yaml.error").read_bytes() == b"wrong"
    assert precious.read_text() == "mine"
    folder.remove_beside("a.yaml", ".error")
    folder.remove_beside("a.yaml", ".error")
    assert list(inbox.iterdir()) == []


def test_a_note_that_can_not_be_written_leaves_nothing(inbox: Path) -> None:
    (inbox / "a.yaml.error").mkdir()
    with pytest.raises(IsADirectoryError):
        a_folder(inbox).write_beside("a.yaml", ".error", b"wrong")
    assert [path.name for path in inbox.iterdir()] == ["a.yaml.error"]


def test_half_written_notes_of_the_killed_are_removed_when_they_are_old(inbox: Path) -> None:
    for name, age in (("old", 7200), ("new", 0)):
        path = inbox / f".torkctl-{name}.tmp"
        path.touch()
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    folder = a_folder(inbox)
    folder.scan()
    folder.remove_leftovers()
    assert [path.name for path in inbox.iterdir()] == [".torkctl-new.tmp"]


# what is remembered


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def ledger(inbox: Path, warnings: list[str]) -> Ledger:
    return Ledger(str(inbox), "http://one", warnings.append)


ENTRY = Entry(id="j1", writings={"a.yaml": 5})


def test_what_was_submitted_is_remembered_for_its_server_only(inbox: Path, ledger: Ledger, warnings: list[str]) -> None:
    ledger.write("watch-ab", ENTRY)
    assert ledger.find("watch-ab") == ENTRY
    assert Ledger(str(inbox), "http://other", warnings.append).find("watch-ab") is None
    assert warnings == []


def test_a_ledger_that_is_damaged_remembers_nothing_and_is_mended(inbox: Path, ledger: Ledger) -> None:
    ledger.write("watch-ab", ENTRY)
    [path] = [path for path in inbox.rglob("watch-ab") if path.is_file()]
    for damage in (b"", b"\xff\x00", b"[]", b'{"id": 1}'):
        path.write_bytes(damage)
        assert ledger.find("watch-ab") is None
    ledger.write("watch-ab", ENTRY)
    assert ledger.find("watch-ab") == ENTRY


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_ledger_that_can_not_be_written_warns_once_and_does_no_harm(
    inbox: Path, ledger: Ledger, warnings: list[str], kind: str
) -> None:
    elsewhere = inbox.parent / "elsewhere"
    elsewhere.mkdir()
    if kind == "file":
        (inbox / ".torkctl").write_text("in the way")
    else:
        (inbox / ".torkctl").symlink_to(elsewhere)
    ledger.write("watch-ab", ENTRY)
    ledger.write("watch-cd", ENTRY)
    ledger.awaits(Awaited(job_id="j1", name="a.yaml"))
    assert len(warnings) == 1
    assert list(elsewhere.iterdir()) == []
    assert ledger.find("watch-ab") == ENTRY, "for as long as the process lives"
    assert Ledger(str(inbox), "http://one", warnings.append).find("watch-ab") is None
    assert Claims(str(inbox)).take("anything"), "without locks everybody may"


def test_what_nobody_asked_for_in_months_is_forgotten(inbox: Path, ledger: Ledger) -> None:
    for key in ("watch-old", "watch-used", "watch-new"):
        ledger.write(key, ENTRY)
    for path in inbox.rglob("watch-*"):
        if path.name != "watch-new":
            os.utime(path, (0, 0))
    ledger.prune(used=["watch-used", "watch-never-there"])
    assert {path.name for path in inbox.rglob("watch-*")} == {"watch-used", "watch-new"}


def test_results_that_are_waited_for_are_remembered_with_any_name(inbox: Path, ledger: Ledger) -> None:
    odd = Awaited(job_id="0123abc", name="in/\udcff\n x.yaml")
    ledger.awaits(odd)
    ledger.awaits(Awaited(job_id="../../x", name="a.yaml"))
    ledger.awaits(Awaited(job_id="0456", name="../outside.yaml"))
    assert ledger.all_awaited() == [odd]
    ledger.awaits_no_more(odd)
    ledger.awaits_no_more(odd)
    assert ledger.all_awaited() == []


def test_an_entry_knows_the_last_files_it_was_submitted_from() -> None:
    entry = ENTRY.also_from("\udcff.yaml", 6).also_from("a.yaml", 7)
    assert entry.knows("\udcff.yaml", 6)
    assert entry.knows("a.yaml", 7)
    assert not entry.knows("a.yaml", 5)
    for number in range(500):
        entry = entry.also_from(f"{number}.yaml", number)
    assert len(entry.writings) < 200
    assert entry.knows("499.yaml", 499)


# who is at work

TAKE = """
import sys
from torkctl.inbox.claims import Claims
claims = Claims(sys.argv[1])
print(claims.take("job"), claims.take("other"), flush=True)
sys.stdin.read()
"""


def test_a_claim_is_one_process_s_until_it_ends_however_it_ends(inbox: Path) -> None:
    mine = Claims(str(inbox))
    assert mine.take("other")
    command = [sys.executable, "-c", TAKE, str(inbox)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True False\n"
        assert not mine.take("job")
        process.kill()
        process.wait(timeout=10)
        assert mine.take("job")
    mine.close()


# the doorbell

MOUNTS = """\
22 27 0:21 / / rw - ext4 /dev/sda rw
23 22 0:22 / /srv rw - ext4 /dev/sdb rw
24 22 0:22 / /srv/net\\040work rw shared:1 - nfs4 server:/x rw
25 22 0:22 / /mnt/fuse rw - fuse.sshfs server:/x rw
26 22 0:22 / /srvother rw - cifs //server/x rw
27 24 0:22 / /srv/net\\040work/local rw - xfs /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("path", "tells"),
    [
        ("/home", True),
        ("/srv/inbox", True),
        ("/srv/net work", False),
        ("/srv/net work/in", False),
        ("/srv/net work/local/in", True),
        ("/mnt/fuse/x", False),
        ("/srvother", False),
    ],
)
def test_only_local_disks_tell_of_all_changes(tmp_path: Path, path: str, tells: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert tells_of_changes(path, str(mounts)) is tells
    assert tells_of_changes(path, str(tmp_path / "missing")), "where nobody says, it is taken for local"


@pytest.mark.parametrize(("works_first", "rings"), [(False, 0), (True, 2)], ids=["never worked", "worked at first"])
def test_a_doorbell_that_does_not_work_says_so_once_and_rings_only_for_what_it_may_have_missed(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, works_first: bool, rings: int
) -> None:
    import watchfiles

    tries: list[bool] = []

    def fail(*_arguments: object, **_options: object) -> Iterator[set[object]]:
        tries.append(works_first and not tries)
        if len(tries) == 3:
            doorbell.close()
        if tries[-1]:
            yield set()
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(watchfiles, "watch", fail)
    monkeypatch.setattr("torkctl.inbox.doorbell._PAUSE_SECONDS", 0.0)
    told: list[str] = []
    rung: list[Changed] = []
    doorbell = Doorbell(str(inbox), Selection(), rung.append, told.append)
    doorbell._listen()
    assert not doorbell.works
    assert rung == [Changed(everything=True)] * rings
    assert len(tries) == 3
    assert [text for text in told if "max_user_watches" in text] == told
    assert len(told) == 1
