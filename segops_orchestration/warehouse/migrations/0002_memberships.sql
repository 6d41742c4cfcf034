-- Who is in which segment. computed_at is the instant of the computation in which the user entered.
CREATE TABLE IF NOT EXISTS segment_memberships
(
    segment_id UInt64,
    user_id String,
    computed_at DateTime64(3, 'UTC'),
    version UInt64,
    is_deleted UInt8
)
ENGINE = ReplacingMergeTree(version, is_deleted)
ORDER BY (segment_id, user_id);

-- Who entered and who left, by computation: append only.
CREATE TABLE IF NOT EXISTS membership_changes
(
    segment_id UInt64,
    computation_id UInt64,
    user_id String,
    change Enum8('entered' = 1, 'exited' = 2),
    computed_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (segment_id, computation_id, user_id);

-- Whom a computation has to look at: a scratch partition per computation, dropped when it is over.
CREATE TABLE IF NOT EXISTS candidates
(
    computation_id UInt64,
    segment_id UInt64,
    user_id String
)
ENGINE = MergeTree
PARTITION BY computation_id
ORDER BY (segment_id, user_id);
