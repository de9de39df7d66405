"""writer.py ROOTS ACKNOWLEDGED: a visitor who writes one row after the other to the
app that is live (the link ROOTS/live), tries again what was not acknowledged, and
writes down what was. Ends when ROOTS/stop is there."""
import os
import sqlite3
import sys
import time

roots, acknowledged = sys.argv[1:]
STATE = "var/lib/cattle/state"
row = 0
with open(acknowledged, "w", encoding="ascii") as log:
    while not os.path.exists(f"{roots}/stop"):
        root = os.path.realpath(f"{roots}/live")
        if os.path.exists(f"{root}/{STATE}/frozen"):  # what nginx does
            time.sleep(0.002)
            continue
        if row % 10 == 0 and os.path.exists(f"{roots}/slow"):
            time.sleep(1.2)  # a request that nginx let through just before
        try:
            # A connection for each: what an app does that is hard on its database.
            connection = sqlite3.connect(f"file:{root}/var/lib/docker/volumes/data/_data/app.db?mode=rw", uri=True, timeout=0.05)
            try:
                connection.execute("INSERT INTO rows(id, text) VALUES(?, ?) ON CONFLICT DO NOTHING", (row, os.urandom(100).hex()))
                connection.commit()
            finally:
                connection.close()
        except sqlite3.OperationalError:
            continue
        print(row, file=log, flush=True)
        row += 1
