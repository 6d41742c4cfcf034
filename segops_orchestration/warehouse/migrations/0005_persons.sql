-- Which ids are one person's. "parent" is what an id was last said to be, empty for one that is itself again; "root",
-- where that leads, is the id that stands for the person in segments. "changed" says that another root was in force
-- before, so that events may lie there. Rows of one call are written as one block.
CREATE TABLE IF NOT EXISTS identities
(
    user_id String,
    parent String,
    root String,
    changed UInt8,
    kind Enum8('alias' = 1, 'merge' = 2),
    at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY user_id;

-- Which events of a user came in under another id, one row per delivery.
CREATE TABLE IF NOT EXISTS moved_events
(
    user_id String,
    event_type LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    event_id UUID,
    ingested_at DateTime64(3, 'UTC'),
    original_user_id String,
    moved_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(moved_at)
ORDER BY (user_id, event_type, occurred_at, event_id, ingested_at, original_user_id);

-- The events that are being moved from one id to another: scratch, emptied when they are. They are written down before
-- they are copied, so that nothing else is taken away. "stays" says that the id they leave remains a user.
CREATE TABLE IF NOT EXISTS moving_events
(
    home String,
    root String,
    stays UInt8,
    event_type LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    event_id UUID,
    ingested_at DateTime64(3, 'UTC'),
    original_user_id String
)
ENGINE = MergeTree
ORDER BY (home, event_type, occurred_at, event_id);

-- Whom an erasure is about, until it is over: then its partition is dropped, and nobody knows any more.
CREATE TABLE IF NOT EXISTS erasing
(
    erasure_id String,
    user_id String,
    is_asked_for UInt8,
    requested_at DateTime64(3, 'UTC'),
    requested_by String
)
ENGINE = MergeTree
PARTITION BY erasure_id
ORDER BY user_id;

-- What each erasure removed, without saying whose it was. "document" is JSON.
CREATE TABLE IF NOT EXISTS erasures
(
    erasure_id String,
    requested_at DateTime64(3, 'UTC'),
    finished_at Nullable(DateTime64(3, 'UTC')),
    document String,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY erasure_id;
