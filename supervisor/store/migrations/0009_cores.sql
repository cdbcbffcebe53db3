-- CPU slots of several cores, and runs that hold several devices.

ALTER TABLE devices ADD COLUMN cores TEXT NOT NULL DEFAULT '[]';  -- that runs are pinned to, as JSON; none: not pinned
UPDATE devices SET cores = '[' || core || ']' WHERE core IS NOT NULL;

CREATE TABLE leases_of_devices (
    device   TEXT PRIMARY KEY REFERENCES devices (id),
    run_id   TEXT NOT NULL REFERENCES runs (id),
    taken_at REAL NOT NULL
);
INSERT INTO leases_of_devices SELECT device, run_id, taken_at FROM leases;
DROP TABLE leases;
ALTER TABLE leases_of_devices RENAME TO leases;
