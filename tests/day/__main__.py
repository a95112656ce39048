"""`make day`: a day of work in minutes, and the sizes of all tables over time."""

from __future__ import annotations

import argparse
import time

from tests.day.simulation import Day, hasten_vacuum
from tests.support.databases import open_datastore
from tests.support.datastore_play import DatastorePlay
from tests.support.postgres import PostgresServer
from torkd.datastore.postgres.migrations import migrate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two looks at the tables")
    options = parser.parse_args()
    with PostgresServer.start() as server:
        dsn = server.create_database()
        migrate(dsn)
        hasten_vacuum(dsn)
        with open_datastore(dsn) as datastore, DatastorePlay(datastore, dsn) as play:
            day = Day(play)
            began_at = time.monotonic()
            while time.monotonic() - began_at < options.minutes * 60:
                day.run(options.every)
                print(f"\nafter {time.monotonic() - began_at:.0f} s, {day.jobs_done} jobs", flush=True)
                for size in day.sizes().values():
                    print(
                        f"  {size.name:20} {size.bytes / 1e6:9.2f} MB {size.live:9} live {size.dead:9} dead"
                        f" {size.written:9} written",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
