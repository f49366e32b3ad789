-- Files that owners import by way of the dashboard.

-- One row per file. Nothing in it is of the file but its name and the headings of its columns.
CREATE TABLE imports (
    site_id integer NOT NULL REFERENCES sites ON DELETE CASCADE,
    import_id bigint GENERATED ALWAYS AS IDENTITY,
    -- customers, orders, newsletter (domain::report::ImportKind)
    kind text NOT NULL,
    file_name text NOT NULL,
    -- uploading, ready, running, paused, done, cancelled, failed, expired (domain::report::ImportState)
    state text NOT NULL DEFAULT 'uploading',
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    -- When anything last happened to it: a file that is left lying is thrown away.
    touched_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    size_bytes bigint NOT NULL DEFAULT 0,
    -- collector::import::Mapping
    mapping jsonb NOT NULL DEFAULT '{}',
    columns text[] NOT NULL DEFAULT '{}',
    -- How far it has been read; all that stands before is stored, in the same transactions.
    done_lines bigint NOT NULL DEFAULT 0,
    done_bytes bigint NOT NULL DEFAULT 0,
    lines_per_s bigint NOT NULL DEFAULT 0,
    stored bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    -- Why it cannot go on, in words.
    problem text,
    PRIMARY KEY (site_id, import_id)
);
CREATE INDEX imports_running ON imports (touched_at) WHERE state = 'running';

-- The file itself, in parts of about 1 MiB, until its import has ended.
CREATE TABLE import_chunks (
    site_id integer NOT NULL,
    import_id bigint NOT NULL,
    chunk_no integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (site_id, import_id, chunk_no),
    FOREIGN KEY (site_id, import_id) REFERENCES imports ON DELETE CASCADE
);
-- It is read once: compressing it costs more than it saves.
ALTER TABLE import_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

-- Lines of which nothing was stored, the first of each import, for 14 days.
CREATE TABLE import_rejected (
    site_id integer NOT NULL,
    import_id bigint NOT NULL,
    line bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL,
    cells text[] NOT NULL,
    PRIMARY KEY (site_id, import_id, line),
    FOREIGN KEY (site_id, import_id) REFERENCES imports ON DELETE CASCADE
);
CREATE INDEX import_rejected_at ON import_rejected (at);

-- `kind:value` of a person who is being forgotten: by these files that name them are found.
ALTER TABLE erasures ADD COLUMN identifiers text[] NOT NULL DEFAULT '{}';
