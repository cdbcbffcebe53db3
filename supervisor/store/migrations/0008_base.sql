-- The branch that a campaign came from, and what was checked out when the person said that it goes on.

ALTER TABLE campaigns ADD COLUMN base_branch TEXT NOT NULL DEFAULT '';  -- '': a detached HEAD, or not written down
ALTER TABLE campaigns ADD COLUMN seen_commit TEXT NOT NULL DEFAULT '';
