"""The grammar of cron texts: what the scheduler can run, and nothing else."""

from __future__ import annotations

import pytest

from tork.definition import Cron, CronError, parse_cron

EVERY_MINUTE = "* * * * *"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (EVERY_MINUTE, EVERY_MINUTE),
        ("0 0 * * MON", "0 0 * * 1"),
        ("0 0 1-5,10 * *", "0 0 1,2,3,4,5,10 * *"),
        ("0/15 * * * *", "0,15,30,45 * * * *"),
        ("5-20/5 * * * *", "5,10,15,20 * * * *"),
        ("*/20 * * * *", "0,20,40 * * * *"),
        ("0 0 ? jan-mar,DEC ?", "0 0 * 1,2,3,12 *"),
        ("0 9 * * mon-fri", "0 9 * * 1,2,3,4,5"),
        ("  0   0 * * 0 ", "0 0 * * 0"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("@midnight", "0 0 * * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ],
)
def test_fields_and_descriptors_are_read(text: str, fields: str) -> None:
    assert parse_cron(text) == Cron(fields=fields)


@pytest.mark.parametrize(("text", "seconds"), [("@every 5m", 300), ("@every 1h30m", 5400), ("@every 1.5s", 1.5)])
def test_an_interval_is_read(text: str, seconds: float) -> None:
    assert parse_cron(text) == Cron(every_seconds=seconds)


@pytest.mark.parametrize("prefix", ["TZ", "CRON_TZ"])
@pytest.mark.parametrize("rest", ["0 6 * * *", "@daily", "@every 1h"])
def test_a_time_zone_may_come_first(prefix: str, rest: str) -> None:
    cron = parse_cron(f"{prefix}=Asia/Tokyo {rest}")
    assert cron.zone == "Asia/Tokyo"
    assert (cron.fields, cron.every_seconds) == (parse_cron(rest).fields, parse_cron(rest).every_seconds)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("99 99 99 99 99", "'99' is not a minute"),
        ("* * * * * *", "has 6 fields"),
        ("* * * *", "has 4 fields"),
        ("", "has 0 fields"),
        ("@reboot", "'@reboot' is not known"),
        ("@every", "'@every' is not known"),
        ("@every x", "'x' is not a duration"),
        ("@every 0s", "is not in the future"),
        ("@every -5m", "is not in the future"),
        ("0 0 * * 7", "'7' is not a day of week"),
        ("0 0 * * fun", "'fun' is not a day of week"),
        ("0 0 0 * *", "'0' is not a day of month"),
        ("0 0 * 13 *", "'13' is not a month"),
        ("0 24 * * *", "'24' is not an hour"),
        ("5-1 * * * *", "ends before it starts"),
        ("*/0 * * * *", "is not a number above 0"),
        ("*/x * * * *", "is not a number above 0"),
        ("1,,2 * * * *", "'' is not a minute"),
        ("*-5 * * * *", "'*-5' is not a minute"),
        ("R * * * *", "'R' is not a minute"),
        ("0 0 L * *", "'L' is not a day of month"),
        ("0 0 * * 1#2", "'1#2' is not a day of week"),
        ("٣ * * * *", "is not a minute"),
        ("0 0 30 2 *", "names a day that never comes"),
        ("TZ=Nowhere/Land 0 0 * * *", "'Nowhere/Land' is not a time zone"),
        ("TZ=../../etc/passwd 0 0 * * *", "is not a time zone"),
        ("TZ=Europe 0 0 * * *", "'Europe' is not a time zone"),
        ("TZ= 0 0 * * *", "'' is not a time zone"),
        ("TZ=UTC", "has 1 fields"),
        ("1," * 200 + "1 * * * *", "more than 256 characters"),
    ],
)
def test_what_the_scheduler_could_not_run_is_refused(text: str, reason: str) -> None:
    with pytest.raises(CronError) as raised:
        parse_cron(text)
    assert reason in str(raised.value)
    assert "right would be" in str(raised.value)
