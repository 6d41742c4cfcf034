-- When what happened: a delta looks up whose events crossed a time limit since the last computation, a slice of some
-- minutes for each limit. Found here by the primary key, whatever the length of the history; a redelivery adds nothing.
CREATE TABLE IF NOT EXISTS events_by_time
(
    event_type LowCardinality(String),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    user_id String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (event_type, occurred_at, user_id);

CREATE MATERIALIZED VIEW IF NOT EXISTS events_to_events_by_time TO events_by_time AS
SELECT event_type, occurred_at, user_id
FROM events;

INSERT INTO events_by_time
SELECT event_type, occurred_at, user_id
FROM events;

-- FINAL costs nothing where a partition is one part. A month to which nothing has been added for ten minutes becomes one.
ALTER TABLE events MODIFY SETTING min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1;
