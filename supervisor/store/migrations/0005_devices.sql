-- Accelerators by UUID, what their sensors say, and what disturbed a run.

ALTER TABLE devices ADD COLUMN uuid TEXT NOT NULL DEFAULT '';       -- '': it has none (CPU cores, Apple's GPU)
ALTER TABLE devices ADD COLUMN minor INTEGER;                       -- its device file is /dev/nvidia<minor>
ALTER TABLE devices ADD COLUMN neighbour TEXT NOT NULL DEFAULT '';  -- who else computes on it
ALTER TABLE devices ADD COLUMN avoided INTEGER NOT NULL DEFAULT 0;  -- no run is started there while the neighbour stays
ALTER TABLE devices ADD COLUMN reading TEXT;                        -- the last one, as JSON; overwritten, never kept
ALTER TABLE devices ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;     -- not listed by the driver at the last launch

ALTER TABLE runs ADD COLUMN disturbed TEXT NOT NULL DEFAULT '';     -- why what this attempt measures will not count
ALTER TABLE runs ADD COLUMN voided TEXT NOT NULL DEFAULT '[]';      -- why earlier attempts did not count, as JSON
