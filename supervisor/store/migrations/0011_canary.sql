-- Canaries: runs of the base with an editable file broken on purpose, to see that the edit is what runs.

ALTER TABLE runs ADD COLUMN commit_sha TEXT NOT NULL DEFAULT '';  -- of a canary; '': the experiment's
ALTER TABLE runs ADD COLUMN broken TEXT NOT NULL DEFAULT '';      -- of a canary: the entry of [lab] editable
