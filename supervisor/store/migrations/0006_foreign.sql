-- Labs that print their metric, and what other harnesses measured before.

ALTER TABLE runs ADD COLUMN also TEXT NOT NULL DEFAULT '';      -- secondary metrics by name, JSON; '': none

CREATE TABLE imported (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    source      TEXT NOT NULL,                 -- the file it came from, as named
    line        INTEGER NOT NULL,              -- in it, from 1
    run_commit  TEXT NOT NULL,                 -- as written there
    metric_name TEXT NOT NULL,
    metric      REAL,                          -- NULL: it has no score
    memory_gb   REAL,
    status      TEXT NOT NULL,                 -- keep, discard, crash
    description TEXT NOT NULL,
    imported_at REAL NOT NULL,
    UNIQUE (source, line)
);
