-- Append-only: a landed migration is never edited, the next change is the next number.

CREATE TABLE lab (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL          -- rises with every transaction; viewers watch it
);
INSERT INTO lab VALUES (1, 0);

CREATE TABLE settings (
    id               TEXT PRIMARY KEY,
    referee_hash     TEXT NOT NULL,
    data_fingerprint TEXT NOT NULL,
    metric           TEXT NOT NULL,
    budget_s         REAL NOT NULL,
    clock            TEXT NOT NULL,
    device_kind      TEXT NOT NULL
);

CREATE TABLE campaigns (
    tag               TEXT PRIMARY KEY,
    state             TEXT NOT NULL,
    wanted            TEXT NOT NULL,
    reason            TEXT NOT NULL DEFAULT '',
    base_commit       TEXT NOT NULL,
    metric            TEXT NOT NULL,
    direction         TEXT NOT NULL,
    setting_id        TEXT NOT NULL REFERENCES settings (id),
    limit_experiments INTEGER,
    limit_hours       REAL,
    limit_usd         REAL,
    started_at        REAL NOT NULL,
    running_since     REAL,           -- NULL while it does not run
    running_s         REAL NOT NULL DEFAULT 0,
    drafts_ahead      INTEGER NOT NULL DEFAULT 1,
    approve           INTEGER NOT NULL DEFAULT 0,
    seed              INTEGER NOT NULL,
    baseline_id       INTEGER
);

CREATE TABLE agents (
    tag          TEXT NOT NULL REFERENCES campaigns (tag),
    name         TEXT NOT NULL,
    role         TEXT NOT NULL,
    backend      TEXT NOT NULL,
    state        TEXT NOT NULL,
    state_since  REAL NOT NULL,
    wanted       TEXT NOT NULL,
    doing        TEXT NOT NULL DEFAULT '',
    waiting_for  TEXT NOT NULL DEFAULT '',
    branch       TEXT NOT NULL DEFAULT '',
    incumbent_id INTEGER REFERENCES experiments (id),
    heartbeat_at REAL,
    restarts     INTEGER NOT NULL DEFAULT 0,
    restart_wanted INTEGER NOT NULL DEFAULT 0,
    cost_usd     REAL NOT NULL DEFAULT 0,
    tokens       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tag, name)
);

CREATE TABLE devices (
    id      TEXT PRIMARY KEY,
    kind    TEXT NOT NULL,
    label   TEXT NOT NULL,
    core    INTEGER,
    environment TEXT NOT NULL DEFAULT '{}',  -- what narrows a process to this device, as JSON
    since   REAL NOT NULL,
    problem TEXT NOT NULL DEFAULT '',
    in_use  INTEGER NOT NULL DEFAULT 1   -- belongs to the devices of the last launch
);

CREATE TABLE hypotheses (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    tag           TEXT NOT NULL REFERENCES campaigns (tag),
    title         TEXT NOT NULL,
    rationale     TEXT NOT NULL,
    change        TEXT NOT NULL,
    expected_gain REAL,
    category      TEXT NOT NULL,
    state         TEXT NOT NULL,
    author        TEXT NOT NULL,
    position      REAL NOT NULL,
    created_at    REAL NOT NULL,
    edit          TEXT NOT NULL DEFAULT '',
    parent_id     INTEGER REFERENCES experiments (id),
    claimed_by    TEXT,
    claimed_at    REAL
);

CREATE TABLE experiments (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    tag           TEXT NOT NULL REFERENCES campaigns (tag),
    agent         TEXT NOT NULL,
    title         TEXT NOT NULL,
    state         TEXT NOT NULL,
    parent_id     INTEGER REFERENCES experiments (id),
    parent_commit TEXT NOT NULL,
    setting_id    TEXT NOT NULL REFERENCES settings (id),
    created_at    REAL NOT NULL,
    branch        TEXT NOT NULL DEFAULT '',
    commit_sha    TEXT,
    hypothesis_id INTEGER REFERENCES hypotheses (id),
    edit          TEXT NOT NULL DEFAULT '',
    source_hash   TEXT,               -- of the normalised canvas: nothing is tried twice
    verdict       TEXT,
    reason        TEXT NOT NULL DEFAULT '',
    expectation   TEXT NOT NULL DEFAULT '',
    reflection    TEXT NOT NULL DEFAULT '',
    gain          REAL,
    gain_low      REAL,
    gain_high     REAL,
    confidence    REAL,
    ready_at      REAL,
    decided_at    REAL,
    published_at  REAL,               -- its branch, notes and results.tsv row are written
    cost_usd      REAL NOT NULL DEFAULT 0,
    lines_added   INTEGER NOT NULL DEFAULT 0,
    lines_removed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX experiments_by_source ON experiments (source_hash);
CREATE INDEX experiments_by_tag ON experiments (tag);

CREATE TABLE runs (
    id             TEXT PRIMARY KEY,
    experiment_id  INTEGER NOT NULL REFERENCES experiments (id),
    kind           TEXT NOT NULL,
    ordinal        INTEGER NOT NULL,
    seed           INTEGER NOT NULL,
    state          TEXT NOT NULL,
    queued_at      REAL NOT NULL,
    attempt        INTEGER NOT NULL DEFAULT 1,
    device         TEXT,
    started_at     REAL,
    finished_at    REAL,
    ending         TEXT,
    reason         TEXT NOT NULL DEFAULT '',
    metric         REAL,
    training_s     REAL,
    total_s        REAL,
    cpu_per_wall   REAL,
    peak_memory_mb REAL,
    steps          INTEGER,
    tokens         INTEGER,
    progress       TEXT,              -- RunProgress as JSON, while it runs
    UNIQUE (experiment_id, ordinal)
);

CREATE TABLE leases (
    device   TEXT PRIMARY KEY REFERENCES devices (id),
    run_id   TEXT NOT NULL UNIQUE REFERENCES runs (id),
    taken_at REAL NOT NULL
);

CREATE TABLE messages (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    tag     TEXT NOT NULL,
    agent   TEXT NOT NULL,
    text    TEXT NOT NULL,
    author  TEXT NOT NULL,
    sent_at REAL NOT NULL,
    read_at REAL
);

CREATE TABLE events (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    tag   TEXT NOT NULL,
    at    REAL NOT NULL,
    agent TEXT NOT NULL,
    text  TEXT NOT NULL
);

CREATE TABLE requests (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    tag     TEXT NOT NULL,
    kind    TEXT NOT NULL,            -- 'plan': the chief is asked for hypotheses
    detail  TEXT NOT NULL DEFAULT '',
    made_at REAL NOT NULL,
    done_at REAL,
    added   INTEGER                   -- hypotheses that came of it
);
