-- What is to go on main: measured afresh, shown, and landed on a yes.

CREATE TABLE promotions (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    tag           TEXT NOT NULL REFERENCES campaigns (tag),
    kind          TEXT NOT NULL,
    state         TEXT NOT NULL,
    reason        TEXT NOT NULL DEFAULT '',
    title         TEXT NOT NULL,
    made_at       REAL NOT NULL,
    measured      INTEGER NOT NULL DEFAULT 1,   -- 0: branches are made, nothing is measured
    base_commit   TEXT NOT NULL DEFAULT '',     -- the main that it was prepared on
    commit_sha    TEXT NOT NULL DEFAULT '',     -- what stands so far, on top of it
    author        TEXT NOT NULL DEFAULT '',     -- who said yes, as git writes people
    accepted_at   REAL,
    message       TEXT NOT NULL DEFAULT '',     -- of the commit, fixed by the yes
    landed_commit TEXT NOT NULL DEFAULT '',
    branch        TEXT NOT NULL DEFAULT '',     -- where the commit waits for the person's merge
    reverts       INTEGER REFERENCES promotions (id)
);

CREATE TABLE promotion_pieces (
    promotion     INTEGER NOT NULL REFERENCES promotions (id),
    ordinal       INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    title         TEXT NOT NULL,
    source_id     INTEGER REFERENCES experiments (id),
    from_commit   TEXT NOT NULL DEFAULT '',     -- the change is what differs between these two
    to_commit     TEXT NOT NULL DEFAULT '',
    claimed_gain  REAL,
    state         TEXT NOT NULL,
    reason        TEXT NOT NULL DEFAULT '',
    base_id       INTEGER REFERENCES experiments (id),
    candidate_id  INTEGER REFERENCES experiments (id),
    commit_sha    TEXT NOT NULL DEFAULT '',     -- the change on top of what it is measured against
    branch        TEXT NOT NULL DEFAULT '',
    gain          REAL,
    gain_low      REAL,
    gain_high     REAL,
    holdout_gain  REAL,
    holdout_low   REAL,
    holdout_high  REAL,
    PRIMARY KEY (promotion, ordinal)
);
