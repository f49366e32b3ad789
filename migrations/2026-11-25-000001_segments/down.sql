DROP TABLE segment_scores, segment_models, segment_sweeps, segment_deadlines, segment_changes, segment_members, segment_lists,
    segments;
ALTER TABLE sites DROP COLUMN IF EXISTS segments_revision;
